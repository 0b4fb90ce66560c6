"""Stored runs in the files of other tools, as tables and pages of our own, and in trackers."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from inferometer.api.tracking import SENT
from inferometer.errors import UsageError
from inferometer.exchange.exporting.formats import check_settings, format_named, format_names
from inferometer.exchange.exporting.model import Asked, Format, Made, Source
from inferometer.exchange.exporting.placing import place_all
from inferometer.exchange.exporting.texts import safe
from inferometer.exchange.trackers import TRACKERS, send
from inferometer.metrics.summary import summarize
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord

if TYPE_CHECKING:
    from inferometer.report.tables.output import Format as TableFormat

__all__ = ["Asked", "Exported", "export", "export_formats"]

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a run.

    Attributes:
        paths: the files that were written.
        content: the one file's bytes, where standard output was asked for.
        sent: where it went, in one line, where a tracker was asked for.
        simulated: no real server was measured; the files say so.
        invalid: the conditions that make the run INVALID; the files name them.
    """

    paths: tuple[Path, ...] = ()
    content: bytes | None = None
    sent: str | None = None
    simulated: bool = False
    invalid: tuple[str, ...] = ()


def export_formats() -> dict[str, str]:
    """Every name that ``export`` takes, with one line about each."""
    ours = {name: format_named(name).about for name in format_names()}
    trackers = {name: f"tracker: {TRACKERS.get(name).about}" for name in TRACKERS.names()}
    return {**ours, **{name: own.about for name, own in _OWN.items()}, **trackers}


def export(
    path: Path,
    name: str,
    to: str | None = None,
    *,
    points: Sequence[int] | None = None,
    asked: Asked | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a run as another tool's files, or send it to a tracker.

    Args:
        path: the run folder.
        name: one of ``export_formats``.
        to: a file, "-" for standard output, or a folder: a name without suffix or with a slash at its end; None = a
            folder in the working directory, named by run and format.
        points: ``index`` of the load points; None = all that were measured.
        asked: details, encoding and settings.
        overwrite: replace files that are there.

    Raises:
        UsageError: no such format, setting or load point, the format cannot hold the run, or a file is in the way.
        RunFolderError: not a run folder, or a run that was not closed.
        TrackerError: a tracker did not take it.
    """
    asked = asked or Asked()
    told = dict(asked.settings)
    run = _chosen(read_run(path), points)
    summary = summarize(run)
    source = Source(run, summary, run.measured, asked)

    def exported(**what: Any) -> Exported:
        return Exported(simulated=run.meta.simulated, invalid=source.invalid, **what)

    if name in TRACKERS.names():
        if to is not None:
            raise UsageError(f"{name} is a tracker: nothing is written to {to}", "leave --to out")
        files = [path / file for file in SENT if (path / file).is_file()]
        return exported(sent=send(name, run, summary, files, told))
    chosen = _named(name)
    check_settings(name, chosen, told)
    _check_requests(name, chosen, source)
    if to == STDOUT:
        return exported(content=_joined(name, chosen, source, ""))
    placed = _placed(name, chosen, source, to)
    place_all(placed, overwrite=overwrite)
    return exported(paths=tuple(placed))


def _named(name: str) -> Format:
    """The format of that name.

    Raises:
        UsageError: there is none, and no tracker either; the message suggests the nearest one.
    """
    if name in _OWN or name in format_names():
        return _OWN.get(name) or format_named(name)
    known = [*format_names(), *_OWN, *TRACKERS.names()]
    near = difflib.get_close_matches(name, known, n=1)
    step = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise UsageError(f"unknown format {name!r}", step)


def _chosen(run: RunRecord, points: Sequence[int] | None) -> RunRecord:
    """The run with the chosen load points alone.

    Raises:
        UsageError: nothing was measured, or there is no such load point.
    """
    known = [table.point.index for table in run.measured]
    if not known:
        raise UsageError(f"{run.path} has no measured load point to export", "see: inferometer report RUN")
    if points is None:
        return run
    strange = [index for index in points if index not in known]
    if strange:
        raise UsageError(
            f"--points: {strange[0]} is no measured load point of {run.path.name}",
            f"the measured load points are {' '.join(map(str, known))}",
        )
    tables = tuple(table for table in run.tables if table.point.index in set(points))
    return dataclasses.replace(run, tables=tables)


def _check_requests(name: str, chosen: Format, source: Source) -> None:
    """Refuse a format made of requests where another tool's summary is all there is.

    Raises:
        UsageError: names the formats that take it.
    """
    if chosen.aggregates or not any(source.stated(table) for table in source.tables):
        return
    able = ", ".join(
        each for each in (*format_names(), *_OWN) if (_OWN.get(each) or format_named(each)).aggregates
    )
    raise UsageError(
        f"--as {name} is made of single requests, and the imported files list none: they hold only statistics",
        f"these take statistics: {able}",
    )


def _placed(name: str, chosen: Format, source: Source, to: str | None) -> dict[Path, bytes]:
    """Where every file goes.

    Raises:
        UsageError: the name to write to is empty, or fits the format in no way.
    """
    if to is None:
        to = f"{safe(source.meta.run_id)}-{name}/"
    if not to:
        raise UsageError("--to was given an empty name", "name a file or a folder")
    path = Path(to)
    if to.endswith("/") or path.is_dir() or not path.suffix:
        return {path / made.path: made.content for made in chosen.make(source)}
    return {path: _joined(name, chosen, source, path.suffix.lower())}


def _joined(name: str, chosen: Format, source: Source, suffix: str) -> bytes:
    """All of it as one file; of what the suffix says, or of the format's first kind.

    Raises:
        UsageError: the format is a folder of files, or no file of it ends like that.
    """
    kinds = chosen.single.split()
    if chosen.joined is None or not kinds:
        raise UsageError(f"--as {name} is a folder of files", "name a folder: --to FOLDER/")
    if suffix and suffix not in kinds:
        raise UsageError(
            f"no file of --as {name} ends in {suffix}",
            f"end the name in {' or '.join(kinds)}, or name a folder",
        )
    return chosen.joined(source, suffix or kinds[0])


def _table(form: TableFormat) -> Format:
    """Our own table of load points, in a format."""

    def joined(source: Source, suffix: str) -> bytes:
        del suffix
        from inferometer.report.tables import build, style_named
        from inferometer.report.tables.output import How, as_text
        from inferometer.report.tables.workbook import workbook

        report = build([(source.run, source.summary)], style_named("ours"), None)
        if form == "xlsx":
            return workbook(report)
        text = as_text(report, How(form, source.asked.encoding))
        return (text if form == "csv" else text + "\n").encode()

    def make(source: Source) -> list[Made]:
        return [Made(PurePosixPath(f"table.{form}"), joined(source, ""))]

    about = {"xlsx": "an Excel workbook", "csv": "CSV", "md": "Markdown"}[form]
    return Format(
        f"our table of load points as {about}; inferometer report --table has other styles",
        make,
        single=f".{form}",
        aggregates=True,
        joined=joined,
    )


def _page(source: Source, suffix: str) -> bytes:
    del suffix
    from inferometer.report.html import report_page
    from inferometer.report.page.render import render_page

    return render_page(report_page([(source.run, source.summary)])).encode()


_OWN = {
    "xlsx": _table("xlsx"),
    "csv": _table("csv"),
    "md": _table("md"),
    "html": Format(
        "the report as one page that opens offline",
        lambda source: [Made(PurePosixPath("report.html"), _page(source, ""))],
        single=".html .htm",
        aggregates=True,
        joined=_page,
    ),
}
