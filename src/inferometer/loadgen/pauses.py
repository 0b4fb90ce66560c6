"""Rests between load points: watched like a load point, and ended by whoever wants the run to end."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from inferometer.clock import Clock
from inferometer.loadgen.progress import Observer, Progress
from inferometer.loadgen.stop import StopSignal

STEP_S = 0.1
TELL_EVERY_STEPS = 3


def rest(
    seconds: float,
    before: Progress,
    observer: Observer,
    stop: StopSignal,
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Let time go by.

    Args:
        seconds: how long.
        before: what the observer is told, but for the time gone by.
        observer: told about three times a second.
        stop: looked at ten times a second; asked for, it ends the rest.
        clock: says how long it was.
        sleep: waits so many seconds.

    Returns:
        The seconds that went by.
    """
    began_ns = clock.now_ns()
    rested_s, step = 0.0, 0
    while rested_s < seconds and not stop.level:
        if step % TELL_EVERY_STEPS == 0:
            observer.on_progress(_at(before, rested_s))
        sleep(min(STEP_S, seconds - rested_s))
        rested_s, step = (clock.now_ns() - began_ns) / 1e9, step + 1
    return rested_s


def pausing(point: int, points_total: int, title: str, seconds: float) -> Progress:
    """What an observer is told at the beginning of a rest before load point ``point``."""
    return Progress(
        point=point,
        points_total=points_total,
        kind="pause",
        title=title,
        planned=None,
        done=0,
        failed=0,
        in_flight=0,
        output_tokens=0,
        elapsed_s=0.0,
        limit_s=seconds,
    )


def _at(progress: Progress, elapsed_s: float) -> Progress:
    return msgspec.structs.replace(progress, elapsed_s=elapsed_s)
