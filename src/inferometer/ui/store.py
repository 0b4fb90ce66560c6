"""The run folders of one directory as lines of a list: two small files of each are read, and only when they change."""

from __future__ import annotations

import math
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.record.folder import JOURNAL, RUN_JSON
from inferometer.record.speed import SPEED_JSON
from inferometer.spec import load_title

SUMMARY_JSON = "summary.json"
# What may be fetched of a run folder, by name; nothing else of it leaves through the pages.
FILES = (
    "report.html",
    RUN_JSON,
    SUMMARY_JSON,
    "vllm.json",
    "search.json",
    "prediction.json",
    "requests.parquet",
    "chunks.parquet",
    "telemetry.parquet",
    "engine.log",
)
_NOTHING = (0, 0)
# One folder with nonsense in it must not hide the others: also wrong types in a load, and brackets in brackets.
_UNREADABLE = (OSError, msgspec.DecodeError, ValueError, TypeError, AttributeError, RecursionError)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list, and of ``/api/runs``.

    Attributes:
        name: of the folder.
        state: of ``run.json``; "open" while there is a journal: it goes on, or was killed.
        verdict: VALID, WARN or INVALID; empty before it was judged.
        tool: that measured it, where that was another one.
        load: the load points in words.
        output_throughput_per_s: the highest of all load points, which was at ``at_load``; None = not known.
        ttft_ms, tpot_ms: medians at that load.
        failed: requests of all load points that failed.
        problem: why there is no more to say, such as a file that cannot be read.
    """

    name: str
    created_utc: str = ""
    model: str = ""
    label: str = ""
    labels: dict[str, str] = {}
    state: str = ""
    verdict: str = ""
    simulated: bool = False
    tool: str = ""
    load: str = ""
    points: int = 0
    requests: int = 0
    failed: int | None = None
    output_throughput_per_s: float | None = None
    at_load: str = ""
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    problem: str = ""


class _Point(msgspec.Struct):
    kind: str
    load: dict[str, Any] = {}
    dispatched: int = 0


class _Run(msgspec.Struct):
    created_utc: str
    model: str
    state: str
    simulated: bool
    label: str = ""
    labels: dict[str, str] = {}
    points: list[_Point] = []
    verdict: dict[str, Any] | None = None


class _Stat(msgspec.Struct):
    percentiles: dict[str, float | None] = {}


class _Counts(msgspec.Struct, frozen=True):
    failed: int = 0


class _PointNumbers(msgspec.Struct):
    load: dict[str, Any]
    counts: _Counts = _Counts()
    values: dict[str, float | None] = {}
    stats: dict[str, _Stat] = {}


class _Reported(msgspec.Struct):
    tool: str = ""


class _Summary(msgspec.Struct):
    points: list[_PointNumbers] = []
    imported: _Reported | None = None


_runs = msgspec.json.Decoder(_Run)
_summaries = msgspec.json.Decoder(_Summary)


class _Kept(NamedTuple):
    stamp: tuple[int, ...]
    run: StoredRun


class Store:
    """The runs in ``out``; may be asked by several threads.

    Args:
        out: the directory of run folders; it need not be there yet.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def runs(self) -> list[StoredRun]:
        """All runs, newest name first; a folder is read again only when its files have changed."""
        with self._lock:
            kept = {name: self._look(name) for name in self._names()}
            self._kept = {name: each for name, each in kept.items() if each is not None}
            return [self._kept[name].run for name in sorted(self._kept, reverse=True)]

    def measurements_of_speed(self) -> int:
        """Folders of ``inferometer speed``, which these pages do not show."""
        return sum(_regular(self.out / name / SPEED_JSON) for name in self._names() if name not in self._kept)

    def folder(self, name: str) -> Path | None:
        """The folder of a run: a real directory in ``out`` itself, with a ``run.json``; None for all other names."""
        if not _NAME.fullmatch(name):
            return None
        folder = self.out / name
        if folder.is_symlink() or not folder.is_dir() or not _regular(folder / RUN_JSON):
            return None
        return folder

    def run(self, name: str) -> StoredRun | None:
        """One run as a line of the list."""
        with self._lock:
            found = self._look(name) if self.folder(name) else None
        return None if found is None else found.run

    def files(self, name: str) -> list[tuple[str, int]]:
        """Files of a run that may be fetched, with their bytes."""
        folder = self.folder(name)
        if folder is None:
            return []
        return [(file, (folder / file).stat().st_size) for file in FILES if _regular(folder / file)]

    def file(self, name: str, file: str) -> Path | None:
        """One of them."""
        folder = self.folder(name)
        return folder / file if folder and file in FILES and _regular(folder / file) else None

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.out) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return [name for name in names if _NAME.fullmatch(name)]

    def _look(self, name: str) -> _Kept | None:
        folder = f"{self.out}/{name}"  # thousands of runs: paths as objects would take most of the time
        run_json, summary = _stamp(f"{folder}/{RUN_JSON}"), _stamp(f"{folder}/{SUMMARY_JSON}")
        if run_json == _NOTHING:
            return None
        stamp = (*run_json, *summary, os.path.isdir(f"{folder}/{JOURNAL}"))  # noqa: PTH112
        kept = self._kept.get(name)
        return (
            kept if kept is not None and kept.stamp == stamp else _Kept(stamp, _read(Path(folder), stamp[-1]))
        )


def _regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _stamp(path: str) -> tuple[int, int]:
    """When a file was last written to, and its bytes; ``_NOTHING`` where there is no real file."""
    try:
        about = os.lstat(path)
    except OSError:
        return _NOTHING
    return (about.st_mtime_ns, about.st_size) if stat.S_ISREG(about.st_mode) else _NOTHING


def _read(folder: Path, is_open: int) -> StoredRun:
    try:
        meta = _runs.decode((folder / RUN_JSON).read_bytes())
        measured = [point for point in meta.points if point.kind == "measure"]
        load = _loads([point.load for point in measured])
    except _UNREADABLE as error:
        return StoredRun(name=folder.name, problem=f"{RUN_JSON} cannot be read: {_why(error)}")
    run = StoredRun(
        name=folder.name,
        created_utc=meta.created_utc[:19],
        model=meta.model,
        label=meta.label,
        labels=meta.labels,
        state="open" if is_open else meta.state,
        verdict=str((meta.verdict or {}).get("word", "")),
        simulated=meta.simulated,
        load=load,
        points=len(measured),
        requests=sum(point.dispatched for point in measured),
    )
    path = folder / SUMMARY_JSON
    if is_open or not _regular(path):
        return run
    try:
        return _with_numbers(run, _summaries.decode(path.read_bytes()))
    except _UNREADABLE as error:
        return msgspec.structs.replace(run, problem=f"{SUMMARY_JSON} cannot be read: {_why(error)}")


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _with_numbers(run: StoredRun, summary: _Summary) -> StoredRun:
    """With the numbers of the load point that had the highest output throughput."""
    best, most = None, -math.inf
    for point in summary.points:
        throughput = point.values.get("output_throughput_per_s")
        if throughput is not None and throughput > most:
            best, most = point, throughput
    tool = summary.imported.tool if summary.imported else ""
    failed = sum(point.counts.failed for point in summary.points) if summary.points else None
    if best is None:
        return msgspec.structs.replace(run, tool=tool, failed=failed)
    return msgspec.structs.replace(
        run,
        tool=tool,
        failed=failed,
        output_throughput_per_s=most,
        at_load=load_title(best.load),
        ttft_ms=_median(best, "ttft_ms"),
        tpot_ms=_median(best, "tpot_ms"),
    )


def _median(point: _PointNumbers, key: str) -> float | None:
    stat = point.stats.get(key)
    return None if stat is None else stat.percentiles.get("p50")


def _loads(loads: list[dict[str, Any]]) -> str:
    """``concurrency 1 ... 64``; repeats of a load count once."""
    titles = list(dict.fromkeys(load_title(load) for load in loads))
    if len(titles) < 2:
        return titles[0] if titles else ""
    first, last = titles[0].split(), titles[-1].split()
    while len(last) > 1 and first[:1] == last[:1]:  # "concurrency 1 … 64"
        first, last = first[1:], last[1:]
    return f"{titles[0]} … {' '.join(last)}"
