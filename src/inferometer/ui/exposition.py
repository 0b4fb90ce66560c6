"""Runs in progress as families of metrics, named as those of ``--prometheus-port``, with a label ``run`` each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferometer.exchange.prometheus.declared import families
from inferometer.exchange.prometheus.exposition import Family
from inferometer.ui.live import LivePoint, LiveRun

_LATENCIES = ("ttft", "tpot")
_Value = tuple[float | None, dict[str, str]]


def families_of(runs: Sequence[LiveRun]) -> list[Family]:
    """Counters over each run, gauges of its load point under way; a value that is not known has no sample."""
    found: dict[str, list[_Value]] = {"runs_in_progress": [(float(len(runs)), {})]}
    for run in runs:
        for name, value in (*_counted(run), *_under_way(run)):
            found.setdefault(name, []).append(value)
    return families(found)


def _counted(run: LiveRun) -> Iterator[tuple[str, _Value]]:
    yield "run", (1.0, {"run": run.name, "model": run.model})
    for kind in dict.fromkeys(point.kind for point in run.points):
        own = [point for point in run.points if point.kind == kind]
        labels = {"run": run.name, "kind": kind}
        yield "requests_done", (sum(point.done for point in own), labels)
        yield "requests_failed", (sum(point.failed for point in own), labels)
        yield "output_tokens", (sum(point.output_tokens for point in own), labels)


def _under_way(run: LiveRun) -> Iterator[tuple[str, _Value]]:
    if not run.points or run.points[-1].ended:
        return
    now, labels = run.points[-1], {"run": run.name}
    place = {"point": str(now.index), "points": str(run.points_total), "kind": now.kind, "load": now.title}
    yield "load_point", (1.0, labels | place)
    gauges = {
        "requests_in_flight": now.in_flight,
        "load_point_requests_planned": now.planned,
        "load_point_elapsed_seconds": now.elapsed_s,
        "request_rate_per_second": now.request_rate_per_s,
        "output_token_rate_per_second": now.output_rate_per_s,
    }
    for name, value in gauges.items():
        yield name, (value, labels)
    for metric in _LATENCIES:
        for key, value_ms in _percentiles(now, metric).items():
            quantile = labels | {"quantile": f"{float(key[1:]) / 100:g}"}
            yield f"{metric}_seconds", (None if value_ms is None else value_ms / 1e3, quantile)


def _percentiles(point: LivePoint, metric: str) -> dict[str, float | None]:
    return point.ttft_ms if metric == "ttft" else point.tpot_ms
