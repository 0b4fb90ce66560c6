"""Live progress on stderr: inline and redrawn in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING

from inferometer.cli.plan import duration_text
from inferometer.loadgen.progress import NullObserver, Observer, Progress
from inferometer.record.types import PointRecord
from inferometer.spec import load_title

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

PLAIN_STEP_S = 10.0
_BAR_WIDTH = 24


def watcher(ui: str, terminal: bool) -> AbstractContextManager[Observer]:
    """The observer for ``--ui``; ``rich`` falls back to ``plain`` when the output is no terminal."""
    if ui == "none":
        return nullcontext(NullObserver())
    return RichWatcher() if ui == "rich" and terminal else PlainWatcher()


def output_rate(progress: Progress) -> float | None:
    """Output tokens per second since the point began; None in the first instant."""
    return progress.output_tokens / progress.elapsed_s if progress.elapsed_s > 0 else None


def remaining_s(progress: Progress) -> float | None:
    """Seconds left at the pace so far, or until the time limit; None when neither can be told."""
    left = [] if progress.limit_s is None else [max(progress.limit_s - progress.elapsed_s, 0.0)]
    if progress.planned is not None and progress.done:
        left.append((progress.planned - progress.done) * progress.elapsed_s / progress.done)
    return min(left, default=None)


def share_done(progress: Progress) -> float | None:
    """How much of the point is behind, 0 to 1, by requests or by time, whichever is further."""
    shares = [] if not progress.limit_s else [progress.elapsed_s / progress.limit_s]
    if progress.planned:
        shares.append(progress.done / progress.planned)
    return min(max(shares), 1.0) if shares else None


def describe(progress: Progress) -> str:
    """One line about a point under way."""
    if progress.kind in ("launch", "launched"):
        return progress.title
    planned = "" if progress.planned is None else f"/{progress.planned}"
    if progress.real_s is not None:
        return _simulated(progress, planned)
    rate, left = output_rate(progress), remaining_s(progress)
    if progress.kind == "pause":
        waits = (progress.limit_s or 0.0) - progress.elapsed_s
        return "  ".join([f"pause before {_name(progress)}: {duration_text(waits)}", *_run_left(progress)])
    words = [
        f"{_name(progress)}: {progress.done}{planned} done",
        f"{progress.in_flight} in flight",
        *([f"{progress.failed} FAILED"] if progress.failed else []),
        *([] if rate is None else [f"{rate:.0f} tok/s out"]),
        duration_text(progress.elapsed_s) + ("" if left is None else f", about {duration_text(left)} left"),
        *(["draining"] if progress.stopping else []),
        *_run_left(progress),
    ]
    return "  ".join(words)


def _simulated(progress: Progress, planned: str) -> str:
    """A simulated load point under way: how far in its own time, and how long that took."""
    words = [
        f"{_name(progress)}: {progress.done}{planned} done",
        f"{duration_text(progress.elapsed_s)} of virtual time in {duration_text(progress.real_s or 0.0)}",
        *(["stopping"] if progress.stopping else []),
    ]
    return "  ".join(words)


def _run_left(progress: Progress) -> list[str]:
    """The time until the whole run ends, where it has more than this load point."""
    if progress.run_left_s is None or progress.points_total < 2:
        return []
    return [f"run: about {duration_text(progress.run_left_s)} left"]


def _name(progress: Progress) -> str:
    count = "warm-up" if progress.kind == "warmup" else f"point {progress.point}/{progress.points_total}"
    return f"{count}  {progress.title}"


def _ended(point: PointRecord, last: Progress | None) -> str:
    name = "warm-up" if point.kind == "warmup" else f"point {point.index}"
    words = [f"{name}  {load_title(point.load)}: {point.dispatched} requests"]
    if last is not None and last.failed:
        words.append(f"{last.failed} FAILED")
    if point.epoch_ns is not None and point.end_ns is not None:
        words.append(duration_text((point.end_ns - point.epoch_ns) / 1e9))
    if point.stop_reason not in (None, "complete", "duration"):
        words.append(f"ended early: {point.stop_reason}")
    return "  ".join(words)


class PlainWatcher:
    """A line when a point begins, every ten seconds, and when it ends."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._next_s = 0.0

    def __enter__(self) -> PlainWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def on_notice(self, text: str) -> None:
        """Print it."""
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def on_progress(self, progress: Progress) -> None:
        """Print when it is time to."""
        if self._last is None or (self._last.point, self._last.kind) != (progress.point, progress.kind):
            self._next_s = 0.0
        self._last = progress
        now_s = progress.elapsed_s if progress.real_s is None else progress.real_s
        if now_s >= self._next_s:
            self._next_s = now_s + PLAIN_STEP_S
            print(describe(progress), file=sys.stderr, flush=True)

    def on_point_end(self, point: PointRecord) -> None:
        """Print what became of the point."""
        print(_ended(point, self._last), file=sys.stderr, flush=True)
        self._last = None


class RichWatcher:
    """One line that is redrawn in place; finished points stay above it. No alternate screen, no thread."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._live: Live | None = None

    def __enter__(self) -> RichWatcher:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the line back to the terminal."""
        if self._live is not None:
            self._live.stop()

    def on_notice(self, text: str) -> None:
        """Leave it above the line."""
        if self._live is not None:
            self._live.console.print(f"warning: {text}", markup=False, highlight=False, style="yellow")

    def on_progress(self, progress: Progress) -> None:
        """Redraw the line."""
        self._last = progress
        if self._live is not None:
            self._live.update(_drawn(progress), refresh=True)

    def on_point_end(self, point: PointRecord) -> None:
        """Leave a line about the point above."""
        if self._live is not None:
            self._live.update("", refresh=True)
            self._live.console.print(_ended(point, self._last), markup=False, highlight=False)
        self._last = None


def _drawn(progress: Progress) -> Text:
    from rich.text import Text

    share = share_done(progress)
    full = 0 if share is None else round(share * _BAR_WIDTH)
    bar = ("━" * full, "green"), ("━" * (_BAR_WIDTH - full), "bright_black")
    style = "red" if progress.failed else ""
    return Text.assemble(
        *(bar if share is not None else ()), "  ", (describe(progress), style), overflow="ellipsis"
    )
