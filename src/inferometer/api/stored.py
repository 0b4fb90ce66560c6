"""Runs that are stored: report, recover, list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.api.found import Answer, answer_of, write_answer
from inferometer.errors import InferometerError, place_of
from inferometer.metrics.speed_conditions import summarize_speed
from inferometer.metrics.summary import RunSummary, stored_spec, summarize
from inferometer.record.folder import JOURNAL, RUN_JSON, read_meta, write_meta
from inferometer.record.lock import writing
from inferometer.record.sittings import end_sitting
from inferometer.record.speed import SPEED_JSON, read_speed
from inferometer.record.store import close_journal, read_run, stored_points
from inferometer.record.tables import RunRecord
from inferometer.record.types import RunMeta
from inferometer.report.files import REPORT_HTML, write_page, write_summary
from inferometer.report.search import Told, told_of
from inferometer.report.words import Language

KILLED_WORKER_S = 5.0  # the worker of a killed run ends by itself, as soon as it has journalled what it holds


@dataclass(frozen=True, slots=True)
class RunListing:
    """One line of ``runs list``."""

    path: Path
    created_utc: str
    model: str
    label: str
    state: str
    verdict: str
    points: int
    simulated: bool
    requests: int


def report(path: Path) -> RunSummary:
    """Recompute every number of a closed run from its folder, and write ``summary.json`` and ``vllm.json``.

    Raises:
        RunFolderError: not a run folder, or a run that was not closed.
    """
    return _reported(path)[1]


def report_finished(path: Path) -> tuple[RunSummary, str]:
    """``report``, and ``report.html`` too, unless the run was asked for without it.

    Returns:
        The summary, and why there is no page although one was asked for; empty where there is.

    Raises:
        RunFolderError: as ``report``.
    """
    record, summary, answer = _reported(path)
    if not stored_spec(record.meta).output.html:
        return summary, ""
    try:
        (path / REPORT_HTML).unlink(missing_ok=True)  # of an earlier sitting: its numbers are others
        write_page(record, summary, _told(answer))
    except InferometerError as error:
        return summary, error.message
    except Exception as error:  # noqa: BLE001 - a fault in a picture takes nothing away that was measured
        return summary, place_of(error)
    return summary, ""


def _reported(path: Path) -> tuple[RunRecord, RunSummary, Answer | None]:
    record = read_run(path)
    summary = summarize(record)
    write_summary(record, summary)
    answer = answer_of(record, summary)
    if answer is not None:
        write_answer(path, answer, record.meta.model)
    verdict = {"word": summary.verdict.word, "failed": _failed(summary)}
    if record.meta.verdict != verdict:
        record.meta.verdict = verdict
        write_meta(path, record.meta)
    return record, summary, answer


def report_page(folders: Sequence[Path], language: Language = "en") -> str:
    """The HTML page of a run, or of several over each other and then one by one.

    Args:
        folders: of closed runs, at least one.
        language: shown first; the page holds both.

    Raises:
        RunFolderError: not a run folder, or a run that was not closed.
    """
    from inferometer.report.html import report_page as built
    from inferometer.report.page.render import render_page

    runs = [(record, summarize(record)) for record in map(read_run, folders)]
    answers = [_told(answer_of(record, summary)) for record, summary in runs]
    return render_page(built(runs, language, answers))


def _told(answer: Answer | None) -> Told | None:
    return None if answer is None else told_of(answer.found, answer.variable)


def _failed(summary: RunSummary) -> list[str]:
    """Names of the conditions that do not hold, each once, in order."""
    verdicts = [summary.verdict, *(point.verdict for point in summary.points)]
    return list(dict.fromkeys(condition.name for verdict in verdicts for condition in verdict.failed))


def recover(path: Path) -> RunRecord:
    """Close a run that was killed: every request that had finished is in its tables afterwards.

    A run that is closed already is returned as it is.

    Raises:
        RunFolderError: not a run folder, or that of a run which is still going on.
    """
    read_meta(path)
    with writing(path, KILLED_WORKER_S):
        close_killed(path)
    return read_run(path)


def close_killed(path: Path) -> RunMeta:
    """Close the folder of a run that was killed, if it was; its lock is held.

    Raises:
        RunFolderError: as ``recover``.
    """
    meta = read_meta(path)
    killed = meta.state == "running"
    if killed:
        end_sitting(meta, "recovered")
        meta.notes.append("recovered from the journal of a run that did not end by itself")
    if (path / JOURNAL).is_dir():
        return close_journal(path, meta)
    if killed:  # between two sittings
        write_meta(path, meta)
    return meta


def list_runs(out: Path) -> list[RunListing]:
    """Runs and measurements of speed in ``out``, oldest first; what cannot be read is listed with its state."""
    found = [
        (path.parent, list_one)
        for file, list_one in ((RUN_JSON, _listing), (SPEED_JSON, _speed_listing))
        for path in out.glob(f"*/{file}")
        if not path.parent.is_symlink()
    ]
    return [list_one(folder) for folder, list_one in sorted(found, key=lambda pair: pair[0])]


def _unreadable(folder: Path, error: InferometerError) -> RunListing:
    return RunListing(folder, "", "", "", f"unreadable: {error.message}", "", 0, False, 0)


def _speed_listing(folder: Path) -> RunListing:
    """Rows stand for load points, and measured prompts for requests."""
    try:
        record = read_speed(folder)
    except InferometerError as error:
        return _unreadable(folder, error)
    summary = summarize_speed(record)
    return RunListing(
        path=folder,
        created_utc=record.created_utc,
        model=record.model,
        label=f"speed {record.engine}",
        state=record.state,
        verdict=summary.verdict.word,
        points=len(summary.rows),
        simulated=record.simulated,
        requests=sum(each.batch for each in record.generations if each.repeat and each.outcome == "ok"),
    )


def _listing(folder: Path) -> RunListing:
    try:
        meta = read_meta(folder)
    except InferometerError as error:
        return _unreadable(folder, error)
    closed = not (folder / JOURNAL).is_dir()
    try:
        points = meta.points if closed else stored_points(folder, meta).points
    except (InferometerError, OSError):  # it goes on, and is being closed while we look
        points = meta.points
    measured = [point for point in points if point.kind == "measure"]
    return RunListing(
        path=folder,
        created_utc=meta.created_utc,
        model=meta.model,
        label=meta.label,
        state=meta.state if closed else "not closed",
        verdict=str((meta.verdict or {}).get("word", "")),
        points=len(measured),
        simulated=meta.simulated,
        requests=sum(point.dispatched for point in measured),
    )
