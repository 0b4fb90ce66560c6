"""Stored runs as pictures in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferometer.api.found import answer_of
from inferometer.metrics.capacity import Capacity
from inferometer.metrics.summary import summarize
from inferometer.record.store import read_run
from inferometer.report.plots.build import pictures_of
from inferometer.report.plots.model import Plot
from inferometer.report.plots.throughput import throughput_latency
from inferometer.report.static.files import Format, write_pictures
from inferometer.report.static.look import Look
from inferometer.report.words import Language


def picture_files(
    paths: Sequence[Path],
    targets: Sequence[tuple[Format, str]],
    language: Language = "en",
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Draw a run: its overview, then each load point; of several runs throughput against latency, over each other.

    Args:
        paths: run folders, at least one.
        targets: format, and the directory to write into, or the file that the first picture alone goes into.
        language: of the text.
        overwrite: replace files that exist.

    Returns:
        The files, in the order in which they were written.

    Raises:
        RunFolderError: not a run folder, a run that was not closed, or a file cannot be written.
        UsageError: matplotlib is not installed, there is nothing to draw, or a file exists.
    """
    runs = [(run, summarize(run)) for run in map(read_run, paths)]
    plots: Sequence[Plot]
    if len(runs) == 1:
        answer = answer_of(*runs[0])
        capacity = answer.found if answer is not None and isinstance(answer.found, Capacity) else None
        found = pictures_of(*runs[0], capacity)
        plots = [*found.overview, *(plot for point in found.points for plot in point.plots)]
    else:
        plots = throughput_latency([(summary.label or summary.run_id, summary) for _, summary in runs])
    summaries = [summary for _, summary in runs]
    about = [", ".join(dict.fromkeys(summary.model for summary in summaries))]
    if len(runs) == 1:
        about += [summaries[0].created_utc[:10], summaries[0].verdict.word]
    look = Look(language, "  ·  ".join(filter(None, about)), any(summary.simulated for summary in summaries))
    written = []
    for form, to in targets:
        written += write_pictures(plots, to, form, look, overwrite=overwrite)
    return written
