"""What an export starts from, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from inferometer.errors import UsageError
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.record.imported import ImportedPoint
from inferometer.record.tables import PointTable, RunRecord
from inferometer.record.types import RunMeta

Encoding = Literal["utf-8", "utf-8-sig"]


@dataclass(frozen=True)
class Asked:
    """How an export is to be.

    Attributes:
        detailed: with one element per request, where the format has room for that.
        encoding: of CSV; "utf-8-sig" begins with the mark that Excel on a Chinese Windows looks for.
        settings: what the record does not hold and the format wants ("tp", "hw"), by name.
    """

    detailed: bool = False
    encoding: Encoding = "utf-8"
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A run to be exported.

    Attributes:
        run: the closed run.
        summary: its numbers.
        tables: the load points that were chosen, at least one.
        asked: how it is to be.
    """

    run: RunRecord
    summary: RunSummary
    tables: tuple[PointTable, ...]
    asked: Asked = field(default_factory=Asked)

    @property
    def meta(self) -> RunMeta:
        """What was asked, and where it ran."""
        return self.run.meta

    @cached_property
    def invalid(self) -> tuple[str, ...]:
        """The conditions that make the run INVALID; empty when it is not."""
        if self.summary.verdict.word != "INVALID":
            return ()
        verdicts = [self.summary.verdict, *(point.verdict for point in self.summary.points)]
        failed = [c.name for verdict in verdicts for c in verdict.failed if c.level == "hard"]
        return tuple(dict.fromkeys(failed)) or ("see inferometer report",)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What nobody may overlook who reads these numbers elsewhere, in words; empty for a sound measured run."""
        marks = ["simulated"] if self.meta.simulated else []
        if self.invalid:
            marks.append(f"INVALID: {', '.join(self.invalid)}")
        if self.run.imported is not None:
            marks.append(f"measured by {self.run.imported.tool}")
        return tuple(marks)

    def marked(self, name: str) -> str:
        """A name with the marks behind it: "llama (simulated)"."""
        return f"{name} ({'; '.join(self.marks)})" if self.marks else name

    def flags(self) -> dict[str, object]:
        """The marks as keys for formats that take keys of a user; empty for a sound measured run."""
        found: dict[str, object] = {"simulated": True} if self.meta.simulated else {}
        if self.invalid:
            found["verdict"] = f"INVALID: {', '.join(self.invalid)}"
        if self.run.imported is not None:
            found["measured_by"] = self.run.imported.tool
        return found

    def point(self, table: PointTable) -> PointSummary:
        """Our numbers of a load point."""
        return next(point for point in self.summary.points if point.index == table.point.index)

    def stated(self, table: PointTable) -> ImportedPoint | None:
        """What another tool stated of a load point of which it listed no requests; None where there are requests."""
        if self.run.imported is None or len(table.number("index")):
            return None
        return self.run.imported.of_point(table.point.index)

    def setting(self, name: str) -> str | None:
        """A value that was told with ``--set``, else the run's label of that name."""
        return self.asked.settings.get(name, self.meta.labels.get(name))

    def count(self, name: str) -> int | None:
        """A setting that is a whole number from 1 on.

        Raises:
            UsageError: it is something else.
        """
        told = self.setting(name)
        if told is None:
            return None
        if not told.isdecimal() or int(told) < 1:
            raise UsageError(
                f"{name}={told}: a whole number from 1 on is needed",
                f"give it with --set {name}=8",
            )
        return int(told)


@dataclass(frozen=True)
class Made:
    """One file of an export: its path below the place that it goes to, and all of its bytes."""

    path: PurePosixPath
    content: bytes


@dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes:
        about: one line: what it is, and what reads it.
        make: the files.
        single: the suffix of the one file that it may be; empty for a folder.
        settings: names that it takes from ``--set``, with what each is.
        aggregates: whether load points without requests (imported from a summary) can be written.
        joined: the files as one, where a name was asked for and not a folder; None = it has one file only, or cannot.
    """

    about: str
    make: Callable[[Source], Sequence[Made]]
    single: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    aggregates: bool = False
    joined: Callable[[Source, str], bytes] | None = None
