"""How far another machine's clock is ahead of ours, from round trips. Pure but for the call that is timed."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.clock import Clock
from inferometer.record.types import ClockMark

SAMPLES = 60
LIMIT_NS = 2_000_000_000  # for a path so slow that the samples would hold up the load


def compare(ask: Callable[[], int], clock: Clock, workers: list[int]) -> ClockMark:
    """Ask for the other machine's time again and again; the answer that came soonest counts.

    The other clock was read at some moment between question and answer: taken as the middle, it cannot be off by more
    than half of the round trip (F. Cristian, Probabilistic clock synchronization, 1989; RFC 5905, clock filter).

    Args:
        ask: what the other machine's monotonic clock shows.
        clock: ours.
        workers: which run there.
    """
    began_ns = clock.now_ns()
    best: tuple[int, int, int] | None = None
    longest_ns = 0
    for _ in range(SAMPLES):
        sent_ns = clock.now_ns()
        theirs_ns = ask()
        back_ns = clock.now_ns()
        trip_ns = back_ns - sent_ns
        longest_ns = max(longest_ns, trip_ns)
        if best is None or trip_ns < best[0]:
            best = (trip_ns, theirs_ns, theirs_ns - (sent_ns + back_ns) // 2)
        if back_ns - began_ns > LIMIT_NS:
            break
    assert best is not None
    trip_ns, at_ns, offset_ns = best
    return ClockMark(
        workers=workers,
        at_ns=at_ns,
        offset_ns=offset_ns,
        bound_ns=-(-trip_ns // 2),
        round_trip_max_ns=longest_ns,
    )
