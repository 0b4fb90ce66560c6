"""Experiment trackers and collectors that a finished run can be sent to: one adapter each, all fed the same record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inferometer.errors import UsageError
from inferometer.exchange.trackers.logged import Logged, logged_of
from inferometer.exchange.trackers.tracker import Tracker
from inferometer.metrics.summary import RunSummary
from inferometer.record.tables import RunRecord
from inferometer.registry import Registry

__all__ = ["TRACKERS", "Logged", "Tracker", "check", "logged_of", "send"]

_HERE = "inferometer.exchange.trackers"
TRACKERS = Registry(
    "tracker",
    {
        "mlflow": f"{_HERE}.to_mlflow:MlflowTracker",
        "otlp": f"{_HERE}.to_otlp:OtlpTracker",
        "swanlab": f"{_HERE}.to_swanlab:SwanlabTracker",
        "wandb": f"{_HERE}.to_wandb:WandbTracker",
    },
    "inferometer.trackers",
)
"""Names of trackers; other packages add theirs in the entry-point group ``inferometer.trackers``."""


def check(name: str, options: Mapping[str, str] | None = None) -> Tracker:
    """The tracker of that name, ready to be used: it is installed and knows the options.

    Raises:
        UsageError: no such tracker or option, or its extra is not installed.
    """
    tracker: Tracker = TRACKERS.get(name)()
    for option in options or {}:
        if option not in tracker.options:
            known = ", ".join(f"{key} ({about})" for key, about in tracker.options.items())
            raise UsageError(f"{name} has no option {option!r}", f"known: {known}")
    tracker.check()
    return tracker


def send(
    name: str,
    run: RunRecord,
    summary: RunSummary,
    files: Sequence[Path] = (),
    options: Mapping[str, str] | None = None,
) -> str:
    """Send a run to a tracker, and say in one line where it went.

    Args:
        name: one of ``TRACKERS``.
        run: the closed run.
        summary: its numbers.
        files: kept with it, where the tracker keeps files.
        options: of the tracker, see ``Tracker.options``; its own environment variables stand where one is not given.

    Raises:
        UsageError: no such tracker or option, or its extra is not installed.
        TrackerError: it could not be sent; nothing is wrong with the run.
    """
    return check(name, options).send(run, logged_of(run, summary), files, dict(options or {}))
