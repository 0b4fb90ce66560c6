"""A table as data: what is in it, before anybody says how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferometer.metrics.verdict import Word
from inferometer.report.tables.measured import Measured

Value = float | int | str | None


class Cell(NamedTuple):
    """One value.

    Attributes:
        value: None = it was not measured, an empty text = nobody here can know it.
        needs: a percentile of too few requests: how many it takes; None = the value can be relied on.
    """

    value: Value
    needs: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a style.

    Attributes:
        heading: as the community writes it.
        value: what a row has in it.
        unit: of the values; "" for counts, texts and shares.
        decimals: digits after the point in text; a whole number or a text is written as it is.
        formula: where the values come from, in a few words.
        name: the heading in CSV, where the community has another one there.
        files_only: text leaves it out, because it tells nothing there or the headlines say it.
        optional: it is left out where no row has a value.
        failures: it tells how many requests failed.
    """

    heading: str
    value: Callable[[Measured], Cell]
    unit: str = ""
    decimals: int = 2
    formula: str = ""
    name: str = ""
    files_only: bool = False
    optional: bool = False
    failures: bool = False

    @property
    def csv_heading(self) -> str:
        """What a program reads this column by."""
        return self.name or self.heading


@dataclass(frozen=True, slots=True)
class Style:
    """How one community writes a table of load points.

    Attributes:
        name: of ``--table``.
        about: one line of help.
        sheets: tables by name, and which loads belong there; the first that fits takes a load.
        columns: of each sheet, for the loads that are in it.
        notes: what a reader has to know, one sentence each.
        strict: a percentile of too few requests is left out in text too.
        grouped: thousands are set apart in text, as we write them and the others do not.
        order: what the loads of a run are sorted by; None = as they were measured.
    """

    name: str
    about: str
    sheets: Sequence[tuple[str, Callable[[Measured], bool]]]
    columns: Callable[[str, Sequence[Measured]], Sequence[Column]]
    notes: Sequence[str] = ()
    strict: bool = False
    grouped: bool = False
    order: Callable[[Measured], tuple[float, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Loads, one a row.

    Attributes:
        name: of the sheet or file.
        columns: headings with their units and formulas.
        rows: cells, as many as columns.
        verdicts: of each row.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    verdicts: Sequence[Word]


@dataclass(frozen=True, slots=True)
class TableReport:
    """Everything that a rendering needs.

    Attributes:
        style: whose columns these are.
        title: models, and "(simulated)" where no real server was measured.
        verdict: the worst of the runs.
        headlines: one sentence per run, its verdict first.
        tables: at least one; those without rows are left out.
        created_utc: of the newest run.
    """

    style: Style
    title: str
    verdict: Word
    headlines: Sequence[str]
    tables: Sequence[Table]
    created_utc: str

    @property
    def needs(self) -> int:
        """The most requests that a percentile in here would have needed and did not have; 0 when all did."""
        return max((c.needs or 0 for t in self.tables for row in t.rows for c in row), default=0)
