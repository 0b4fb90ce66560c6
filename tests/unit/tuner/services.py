"""Services that a search can measure at once: formulas with noise, the engine in virtual time, real curves."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from virtual_servers import Batching, Fifo

from inferometer.metrics.percentiles import Stat
from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.metrics.verdict import Condition, Verdict
from inferometer.spec import LoadPoint, Sampling
from inferometer.spec import Measure as Judged
from inferometer.tuner.ledger import Measure

TOKENS = 100.0  # output tokens per request of the formulas
SWEEPS = Path(__file__).parents[3] / "../shared/data/sweeps/measured_serving_sweeps.csv"


def load_point(index: int, repeat: int, **fields: Any) -> LoadPoint:
    known: dict[str, Any] = {
        "index": index, "kind": "measure", "max_concurrency": None, "request_rate": None, "burstiness": 1.0,
        "num_prompts": None, "duration_s": None, "input_len": 256, "output_len": 64, "seed": index, "repeat": repeat,
    }  # fmt: skip
    return LoadPoint(**(known | fields))


def stat(mean: float) -> Stat:
    return Stat(count=100, mean=mean, std=0.0, min=mean, max=mean, percentiles={})


@cache
def _template() -> PointSummary:
    point = load_point(1, 1, max_concurrency=1, num_prompts=20, output_len=4)
    return msgspec.structs.replace(summarize_point(Batching().serve(point), Judged()), steady=None)


def summary(requests_per_s: float, latency_ms: float, **other: Any) -> PointSummary:
    """A faultless load point with these figures."""
    fields = {
        "values": {
            "output_throughput_per_s": requests_per_s * TOKENS,
            "request_throughput_per_s": requests_per_s,
        },
        "stats": {"e2el_ms": stat(latency_ms)},
        "stats_from_sent": {},
        "verdict": Verdict(word="VALID", conditions=[]),
    }
    return msgspec.structs.replace(_template(), **(fields | other))


def broken(*names: str, measured: float | None = None) -> dict[str, Any]:
    """Fields of a load point whose verdict is INVALID for these conditions."""
    conditions = [
        Condition(
            name=name,
            level="hard",
            asked="",
            measured=measured,
            limit=None,
            unit="",
            ok=False,
            next_step="see there",
        )
        for name in names
    ]
    return {"verdict": Verdict(word="INVALID", conditions=conditions)}


def refusing(measure: Measure, above: float, *names: str) -> Measure:
    """The same service; loads above ``above`` break these conditions."""

    def worse(load: float, repeat: int) -> PointSummary:
        found = measure(load, repeat)
        return msgspec.structs.replace(found, **broken(*names)) if load > above else found

    return worse


def closed(requests_per_s: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> Measure:
    """A closed loop: latency follows from Little's law."""
    rng = np.random.default_rng(seed)

    def measure(load: float, _: int) -> PointSummary:
        found = requests_per_s(load) * math.exp(noise * rng.standard_normal())
        return summary(found, load / found * 1e3)

    return measure


def queue(latency_s: Callable[[float], float], capacity: float, noise: float = 0.0, seed: int = 0) -> Measure:
    """An open loop before a queue; above ``capacity`` the backlog of a minute's requests is felt."""
    rng = np.random.default_rng(seed)

    def measure(rate: float, _: int) -> PointSummary:
        latency = latency_s(rate) if rate < 0.99 * capacity else 10.0 + 30.0 * (rate / capacity - 0.99)
        return summary(min(rate, capacity), latency * 1e3 * math.exp(noise * rng.standard_normal()))

    return measure


def batch_engine(places: float, base_s: float = 0.5, per_seq_s: float = 0.01) -> Callable[[float], float]:
    """Requests per second of an engine with so many places, whose time per batch grows with the batch."""

    def requests_per_s(load: float) -> float:
        batch = min(load, places)
        return batch / (base_s + per_seq_s * batch)

    return requests_per_s


def virtual(server: Batching | Fifo, **fields: Any) -> Measure:
    """A closed loop against a server in virtual time, six rounds or more of it."""
    asked = 0

    def measure(load: float, repeat: int) -> PointSummary:
        nonlocal asked
        asked += 1
        count = max(20, 6 * int(load))
        point = load_point(asked, repeat, **({"max_concurrency": int(load), "num_prompts": count} | fields))
        return summarize_point(server.serve(point), Judged(), Sampling(ignore_eos=True))

    return measure


def real_curves() -> list[tuple[str, Mapping[float, tuple[float, float]]]]:
    """Published sweeps with four loads or more: name, then concurrency -> requests per s and mean E2EL in s."""
    if not SWEEPS.exists():
        pytest.skip(f"{SWEEPS} is not here: real sweeps are not part of the repository")
    measured: dict[str, dict[float, tuple[float, float]]] = defaultdict(dict)
    for row in csv.DictReader(SWEEPS.read_text(encoding="utf-8").splitlines()):
        found = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
        if found:
            name = " ".join(
                row[key] for key in ("backend", "model_path", "system", "mode", "isl", "osl", "tp_size")
            )
            latency = float(row["silicon_ttft_ms"]) + (int(row["osl"]) - 1) * float(row["silicon_tpot_ms"])
            measured[name][float(found[1])] = (float(found[1]) / (latency / 1e3), latency / 1e3)
    return [(name, dict(sorted(curve.items()))) for name, curve in measured.items() if len(curve) >= 4]


def along(curve: Mapping[float, tuple[float, float]], noise: float = 0.0, seed: int = 0) -> Measure:
    """A real curve, straight between its loads on logarithmic scales."""
    loads = np.log(list(curve))
    rates = np.log([requests_per_s for requests_per_s, _ in curve.values()])
    return closed(lambda load: float(np.exp(np.interp(math.log(load), loads, rates))), noise, seed)
