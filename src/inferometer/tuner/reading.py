"""From a load point that was measured to a probe: pure, the same whether the run is going on or is read again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.metrics.capacity import Outcome, Probe, Reading
from inferometer.metrics.latency import NS_PER_MS, PointData
from inferometer.metrics.summary import PointSummary
from inferometer.record.tables import PointTable
from inferometer.spec import derive_seed
from inferometer.tuner.objective import Objective
from inferometer.tuner.overload import overload_of

# Hard conditions that fail for the client's or the measurement's sake; the others are the server's.
OF_CLIENT = frozenset(
    {
        "workers",
        "send lag",
        "receive lag",
        "chunk times",
        "client CPU",
        "clock",
        "clock error",
        "achieved rate",
    }
)
OF_CLIENT_CLOSED = OF_CLIENT | {"concurrency"}
# These put single latencies out by so many ms; the others are about the load itself, or about all that was measured.
_PUT_OUT = frozenset({"send lag", "receive lag", "clock error", "chunk times"})
# Of the tightest limit. Were all requests so late, that were 2 % of the rate in M/D/1 at p95 <= 6 services, and it is
# one in a hundred that is.
_FELT = 0.05
_FROM_PLANNED = ("ttft", "e2el")  # the latencies that a late send is a part of


def probe_of(
    table: PointTable, summary: PointSummary, objectives: Sequence[Objective], seed: int, load: float
) -> Probe:
    """What a load point says of the limits.

    Args:
        table: the requests.
        summary: the same in numbers, with the verdict.
        objectives: the limits.
        seed: of what is drawn for intervals.
        load: the value that the search varies.
    """
    data = PointData(table, "planned", tuple(summary_slos(objectives)))
    asked = table.point.load
    own = derive_seed(seed, f"probe {table.point.index}")
    readings = [objective.read(data, own) for objective in objectives]
    over = (
        None if asked.get("request_rate") is None else overload_of(table, float(asked.get("burstiness", 1.0)))
    )
    failed = _hard_failures(table, summary, objectives)
    outcome, why = _outcome(summary, readings, over is not None, failed)
    if over is not None and outcome == "overload":
        why = f"in flight grew by {over.growth:.0f} over half of the load point"
    e2el = summary.stats.get("e2el_ms")
    return Probe(
        load=load,
        repeat=int(asked.get("repeat", 1)),
        index=table.point.index,
        requests=summary.counts.records,
        arrivals=int((~(table.number("turn") > 0)).sum()),
        duration_s=((table.point.end_ns or 0) - (table.point.epoch_ns or 0)) / 1e9,
        outcome=outcome,
        why=why,
        readings=[] if outcome == "client" else readings,
        request_throughput_per_s=summary.values.get("request_throughput_per_s"),
        output_throughput_per_s=summary.values.get("output_throughput_per_s"),
        e2el_ms=None if e2el is None else e2el.mean,
        carried_per_s=None if over is None else over.carried_per_s,
    )


def summary_slos(objectives: Sequence[Objective]) -> list[str]:
    """The limits per request, as ``metrics.slo`` reads them."""
    return list(dict.fromkeys(text for objective in objectives for text in objective.per_request))


def _hard_failures(table: PointTable, summary: PointSummary, objectives: Sequence[Objective]) -> set[str]:
    """Hard conditions that do not hold, but for a lateness too small to be felt in the tightest limit on a latency.

    The verdict judges what all figures are good for, a TTFT of a few ms among them; a search asks for no more than on
    which side of its limits a load lies.
    """
    limits = [each for objective in objectives for each in objective.limits_ms]
    tightest_ms = min((limit for _, limit in limits), default=0.0)
    from_planned_ms = min((limit for metric, limit in limits if metric in _FROM_PLANNED), default=tightest_ms)
    failed = set()
    for condition in summary.verdict.failed:
        size_ms = condition.measured if condition.name in _PUT_OUT else None
        if condition.name == "chunk times":
            blur_ns = np.nan_to_num(table.number("blur_max_ns"))
            size_ms = float(np.percentile(blur_ns, 99)) / NS_PER_MS
        limit_ms = from_planned_ms if condition.name == "send lag" else tightest_ms
        if condition.level == "hard" and (size_ms is None or size_ms > _FELT * limit_ms):
            failed.add(condition.name)
    return failed


def _outcome(
    summary: PointSummary, readings: Sequence[Reading], overload: bool, failed: set[str]
) -> tuple[Outcome, str]:
    """What the load point says of its load, and why where that is not a limit."""
    closed = summary.load.get("request_rate") is None
    capped = summary.load.get("max_concurrency") is not None
    own = failed & (OF_CLIENT_CLOSED if closed else OF_CLIENT)
    if capped and not closed and own == {"achieved rate"}:
        return "overload", "--max-concurrency held requests back"
    if own:
        return "client", ", ".join(sorted(own))
    if overload:
        return "overload", ""
    if failed:
        return "not met", ", ".join(sorted(failed))
    words = {reading.met for reading in readings}
    return ("not met" if "not met" in words else "met" if words == {"met"} else "unclear"), ""
