"""From lists to load points: pairing and defaults.

Seeds. Every measured load point carries ``load.seed`` itself, so that points of one run send the same order,
lengths and arrival pattern, and differ in the load alone. A room that draws numbers takes its own stream with
``derive_seed(point.seed, concern)``; the concerns in use are ``workload`` and ``schedule``. The warm-up point
gets ``derive_seed(load.seed, "warmup")``, so that it does not put the measured prompts into a prefix cache.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from inferometer.errors import UsageError
from inferometer.spec.data import TRACES, Workload
from inferometer.spec.lengths import parse_lengths
from inferometer.spec.model import RunSpec
from inferometer.spec.rules import check_spec

DEFAULT_CONCURRENCY = (1, 4, 16, 64)
DEFAULT_OUTPUT_LEN = 128  # tokens, random data
WARMUP_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load: everything a schedule and a workload need, with no lists left.

    ``max_concurrency`` alone is a closed loop; ``request_rate`` is an open loop, which ``max_concurrency`` then
    limits; an infinite rate with a limit is a closed loop too (as vLLM's users write it). The order of a run is
    the order of ``index``: 0 is the warm-up, measured points count from 1.
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

    @property
    def closed(self) -> bool:
        """Whether a new request waits for an earlier one to end."""
        return self.request_rate is None and not self.trace

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
    lists = _lists(spec)
    rows = _crossed(lists) if spec.load.pair == "grid" else _paired(lists)
    rounds = product(range(1, spec.sweep.repeat + 1), rows)
    return tuple(_point(spec, index, row, repeat) for index, (repeat, row) in enumerate(rounds, start=1))


def warmup_point(spec: RunSpec, first: LoadPoint) -> LoadPoint | None:
    """The uncounted load point before ``first``: a closed loop of a few requests of the same kind."""
    count = spec.load.warmup
    if count == 0:
        return None
    return LoadPoint(
        index=0,
        kind="warmup",
        max_concurrency=min(count, first.max_concurrency or WARMUP_CONCURRENCY),
        request_rate=None,
        burstiness=1.0,
        num_prompts=count,
        duration_s=None,
        input_len=first.input_len,
        output_len=first.output_len,
        seed=derive_seed(spec.load.seed, "warmup"),
    )


def load_title(load: Mapping[str, Any], lengths: bool = False) -> str:
    """``concurrency 16``, ``rate 4 req/s``, ``all at once``.

    Args:
        load: a load point as ``PointRecord.load`` holds it.
        lengths: with tokens in and out, for runs whose points differ in them.
    """
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    if load.get("trace"):
        title = f"trace x{load.get('trace_speed', 1.0):g}"
    elif rate is None:
        title = "closed loop" if limit is None else f"concurrency {limit}"
    else:
        unit = "sessions/s" if load.get("sessions") else "req/s"
        title = "all at once" if rate in ("inf", float("inf")) else f"rate {rate:g} {unit}"
        title += "" if limit is None else f", at most {limit}"
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


def _paired(lists: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    length = max(len(values) for values in lists.values())
    if any(len(values) not in (1, length) for values in lists.values()):
        counts = ", ".join(
            f"--{name.replace('_', '-')} has {len(values)}"
            for name, values in lists.items()
            if len(values) > 1
        )
        raise UsageError(
            f"lists of different lengths cannot pair up: {counts}",
            "give lists of equal length (one value serves all points), or cross them with --pair grid",
        )
    return [
        {name: values[i if len(values) > 1 else 0] for name, values in lists.items()} for i in range(length)
    ]


def _crossed(lists: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """The cross product; ``num_prompts`` stays beside its load list when they are equally long."""
    axes = {name: [{name: value} for value in values] for name, values in lists.items()}
    counts = lists.get("num_prompts", ())
    partner = next(
        (name for name in ("request_rate", "max_concurrency") if len(lists.get(name, ())) == len(counts)),
        None,
    )
    if partner is not None and len(counts) > 1:
        del axes["num_prompts"]
        axes[partner] = [row | {"num_prompts": n} for row, n in zip(axes[partner], counts, strict=True)]
    return [{name: value for row in rows for name, value in row.items()} for rows in product(*axes.values())]


def _point(spec: RunSpec, index: int, row: Mapping[str, Any], repeat: int) -> LoadPoint:
    limit: int | None = row.get("max_concurrency")
    rate: float | None = row.get("request_rate")
    if rate is not None and math.isinf(rate) and limit is not None:
        rate = None
    count: int | None = row.get("num_prompts")
    trace: bool = row.get("trace", False)
    if count is None and spec.load.duration_s is None and not trace:
        count = _default_count(limit, rate)
    return LoadPoint(
        index=index,
        kind="measure",
        max_concurrency=limit,
        request_rate=rate,
        burstiness=spec.load.burstiness if rate is not None else 1.0,
        num_prompts=count,
        duration_s=spec.load.duration_s,
        input_len=row.get("input_len"),
        output_len=row.get("output_len"),
        seed=spec.load.seed,
        trace=trace,
        trace_speed=spec.trace.trace_speed if trace else 1.0,
        sessions=spec.sessions.wanted,
        repeat=repeat,
    )


def _default_count(limit: int | None, rate: float | None) -> int:
    """Requests when nothing bounds a point: a few turns of a closed loop, all at once 1000, or a minute."""
    if rate is None:
        return max(20, 4 * (limit or 1))
    return 1000 if math.isinf(rate) else max(100, math.ceil(60 * rate))
