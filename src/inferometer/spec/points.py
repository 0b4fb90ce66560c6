"""From lists to load points: defaults, rounds, order, warm-ups.

Seeds. Every measured load point of the first round carries ``load.seed`` itself, so that points of one round send the
same order, lengths and arrival pattern, and differ in the load alone. Each further round (``--repeat``) draws them
anew, from ``derive_seed(load.seed, "repeat 2")``: an interval over repeats has to hold the chance of lengths and
arrivals too, which equal seeds would hide; ``--same-prompts`` keeps one seed, and its spread is the server's alone. A
room that draws numbers takes its own stream with ``derive_seed(point.seed, concern)``; the concerns in use are
``workload``, ``schedule`` and ``cancel``. A warm-up has a seed of its own, so that it does not put the measured
prompts into a prefix cache.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any

from inferometer.spec.curves import Curve
from inferometer.spec.data import TRACES, Workload
from inferometer.spec.lengths import parse_lengths
from inferometer.spec.model import RunSpec
from inferometer.spec.pairing import rows_of_lists
from inferometer.spec.rules import check_spec
from inferometer.spec.shaping import (
    Bounds,
    curve_of,
    mean_rate,
    settled_s,
    shape_fields,
    shape_words,
    usual_bounds,
)

DEFAULT_CONCURRENCY = (1, 4, 16, 64)
DEFAULT_OUTPUT_LEN = 128  # tokens, random data
WARMUP_CONCURRENCY = 4

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load: everything a schedule and a workload need, with no lists left.

    ``max_concurrency`` alone is a closed loop; ``request_rate`` is an open loop, which ``max_concurrency`` then
    limits; an infinite rate with a limit is a closed loop too (as vLLM's users write it). Measured points count from
    1 in the order of the run; ``index`` of the warm-up is 0, or -N for one that belongs to point N alone.
    """

    index: int
    kind: str  # "warmup" or "measure"
    max_concurrency: int | None
    request_rate: float | None  # requests per second, inf = all at once, None = closed loop
    burstiness: float
    num_prompts: int | None
    duration_s: float | None
    input_len: int | None  # tokens, random data only
    output_len: int | None  # tokens; None = the data set's own
    seed: int
    trace: bool = False  # requests are due at the times that the data set recorded
    trace_speed: float = 1.0  # so many times as fast
    sessions: bool = False  # what arrives, or holds a permit, is a session of several turns
    repeat: int = 1  # which measurement of the same load this is
    ramp: str | None = None  # "linear", "exponential", "step" or "climb"
    ramp_from: float | None = None  # requests per second, or in flight
    ramp_time_s: float | None = None  # None = it goes over the requests, or follows from ``climb``
    ramp_steps: int | None = None
    climb: float | None = None
    climb_every_s: float | None = None
    burst: int = 1  # requests that arrive together
    spike: float | None = None  # so many times the load for a while
    spike_at_s: float | None = None
    spike_time_s: float | None = None
    waves: bool = False  # a round begins when the round before has ended
    drain: str = "finish"  # or "cut": what happens to requests in flight when the point is stopped
    stop_on_errors: float | None = None  # failed share
    stop_on_saturation: bool = False
    cancel_share: float = 0.0  # of the requests
    cancel_within_s: float | None = None  # None = after a random part of the answer

    @property
    def closed(self) -> bool:
        """Whether a new request waits for an earlier one to end."""
        return self.request_rate is None and not self.trace

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoadPoint:
        """The load point that ``to_dict`` gave; what other versions know beside it is left out."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        numbers = {name: math.inf for name in ("request_rate", "burstiness") if values.get(name) == "inf"}
        return cls(**{**values, **numbers})

    @property
    def curve(self) -> Curve | None:
        """Rate, or requests in flight, over time; None for a load that stays as it is."""
        return None if self.ramp is None and self.spike is None else curve_of(self)

    @property
    def peak_concurrency(self) -> int | None:
        """Most requests in flight, or the limit on them; None without a limit."""
        curve = self.curve if self.closed else None
        return self.max_concurrency if curve is None else int(curve.peak + 1e-9)

    @property
    def peak_rate(self) -> float | None:
        """Highest number of requests per second; None for a closed loop and for a trace."""
        curve = None if self.closed else self.curve
        return self.request_rate if curve is None else curve.peak

    @property
    def mean_rate(self) -> float | None:
        """Requests per second over the whole load point; None for a closed loop and for a trace."""
        return mean_rate(self)

    @property
    def settled_s(self) -> float:
        """From when on the load is as high as was asked for, in seconds from the epoch; 0 without a ramp."""
        return settled_s(self)

    @property
    def identity(self) -> str:
        """What this load point asks for, whatever its place in the run; equal for equal loads of the same repeat."""
        own = {name: value for name, value in self.to_dict().items() if name != "index"}
        return json.dumps(own, sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``run.json``; an infinite rate is the text "inf"."""
        data = asdict(self)
        data["closed"] = self.closed
        for key in ("request_rate", "burstiness"):
            if data[key] is not None and math.isinf(data[key]):
                data[key] = "inf"
        return data


def load_points(spec: RunSpec) -> tuple[LoadPoint, ...]:
    """The measured load points of a run, in order, from index 1.

    Raises:
        UsageError: the spec contradicts itself (see ``check_spec``), or its lists do not pair up.
    """
    check_spec(spec)
    rows = rows_of_lists(_lists(spec), spec.load.pair)
    rounds = [
        (repeat, row) for repeat in range(1, spec.sweep.repeat + 1) for row in _ordered(spec, rows, repeat)
    ]
    return tuple(_point(spec, index, row, repeat) for index, (repeat, row) in enumerate(rounds, start=1))


def _ordered(spec: RunSpec, rows: Sequence[Row], repeat: int) -> Sequence[Row]:
    """The rows in the order in which one round measures them."""
    if spec.sweep.order == "reversed":
        return rows[::-1]
    if spec.sweep.order == "shuffled":
        return Random(derive_seed(spec.load.seed, f"order {repeat}")).sample(rows, len(rows))  # noqa: S311 - no secret
    return rows


def with_warmups(spec: RunSpec, points: Sequence[LoadPoint]) -> tuple[LoadPoint, ...]:
    """``points`` in their order, with the warm-ups that the spec asks for."""
    preceded = points if spec.sweep.warmup_each else points[:1]
    warmups = {point.index: warmup_point(spec, point) for point in preceded}
    pairs = ((warmups.get(point.index), point) for point in points)
    return tuple(each for pair in pairs for each in pair if each is not None)


def warmup_point(spec: RunSpec, first: LoadPoint) -> LoadPoint | None:
    """The uncounted load point before ``first``: a closed loop of a few requests of the same kind."""
    count, own = spec.load.warmup, spec.sweep.warmup_each
    if count == 0:
        return None
    return LoadPoint(
        index=-first.index if own else 0,
        kind="warmup",
        max_concurrency=min(count, first.max_concurrency or WARMUP_CONCURRENCY),
        request_rate=None,
        burstiness=1.0,
        num_prompts=count,
        duration_s=None,
        input_len=first.input_len,
        output_len=first.output_len,
        seed=derive_seed(spec.load.seed, f"warmup {first.index}" if own else "warmup"),
    )


def load_title(load: Mapping[str, Any], lengths: bool = False) -> str:
    """``concurrency 16``, ``rate 4 req/s``, ``all at once``, ``rate 1 to 8 req/s linear``.

    Args:
        load: a load point as ``PointRecord.load`` holds it.
        lengths: with burstiness and tokens in and out, for runs whose points differ in them.
    """
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    before, after = shape_words(load)
    if load.get("trace"):
        title = f"trace x{load.get('trace_speed', 1.0):g}"
    elif rate is None:
        title = "closed loop" if limit is None else f"concurrency {before}{limit}"
    else:
        unit = "sessions/s" if load.get("sessions") else "req/s"
        title = "all at once" if rate in ("inf", float("inf")) else f"rate {before}{rate:g} {unit}"
    title += after
    if rate is not None and limit is not None:
        title += f", at most {limit}"
    if load.get("case"):
        title += f", {load['case']}"  # of an imported sweep, by the name that its tool gave it
    if lengths and load.get("burstiness", 1.0) not in (None, 1.0):
        title += f", burstiness {load['burstiness']}"
    if lengths and load.get("input_len") is not None:
        title += f", in {load['input_len']}"
    if lengths and load.get("output_len") is not None:
        title += f", out {load['output_len']}"
    return title


def derive_seed(seed: int, concern: str) -> int:
    """An independent 63-bit seed for one concern: the head of SHA-256 over ``seed:concern``."""
    digest = hashlib.sha256(f"{seed}:{concern}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _lists(spec: RunSpec) -> dict[str, tuple[Any, ...]]:
    """Every list that makes load points, defaults filled in; the last one varies fastest in a grid."""
    load, data = spec.load, spec.workload
    lists: dict[str, tuple[Any, ...] | None] = {"input_len": None, "output_len": data.output_len}
    if data.dataset == "random":
        default = (spec.sampling.max_tokens or DEFAULT_OUTPUT_LEN,)
        # Lengths that vary from request to request are none of a load point's.
        lists["input_len"] = None if data.lengths or data.input_dist else data.input_len
        lists["output_len"] = None if data.lengths or data.output_dist else data.output_len or default
    concurrency = load.max_concurrency
    replayed = _replayed(spec)
    if concurrency is None and load.request_rate is None and not replayed:
        concurrency = DEFAULT_CONCURRENCY
    lists |= {
        "trace": (True,) if replayed else None,
        "max_concurrency": concurrency,
        "request_rate": load.request_rate,
        "burstiness": load.burstiness if load.request_rate is not None else None,
        "num_prompts": load.num_prompts or _planned(data),
    }
    return {name: values for name, values in lists.items() if values is not None}


def _planned(data: Workload) -> tuple[int, ...] | None:
    """The number of requests that a file of lengths asks for."""
    asked = parse_lengths(data.lengths).requests if data.lengths is not None else None
    return None if asked is None else (asked,)


def _replayed(spec: RunSpec) -> bool:
    """Whether the data set's own arrivals are the load; with another load, only its lengths and order are used."""
    asked = spec.load.max_concurrency, spec.load.request_rate
    return spec.workload.dataset in TRACES and asked == (None, None)


def _point(spec: RunSpec, index: int, row: Row, repeat: int) -> LoadPoint:
    limit: int | None = row.get("max_concurrency")
    rate: float | None = row.get("request_rate")
    if rate is not None and math.isinf(rate) and limit is not None:
        rate = None
    count: int | None = row.get("num_prompts")
    if spec.sweep.epochs is not None and limit is not None:
        count = spec.sweep.epochs * limit
    trace: bool = row.get("trace", False)
    point = LoadPoint(
        index=index,
        kind="measure",
        max_concurrency=limit,
        request_rate=rate,
        burstiness=row["burstiness"] if rate is not None else 1.0,
        num_prompts=count,
        duration_s=spec.load.duration_s,
        input_len=row.get("input_len"),
        output_len=row.get("output_len"),
        seed=_round_seed(spec, repeat),
        trace=trace,
        trace_speed=spec.trace.trace_speed if trace else 1.0,
        sessions=spec.sessions.wanted,
        repeat=repeat,
        **shape_fields(spec.shape, Bounds(count, spec.load.duration_s), limit, rate),
    )
    if count is not None or spec.load.duration_s is not None or trace:
        return point
    point = replace(point, num_prompts=_default_count(limit, rate))  # a ramp over requests goes over these
    bounds = usual_bounds(point, _default_count(limit, rate))
    return replace(point, num_prompts=bounds.num_prompts, duration_s=bounds.duration_s)


def _round_seed(spec: RunSpec, repeat: int) -> int:
    seed = spec.load.seed
    return seed if repeat == 1 or spec.sweep.same_prompts else derive_seed(seed, f"repeat {repeat}")


def _default_count(limit: int | None, rate: float | None) -> int:
    """Requests when nothing bounds a point: a few turns of a closed loop, all at once 1000, or a minute."""
    if rate is None:
        return max(20, 4 * (limit or 1))
    return 1000 if math.isinf(rate) else max(100, math.ceil(60 * rate))
