"""A server of continuous batches in virtual time: load points whose true throughput is known by arithmetic.

One thing happens at a time: a prefill, which brings the first token of one request, or a decode step, which brings a
token of every running one. With C requests always under way a request of L tokens takes a prefill and (L - 1) / C
steps of the server's time, so that in the long run

    tokens per s = E[L] / (prefill + (E[L] - 1) x step / C).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from run_builder import ClientHealth

from inferometer.record.tables import PointTable
from inferometer.record.types import PointRecord, RequestRecord

Lengths = Callable[[np.random.Generator, int], np.ndarray]
TEXT = ("status", "error", "finish_reason", "session", "model", "prompt", "output", "response_id")


def even(low: int, high: int) -> Lengths:
    """Lengths that are spread evenly from ``low`` to ``high``."""
    return lambda rng, count: rng.integers(low, high + 1, count)


@dataclass
class Server:
    """What it takes: ``prefill_s`` a request, ``step_s`` x (1 +- ``noise``) a step, ``batch`` requests at once."""

    step_s: float = 0.02
    prefill_s: float = 0.03
    noise: float = 0.1
    batch: int = 10_000
    pace: Callable[[float], float] = lambda at_s: 1.0  # how much slower than usual at this time

    def tokens_per_s(self, concurrency: int, mean_length: float) -> float:
        """The long-run throughput with that many requests always under way."""
        return mean_length / (self.prefill_s + (mean_length - 1.0) * self.step_s / concurrency)


@dataclass
class Load:
    """A closed loop of ``concurrency``, one more each ``ramp_s``; or, with ``arrivals_s``, an open one."""

    concurrency: int | None
    lengths: np.ndarray
    ramp_s: float = 0.0
    arrivals_s: np.ndarray | None = None
    input_tokens: int = 100


@dataclass
class _Course:
    """What is known of a load point as it goes on: when each step of the server ended, and who joined before which."""

    sent_s: list[float]
    first_s: list[float]
    end_s: list[float]
    joined: list[int]
    steps_s: list[float] = field(default_factory=list)


def measure(server: Server, load: Load, seed: int) -> PointTable:
    """The load point, from the first send to the last answer."""
    count, rng = len(load.lengths), np.random.default_rng(seed)
    due = load.arrivals_s
    if due is None:
        due = np.full(count, np.inf)
        due[: load.concurrency] = np.arange(min(load.concurrency or 0, count)) * load.ramp_s
    course = _Course([float(at) for at in due], [0.0] * count, [0.0] * count, [0] * count)
    todo = [(at, row) for row, at in enumerate(course.sent_s) if np.isfinite(at)]
    fresh = iter(range(load.concurrency or 0, count)) if load.arrivals_s is None else iter(())
    running: list[tuple[int, int]] = []  # after how many steps a request ends, and which
    lengths, chance, now = load.lengths.tolist(), _chance(rng), 0.0
    while todo or running:
        if not running:
            now = max(now, todo[0][0])
        if todo and len(running) < server.batch and todo[0][0] <= now:
            row = heapq.heappop(todo)[1]
            now += server.prefill_s * server.pace(now)
            course.first_s[row], course.joined[row] = now, len(course.steps_s)
            heapq.heappush(running, (len(course.steps_s) + lengths[row] - 1, row))
        else:
            now += server.step_s * server.pace(now) * (1.0 + server.noise * next(chance))
            course.steps_s.append(now)
        while running and running[0][0] <= len(course.steps_s):
            course.end_s[heapq.heappop(running)[1]] = now
            following = next(fresh, None)
            if following is not None:
                course.sent_s[following] = now
                heapq.heappush(todo, (now, following))
    return _table(load, course)


def _chance(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.uniform(-1.7, 1.7, 1000).tolist()


def _arrivals(load: Load, course: _Course) -> tuple[np.ndarray, np.ndarray]:
    """Whose tokens came, and when, by request and time: the first with its prefill, each further one with a step."""
    lengths = load.lengths
    who = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(who)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    step = np.array(course.joined)[who] + place - 1
    at_s = np.where(place == 0, np.array(course.first_s)[who], np.array([*course.steps_s, 0.0])[step])
    return who, at_s * 1e9


def _table(load: Load, course: _Course) -> PointTable:
    count = len(load.lengths)
    columns = {name: np.full(count, np.nan) for name in RequestRecord.__struct_fields__}
    columns |= {name: np.full(count, None, dtype=object) for name in TEXT}
    columns["status"][:] = "ok"
    columns["finish_reason"][:] = "length"
    sent, first, end = (np.array(t) * 1e9 for t in (course.sent_s, course.first_s, course.end_s))
    columns |= {
        "index": np.arange(float(count)),
        "planned_ns": sent,
        "sent_ns": sent,
        "first_token_ns": first,
    }
    columns |= {"first_answer_ns": first, "last_token_ns": end, "end_ns": end, "streamed": np.ones(count)}
    columns |= dict.fromkeys(
        ("worker", "server", "turn", "turns_left", "images", "cached_tokens"), np.zeros(count)
    )
    columns |= {
        "output_tokens_server": load.lengths.astype(float),
        "output_tokens_target": load.lengths.astype(float),
    }
    columns["input_tokens_server"] = np.full(count, float(load.input_tokens))
    who, at = _arrivals(load, course)
    closed = load.concurrency is not None
    took_s = float(course.sent_s[-1] - course.sent_s[0])
    rate = None if closed else (count - 1) / took_s if took_s else "inf"
    return PointTable(
        point=PointRecord(
            index=1,
            kind="measure",
            load={
                "max_concurrency": load.concurrency,
                "request_rate": rate,
                "burstiness": 1.0,
                "closed": closed,
            },
            planned_requests=count,
            dispatched=count,
            epoch_ns=0,
            stop_reason="complete",
            health=[ClientHealth(receive_clock="kernel", cpu_s=0.1, wall_s=1.0, clock_error_ns=300)],
        ),
        requests=columns,
        chunks={
            "request": who.astype(float),
            "recv_ns": at,
            "tokens": np.ones(len(who)),
            "chars": np.full(len(who), np.nan),
            "kind": np.zeros(len(who)),
            "read": np.arange(float(len(who))),
            "lag_ns": np.full(len(who), 1e4),
        },
    )
