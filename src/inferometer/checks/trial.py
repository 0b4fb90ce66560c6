"""One load of the sweep: the truth server and the run that make it, and what it showed of the generator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.checks.envelope import Dimension
from inferometer.checks.sweep import Outcome
from inferometer.metrics import generator
from inferometer.metrics.concurrency import plateau_concurrency
from inferometer.metrics.percentiles import highest_percentile, percentile, percentile_name
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.verdict import Condition
from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload

EVENT_STREAMS = 256
# Gates on the receive time of a chunk minus the time at which the server sent it.
ERROR_LIMIT_US = 500.0
ERROR_LIMIT_USER_US = 1000.0  # without kernel receive times
# A server that cannot keep up falls behind further and further, so half of its chunks are late. A stall that it makes
# up for is no limit: its log says when each chunk really left.
SERVER_LATE_US = 1000.0
_CROWDED_SHARE = 0.05
_CPU_BOUND = 0.85  # of a core; as the verdict's own condition
_ANSWER_S = 0.5
_TURNS = 3.5
_FEWEST_EVENTS = 12
_EVENTS_BESIDE_TOKENS = 4  # of the truth server: role, finish, usage, [DONE]
_RATE_SPAN_S = 1.5
_TTFT_S = 0.005

Ints = NDArray[np.int64]


class Pace(NamedTuple):
    """Times of the truth server, in seconds."""

    ttft_s: float
    itl_s: float


class Truth(NamedTuple):
    """What the truth server did for one answer, ns of CLOCK_MONOTONIC, one element a content chunk."""

    due_ns: Ints
    sent_ns: Ints


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One load that was tried.

    Attributes:
        dimension: what was raised.
        level: what was asked for, in its unit.
        figure: what was reached, in the same unit; None when it could not be told.
        outcome: whether the generator kept its gates.
        why: the gates that broke; empty when none did.
        error_p50_us: receive time of a chunk minus the time at which the server sent it.
        error_p99_us: the same; None with too few chunks, of which the highest percentile that they carry is judged.
        server_late_p50_us: the server's own lateness.
        cpu_share: CPU of the busiest worker, share of a core.
        cpu_us_per_event: CPU time of all workers per event received.
        workers: worker processes that carried it.
    """

    dimension: Dimension
    level: float
    figure: float | None
    outcome: Outcome
    why: str = ""
    error_p50_us: float | None = None
    error_p99_us: float | None = None
    server_late_p50_us: float | None = None
    cpu_share: float | None = None
    cpu_us_per_event: float | None = None
    receive_clock: Literal["kernel", "user"] | None = None
    workers: int = 1


def pace(dimension: Dimension, level: float) -> Pace:
    """How the server has to answer for a level."""
    if dimension == "streams":
        return Pace(1.0, 1.0)
    if dimension == "requests":
        return Pace(_TTFT_S, 0.005)
    tokens, answer_s = _answer(level)
    return Pace(_TTFT_S, (answer_s - _TTFT_S) / (tokens - 1))


def spec_of(dimension: Dimension, level: float, url: str, out: str, workers: int) -> RunSpec:
    """The run that makes a level.

    Events: 256 streams, each for half a second, three and a half turns of them. Streams: one event a second for two
    seconds; a tenth more requests than streams, so that there is a plateau to judge. Requests: answers of four
    tokens, arrivals at random (Poisson), as a run has them by default.
    """
    shape = {"events": _events, "streams": _streams, "requests": _requests}[dimension]
    load, tokens = shape(level)
    return RunSpec(
        endpoint=Endpoint(url=url),
        load=load.model_copy(update={"workers": workers, "grace_s": 5.0, "warmup": 0}),
        workload=Workload(dataset="random", input_len=(8,), output_len=(tokens,)),
        output=Output(out=out, label=("check", dimension)),
    )


def _answer(level: float) -> tuple[int, float]:
    """Tokens and duration of each answer, so that 256 streams make ``level`` events a second."""
    events = max(_FEWEST_EVENTS, round(level / EVENT_STREAMS * _ANSWER_S))
    return events - _EVENTS_BESIDE_TOKENS, events * EVENT_STREAMS / level


def _events(level: float) -> tuple[Load, int]:
    tokens, _ = _answer(level)
    return Load(max_concurrency=(EVENT_STREAMS,), num_prompts=(round(EVENT_STREAMS * _TURNS),)), tokens


def _streams(level: float) -> tuple[Load, int]:
    streams = round(level)
    return Load(max_concurrency=(streams,), num_prompts=(math.ceil(streams * 1.1) + 1,)), 2


def _requests(level: float) -> tuple[Load, int]:
    return Load(request_rate=(level,), num_prompts=(max(100, round(level * _RATE_SPAN_S)),)), 4


class Timing(NamedTuple):
    """Chunks of a run beside the server's own log, in us."""

    error_us: NDArray[np.float64]
    server_late_us: NDArray[np.float64]


def timing(table: PointTable, truth: Mapping[str, Truth]) -> Timing:
    """Join the output chunks of a run with what the server logged, by response id and order.

    Answers that the log does not know, or with another number of chunks, are left out; they did not end well, which
    the verdict of the run says.
    """
    keep = np.isin(np.asarray(table.chunks["kind"], dtype=np.float64), OUTPUT_KINDS)
    recv_ns = np.asarray(table.chunks["recv_ns"], dtype=np.float64)[keep]
    owner = np.asarray(table.chunks["request"], dtype=np.float64)[keep]
    index = table.number("index")
    start, stop = np.searchsorted(owner, index, "left"), np.searchsorted(owner, index, "right")
    epoch_ns = table.point.epoch_ns or 0
    errors, late = [np.empty(0)], [np.empty(0)]
    for place, identity in enumerate(table.text("response_id")):
        known = truth.get(str(identity))
        if known is None or len(known.sent_ns) != stop[place] - start[place]:
            continue
        errors.append(recv_ns[start[place] : stop[place]] - (known.sent_ns - epoch_ns))
        late.append((known.sent_ns - known.due_ns).astype(np.float64))
    return Timing(np.concatenate(errors) / 1e3, np.concatenate(late) / 1e3)


def judge(
    dimension: Dimension, level: float, table: PointTable, summary: PointSummary, truth: Mapping[str, Truth]
) -> Trial:
    """What a run showed of the generator.

    It broke when a hard condition of the verdict does not hold, or when its chunk times are off. A server that
    was itself late makes a level that says nothing, unless the generator had used up its CPU.
    """
    times = timing(table, truth)
    late = _percentile(times.server_late_us, 50)
    share = generator.cpu_share(table)
    broken = _broken(summary, times.error_us)
    outcome: Outcome = "broke" if broken else "held"
    if late is not None and late > SERVER_LATE_US and not (share is not None and share > _CPU_BOUND):
        outcome, broken = "server", [f"half of what the server sent was late by {late:,.0f} us or more"]
    events = len(table.chunks["recv_ns"])
    cpu_s = sum(health.cpu_s for health in table.point.health)
    if broken:
        broken += _crowded(table)
    clock = summary.client.receive_clock
    return Trial(
        dimension=dimension,
        level=level,
        figure=reached(dimension, level, table),
        outcome=outcome,
        why="; ".join(broken),
        error_p50_us=_percentile(times.error_us, 50),
        error_p99_us=percentile(times.error_us, 99),
        server_late_p50_us=late,
        cpu_share=share,
        cpu_us_per_event=cpu_s / events * 1e6 if events else None,
        receive_clock=None if clock == "virtual" else clock,
        workers=len(table.point.health),
    )


def _broken(summary: PointSummary, error_us: NDArray[np.float64]) -> list[str]:
    conditions = summary.verdict.conditions
    hard = [each for each in conditions if each.level == "hard"]
    broken = [_failure(condition) for condition in hard if condition.ok is False]
    broken += [f"{condition.name} is not known" for condition in hard if condition.ok is None]
    limit = ERROR_LIMIT_US if summary.client.receive_clock == "kernel" else ERROR_LIMIT_USER_US
    p = highest_percentile(len(error_us))
    error = _percentile(error_us, p)
    if error is None:
        broken.append("no answer could be found in the server's log")
    elif error > limit:
        broken.append(f"chunk times off by {error:,.0f} us at {percentile_name(p)}, limit {limit:,.0f}")
    return broken


def _crowded(table: PointTable) -> list[str]:
    """Says so when a worker was ready to run but had to wait for a core: then others use the machine too."""
    waits = [
        health.run_queue_wait_s / health.wall_s
        for health in table.point.health
        if health.run_queue_wait_s is not None and health.wall_s > 0
    ]
    worst = max(waits, default=0.0)
    return [f"a worker had to wait for a core {worst:.0%} of the time"] if worst > _CROWDED_SHARE else []


def _failure(condition: Condition) -> str:
    if condition.measured is None or condition.limit is None:
        return condition.name
    if condition.unit == "share":
        return f"{condition.name} {condition.measured:.2%}, limit {condition.limit:.2%}"
    unit = f" {condition.unit}" if condition.unit else ""
    return f"{condition.name} {_short(condition.measured)}{unit}, limit {_short(condition.limit)}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def reached(dimension: Dimension, level: float, table: PointTable) -> float | None:
    """The level that was really there, in the unit of the dimension."""
    if dimension == "streams":
        return plateau_concurrency(table, round(level))
    if dimension == "requests":
        rate = generator.dispatch_rate(table)
        return None if rate is None else rate.achieved_per_s
    return _event_rate(np.asarray(table.chunks["recv_ns"], dtype=np.float64))


def _event_rate(recv_ns: NDArray[np.float64]) -> float | None:
    """Events a second between the first and the last quarter of the span in which they arrived."""
    if len(recv_ns) < 2:
        return None
    first, last = float(recv_ns.min()), float(recv_ns.max())
    low, high = first + (last - first) / 4, last - (last - first) / 4
    if high <= low:
        return None
    return float(np.count_nonzero((recv_ns >= low) & (recv_ns < high)) / (high - low) * 1e9)


def _percentile(values: NDArray[np.float64], p: float) -> float | None:
    return float(np.percentile(values, p)) if len(values) else None


def best(trials: Sequence[Trial], dimension: Dimension) -> Trial | None:
    """The highest level of a dimension that held."""
    held = [trial for trial in trials if trial.dimension == dimension and trial.outcome == "held"]
    return max(held, key=lambda trial: trial.level, default=None)
