"""The files that are derived from a run and lie in its folder, so that other programs can read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from inferometer.errors import RunFolderError
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.draft import draft_of
from inferometer.record.tables import RunRecord
from inferometer.report.search import Told

REPORT_HTML = "report.html"


def write_summary(run: RunRecord, summary: RunSummary | None = None) -> tuple[Path, ...]:
    """Write ``summary.json`` and vLLM's result objects into the run folder; each file appears whole or not at all.

    ``vllm.json`` is the last measured load point, because vLLM's readers take one object per file. With
    several points, ``vllm/point-NNN.json`` holds each of them.

    Args:
        run: the closed run.
        summary: its summary, when it was computed already.

    Returns:
        The files that were written, ``summary.json`` first.

    Raises:
        RunFolderError: a file cannot be written, or the stored spec cannot be read.
    """
    summary = summary or summarize(run)
    results = [(point.index, point.vllm) for point in summary.points if point.vllm is not None]
    plan: list[tuple[Path, Any]] = [(run.path / "summary.json", summary)]
    if results:
        plan.append((run.path / "vllm.json", results[-1][1]))
    if len(results) > 1:
        plan += [(run.path / "vllm" / f"point-{index:03d}.json", result) for index, result in results]
    for path, content in plan:
        _write(path, msgspec.json.format(msgspec.json.encode(content), indent=2))
    return tuple(path for path, _ in plan)


def write_page(run: RunRecord, summary: RunSummary, answer: Told | None = None) -> Path:
    """Write ``report.html`` into the run folder.

    Args:
        run: the closed run.
        summary: its summary.
        answer: what a search found; None for another run.

    Raises:
        RunFolderError: the file cannot be written, or the stored spec cannot be read.
    """
    from inferometer.report.html import report_page
    from inferometer.report.page.render import render_page

    path = run.path / REPORT_HTML
    _write(path, render_page(report_page([(run, summary)], answers=[answer])).encode())
    return path


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        draft = draft_of(path, content + b"\n")
        try:
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise RunFolderError(message, "free space or fix its permissions") from error
