"""``imported.json``: what another tool reported of a run that it measured, as far as that has a word here.

The files that it came from lie in the run folder's ``imported/`` unchanged, so that nothing they hold is lost, and
all of this can be made again from them. Requests that the other tool listed one by one are in ``requests.parquet`` (and
``chunks.parquet``) as those of a run of ours are, with what it did not record absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from inferometer.record.beside import read_beside, write_beside

IMPORTED_JSON = "imported.json"
IMPORTED_FILES = "imported"
SCHEMA = "inferometer.imported/1"


class ImportedStat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Statistics of one metric over the requests of a load point, as the other tool computed them.

    Attributes:
        count: values that they are of; None = not told.
        percentiles: by percentile as a number in text ("50", "99.9").
        definition: how that tool defines the metric, where that differs from ours.
    """

    count: int | None = None
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None
    percentiles: dict[str, float] = {}
    definition: str = ""


class ImportedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One load point.

    Attributes:
        point: its ``index``.
        duration_s: as the tool reported it.
        completed, failed: requests; None = not told.
        values: metrics with one number, by our key (``output_throughput_per_s``), in our unit.
        stats: metrics with a sample, by our key (``ttft_ms``), in our unit.
        stated: everything else that the files state of it, by the tool's own names, numbers as numbers.
        definitions: how that tool defines a value, by our key, where that differs from ours.
    """

    point: int
    duration_s: float | None = None
    completed: int | None = None
    failed: int | None = None
    values: dict[str, float] = {}
    stats: dict[str, ImportedStat] = {}
    stated: dict[str, Any] = {}
    definitions: dict[str, str] = {}


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A run that another tool measured.

    Attributes:
        schema: of this file.
        tool: which ("vllm", "evalscope", "mindie" ...), and its ``version`` where the files tell it.
        format: of the files ("vllm bench serve JSON").
        files: names under ``imported/``, with their sha256.
        notes: what a reader has to know: what could not be read, what was assumed.
        stated: of the whole run, by the tool's own names.
        points: the load points.
    """

    schema: str = SCHEMA
    tool: str
    version: str | None = None
    format: str
    files: dict[str, str] = {}
    notes: list[str] = []
    stated: dict[str, Any] = {}
    points: list[ImportedPoint] = []

    def of_point(self, index: int) -> ImportedPoint | None:
        """What was reported of a load point."""
        return next((point for point in self.points if point.point == index), None)


def write_imported(folder: Path, imported: Imported) -> None:
    """Write ``imported.json``.

    Raises:
        RunFolderError: it cannot be written.
    """
    write_beside(folder / IMPORTED_JSON, imported)


def read_imported(folder: Path) -> Imported | None:
    """What another tool reported; None for a run of ours.

    Raises:
        RunFolderError: the file cannot be understood.
    """
    return read_beside(folder / IMPORTED_JSON, Imported, SCHEMA, "import the files again")
