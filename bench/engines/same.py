"""The same workload measured by us and by ``vllm bench serve`` in turns: do they differ by more than runs do?

Both send random prompts of one length in a closed loop to one server, a seed a turn. What we report is held against
it by vLLM's own definitions (``--as vllm``).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engines.clients import Asked, Kit, Load, run_ours, run_vllm_bench
from engines.edges import EdgeLog, edge_means
from engines.servers import Placement, Server
from inferometer.metrics.latency import PointData
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.tables import RunRecord

LOAD = Load(8, 128, 256, 64)
SIGNIFICANT = 0.01
RELATIVE, ABSOLUTE = 0.02, 1.0  # a difference below both is too small to matter; the second in ms
THROUGHPUTS = ("request_throughput", "output_throughput", "total_token_throughput")
LATENCIES = tuple(
    f"{statistic}_{metric}_ms"
    for metric in ("ttft", "tpot", "itl", "e2el")
    for statistic in ("mean", "median", "p99")
)
MUST_EQUAL = ("completed", "total_output_tokens")
PROMPTS_ALIKE = 0.01
_WARM = Load(8, 64, 256, 64)  # the engine still gets faster for some seconds
_WARM_SEED = 100  # none of the turns


class UnlikeError(Exception):
    """The two did not put the same work on the server."""


@dataclass(frozen=True)
class Held:
    """One metric of both, over all turns.

    Attributes:
        metric: as vLLM names it.
        ours, theirs: a value a turn.
        difference: of the means, ours less theirs.
        noise: standard deviation of one run, pooled over both.
        p_value: share of the ways to deal the values out to two sides that differ at least as much (exact
            permutation test, two-sided).
    """

    metric: str
    ours: list[float]
    theirs: list[float]
    difference: float
    noise: float
    p_value: float

    @property
    def word(self) -> str:
        """What to make of it."""
        runs = len(self.ours)
        if 2 / math.comb(runs + len(self.theirs), runs) >= SIGNIFICANT:
            return "too few runs to tell"
        if self.p_value >= SIGNIFICANT:
            return "within run noise"
        mean = statistics.fmean(self.theirs)
        least = max(RELATIVE * mean, ABSOLUTE if self.metric.endswith("_ms") else 0.0)
        return "differs by less than 2 % or 1 ms" if abs(self.difference) <= least else "differs"


def off_the_server(own: Mapping[str, float], edge: Mapping[str, float]) -> list[str]:
    """Which of our mean TTFT and E2EL is off the server's, in the same runs, by more than 2 % and 1 ms."""
    return [
        f"{name.upper()} is off by {own[name] - edge[name.upper()]:+.3f} ms"
        for name in ("ttft", "e2el")
        if edge and abs(own[name] - edge[name.upper()]) > max(RELATIVE * edge[name.upper()], ABSOLUTE)
    ]


def permutation_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """P value of the difference of two means: each division of all values into two groups of these sizes counts once.

    Source: R. A. Fisher, The Design of Experiments (1935), section 21. Five against five have 252 divisions, so the
    smallest value is 2/252.
    """
    every = [*ours, *theirs]
    whole = sum(every)

    def apart(total: float) -> float:
        return abs(total / len(ours) - (whole - total) / len(theirs))

    seen = apart(sum(ours)) * (1 - 1e-9)  # sums in another order
    totals = [sum(group) for group in itertools.combinations(every, len(ours))]
    return sum(apart(total) >= seen for total in totals) / len(totals)


def hold(metric: str, ours: Sequence[float], theirs: Sequence[float]) -> Held:
    """Both sides of a metric; needs two turns at least."""
    noise = statistics.fmean((statistics.variance(ours), statistics.variance(theirs))) ** 0.5
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    return Held(metric, list(ours), list(theirs), difference, noise, permutation_p(ours, theirs))


def compare(
    server: Server, place: Placement, kit: Kit, turns: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Interleaved runs of both sides, who goes first alternating.

    Returns:
        ``held`` (one ``Held`` a metric), ``edge`` (mean TTFT and E2EL at the server's HTTP edge in each side's runs,
        ms) and ``own`` (our metrics by our own definitions, means over the runs).

    Raises:
        UnlikeError: counts of requests or tokens differ.
        ClientError: a run failed.
    """
    run_ours(server, _WARM, place, kit, Asked(seed=_WARM_SEED))
    log = EdgeLog(server.edge) if server.edge else None
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
    edge: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    own: list[dict[str, float]] = []
    for turn in range(turns):
        for side in ("ours", "theirs") if turn % 2 == 0 else ("theirs", "ours"):
            if log:
                log.new()
            if side == "ours":
                record = run_ours(server, LOAD, place, kit, Asked(seed=turn))
                found[side].append(vllm_result(record.measured[0], record.meta))
                own.append(_own(record))
            else:
                found[side].append(run_vllm_bench(server, LOAD, place, kit, turn))
            if log:  # theirs asks once more before, to see whether the server is there
                served = sorted(log.new().values(), key=lambda one: one.begun_ns)[-LOAD.requests :]
                edge[side].append(edge_means(served))
            say(f"turn {turn + 1} of {turns}, {side}: mean TTFT {found[side][-1]['mean_ttft_ms']:.1f} ms")
        _check_alike(found["ours"][-1], found["theirs"][-1])
    held = [
        hold(metric, *([float(one[metric]) for one in found[side]] for side in ("ours", "theirs")))
        for metric in (*THROUGHPUTS, *LATENCIES)
    ]
    return {
        "held": [{**asdict(one), "word": one.word} for one in held],
        "edge": {side: _means(rows) for side, rows in edge.items()},
        "own": _means(own),
    }


def _own(record: RunRecord) -> dict[str, float]:
    """Means by our own definitions, from the send."""
    data = PointData(record.measured[0], "sent")
    return {
        "ttft": float(data.ttft_ms.mean()),
        "tpot": float(data.tpot_ms.mean()),
        "itl": float(data.itl_ms.mean()),
        "e2el": float(data.e2el_ms.mean()),
    }


def _check_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Requests and output tokens are equal; prompts made of random tokens may be one token longer when read again."""
    unlike = [f"{name}: {ours[name]} and {theirs[name]}" for name in MUST_EQUAL if ours[name] != theirs[name]]
    inputs = [int(one["total_input_tokens"]) for one in (ours, theirs)]
    if abs(inputs[0] - inputs[1]) > PROMPTS_ALIKE * min(inputs):
        unlike.append(f"total_input_tokens: {inputs[0]} and {inputs[1]}")
    if unlike:
        raise UnlikeError(f"ours and theirs are not the same work: {'; '.join(unlike)}")


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(row[name] for row in rows) for name in (rows[0] if rows else ())}
