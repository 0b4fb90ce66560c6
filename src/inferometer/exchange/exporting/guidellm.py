"""``benchmarks.json`` of GuideLLM 0.8 (schema 2), which its own ``guidellm export`` and models read.

Its reader wants a number wherever it has one: a statistic of nothing is 0 with a count of 0, and timings of its own
scheduler that no record holds are 0 and named under ``not_recorded``.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from inferometer.exchange.exporting.loads import asked_of
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import json_bytes
from inferometer.metrics.views.clocks import epoch_s, first_known
from inferometer.metrics.views.distributions import distribution
from inferometer.metrics.views.guidellm import Begun, begun_requests, guidellm_result, guidellm_strategy
from inferometer.record.tables import PointTable

_SCHEMA = 2
_NOT_RECORDED = (
    "queued_time_avg", "resolve_start_delay_avg", "resolve_targeted_start_delay_avg", "request_start_delay_avg",
    "resolve_end_delay_avg", "resolve_time_avg", "finalized_delay_avg", "processed_delay_avg",
)  # fmt: skip
_ABSENT = ("time_to_last_round_trip_ms", "avg_round_trip_time_ms", "iter_tokens_per_iteration")
_MEDIA = {
    "text": ("words", "characters"),
    "image": ("tokens", "images", "pixels", "bytes"),
    "video": ("tokens", "frames", "seconds", "bytes"),
    "audio": ("tokens", "samples", "seconds", "bytes"),
    "tool_call": ("tokens", "mixed_tokens", "count"),
}
_SUMMARY = (
    "input", "input_per_second", "input_concurrency", "output", "output_per_second", "output_concurrency",
    "total", "total_per_second", "total_concurrency",
)  # fmt: skip
_STATUSES = ("successful", "errored", "incomplete")


def guidellm_files(source: Source) -> list[Made]:
    """One report with all load points."""
    return [Made(PurePosixPath("benchmarks.json"), guidellm_joined(source, ".json"))]


def guidellm_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    measured = [
        (place, table) for place, table in enumerate(source.tables) if len(begun_requests(table).start_s)
    ]
    report = {
        "metadata": {
            "version": _SCHEMA,
            "guidellm_version": "0.8.1",
            "python_version": source.meta.environment.get("python", ""),
            "platform": source.meta.environment.get("system", ""),
        },
        "config": {
            "metadata": {"labels": _labels(source)},
            "spec": {"backend": _backend(source), "profile": _profile(source), "data": [_data(source)]},
        },
        "benchmarks": [_benchmark(source, table, place) for place, table in measured],
        "conclusions": [source.flags()] if source.marks else [],
    }
    return json_bytes(report, indent=None)


def _labels(source: Source) -> dict[str, str]:
    marks = {name: str(value) for name, value in source.flags().items()}
    return {**source.meta.labels, "name": source.marked(source.meta.label).strip(), **marks}


def _backend(source: Source) -> dict[str, Any]:
    # Its model refuses a backend without an address; a simulated run had none.
    target = source.meta.spec.get("endpoint", {}).get("url") or "http://simulated.invalid"
    return {"kind": "openai_http", "target": target, "model": source.meta.model}


def _profile(source: Source) -> dict[str, Any]:
    """A profile that its model takes, and that plans the loads of the first kind; each benchmark has its own."""
    strategies = [_strategy(guidellm_strategy(table)) for table in source.tables]
    kind = strategies[0]["type_"]
    alike = [strategy for strategy in strategies if strategy["type_"] == kind]
    if kind == "concurrent":
        return {"kind": kind, "streams": [strategy["streams"] for strategy in alike]}
    if kind in ("constant", "poisson"):
        return {"kind": kind, "rate": [strategy["rate"] for strategy in alike]}
    return {"kind": "replay" if kind == "trace" else kind}


def _data(source: Source) -> dict[str, Any]:
    lengths = source.tables[0].point.load
    return {
        "kind": "synthetic_text",
        "prompt_tokens": lengths.get("input_len") or 1,
        "output_tokens": lengths.get("output_len") or 1,
    }


def _benchmark(source: Source, table: PointTable, place: int) -> dict[str, Any]:
    result = guidellm_result(table, source.meta)
    begun = begun_requests(table)
    strategy = _strategy(result["config"]["strategy"])
    return {
        **result,
        "config": {
            "run_id": source.meta.run_id,
            "run_index": place,
            "strategy": strategy,
            "constraints": {},
            # The profile is free: it tells the load as we were asked for it.
            "profile": {"kind": strategy["type_"], "inferometer_load": asked_of(table), **source.flags()},
            "requests": {},
            "backend": _backend(source),
            "environment": {},
        },
        "scheduler_state": _state(result, table),
        "scheduler_metrics": _scheduler(result, begun, strategy["type_"]),
        "metrics": _metrics(result["metrics"]),
        "requests": _listed(table, begun, epoch_s(table, source.meta) or 0.0)
        if source.asked.detailed
        else _none(),
        **source.flags(),
    }


def _strategy(strategy: dict[str, Any]) -> dict[str, Any]:
    """Its own kinds of arrivals: gamma is none of them, and Poisson the nearest; the profile has the load as asked."""
    kind = "poisson" if strategy["type_"] == "gamma" else strategy["type_"]
    return {**strategy, "type_": kind}


def _state(result: dict[str, Any], table: PointTable) -> dict[str, Any]:
    counted = result["metrics"]["request_totals"]
    start_s, end_s = result["start_time"] or 0.0, result["end_time"] or 0.0
    return {
        "node_id": 0,
        "num_processes": table.point.workers,
        "start_time": start_s,
        "end_time": end_s,
        "start_requests_time": start_s,
        "end_requests_time": end_s,
        "created_requests": table.point.dispatched,
        "processed_requests": counted["total"],
        "successful_requests": counted["successful"],
        "errored_requests": counted["errored"],
        "cancelled_requests": counted["incomplete"],
    }


def _scheduler(result: dict[str, Any], begun: Begun, kind: str) -> dict[str, Any]:
    start_s, end_s = result["start_time"] or 0.0, result["end_time"] or 0.0
    late_s = begun.start_s - begun.planned_s
    took_s = begun.end_s - begun.start_s
    return {
        "start_time": start_s,
        "request_start_time": start_s,
        "measure_start_time": start_s,
        "measure_end_time": end_s,
        "request_end_time": end_s,
        "end_time": end_s,
        "requests_made": result["metrics"]["request_totals"],
        **dict.fromkeys(_NOT_RECORDED, 0.0),
        "request_targeted_start_delay_avg": float(late_s.mean()),
        "request_time_avg": float(took_s.mean()),
        "strategy_type": kind,
        "not_recorded": list(_NOT_RECORDED),
    }


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    found = {name: _numbers(value) for name, value in metrics.items()}
    nothing = _numbers({status: distribution(np.zeros(0)) for status in (*_STATUSES, "total")})
    tokens = dict.fromkeys(_SUMMARY) | {
        "input": found["prompt_token_count"],
        "input_per_second": found["prompt_tokens_per_second"],
        "output": found["output_token_count"],
        "output_per_second": found["output_tokens_per_second"],
        "total": found["total_token_count"],
        "total_per_second": found["tokens_per_second"],
    }
    media = {name: dict.fromkeys(parts) for name, parts in _MEDIA.items()}
    return {**found, **dict.fromkeys(_ABSENT, nothing), **media, "text": {"tokens": tokens, **media["text"]}}


def _numbers(metric: Any) -> Any:
    """The four distributions of a metric as its reader takes them: 0 for a statistic of nothing."""
    if not isinstance(metric, dict):
        return metric
    return {status: _filled(of) if isinstance(of, dict) else of for status, of in metric.items()}


def _filled(of: dict[str, Any]) -> dict[str, Any]:
    kept = ("pdf", "mean_ci", "percentile_cis")
    found = {name: value if name in kept or value is not None else 0.0 for name, value in of.items()}
    found["percentiles"] = {name: value or 0.0 for name, value in of["percentiles"].items()}
    return found


def _none() -> dict[str, Any]:
    return {**{status: [] for status in _STATUSES}, "total": None}


def _listed(table: PointTable, begun: Begun, begin_s: float) -> dict[str, Any]:
    """Every request under its status, with its times in Unix seconds."""
    found = _none()
    # As in ``begun_requests``: a connection that was refused has no send.
    start_ns = first_known(table.number("sent_ns"), table.number("connect_start_ns"))
    rows = np.flatnonzero(~np.isnan(start_ns)).tolist()
    for place, row in enumerate(rows):
        status = next(name for name in _STATUSES if begun.status[name][place])
        found[status].append(_request(table, begun, (place, row), status, begin_s))
    return found


def _request(
    table: PointTable, begun: Begun, where: tuple[int, int], status: str, begin_s: float
) -> dict[str, Any]:
    place, row = where
    name = f"{table.point.index}-{int(table.number('index')[row])}"

    def moment(values: Any) -> float | None:
        value = float(values[place])
        return None if math.isnan(value) else begin_s + value

    def count(values: Any) -> int | None:
        value = float(values[place])
        return None if math.isnan(value) else int(value)

    ended = {"successful": "completed", "errored": "errored", "incomplete": "cancelled"}
    return {
        "type_": "generative_request_stats",
        "request_id": name,
        "response_id": table.text("response_id")[row],
        "output": table.text("output")[row],
        "info": {
            "request_id": name,
            "conversation_id": table.text("session")[row],
            "turn_index": int(table.number("turn")[row]),
            "status": ended[status],
            "error": table.text("error")[row],
            "timings": {
                "targeted_start": moment(begun.planned_s),
                "request_start": moment(begun.start_s),
                "first_request_iteration": moment(begun.first_s),
                "first_token_iteration": moment(begun.first_s),
                "first_output_token_iteration": moment(begun.answer_s),
                "last_token_iteration": moment(begun.last_s),
                "last_request_iteration": moment(begun.last_s),
                "request_iterations": count(begun.events),
                "token_iterations": count(begun.token_events),
                "request_end": moment(begun.end_s),
                "resolve_end": moment(begun.end_s),
            },
        },
        "input_metrics": {"text_tokens": count(begun.inputs)},
        "output_metrics": {"text_tokens": count(begun.outputs)},
        "request_start_time": moment(begun.start_s),
        "request_end_time": moment(begun.end_s),
        "prompt_tokens": count(begun.inputs),
        "output_tokens": count(begun.outputs),
        **_derived(begun, place),
    }


def _derived(begun: Begun, place: int) -> dict[str, float]:
    """What it derives of a request, as far as that exists; from our exact times, not from rounded Unix seconds."""
    start_s, first_s, last_s = (float(each[place]) for each in (begun.start_s, begun.first_s, begun.last_s))
    n = float(begun.outputs[place])
    found = {
        "request_latency": float(begun.end_s[place]) - start_s,
        "time_to_first_token_ms": (first_s - start_s) * 1e3,
        "time_to_first_output_token_ms": (float(begun.answer_s[place]) - start_s) * 1e3,
        "time_per_output_token_ms": (last_s - start_s) * 1e3 / n if n > 0 else math.nan,
        "inter_token_latency_ms": (last_s - first_s) * 1e3 / (n - 1) if n > 1 else math.nan,
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}
