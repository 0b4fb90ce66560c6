"""A load point as ``guidellm`` would report it (GuideLLM 0.8): one entry of ``benchmarks`` in its benchmarks.json.

Its TPOT includes TTFT: (last token - send) / n, weighted by tokens. Its ITL is (last - first token) / (n - 1) per
request, weighted by n - 1: what others call TPOT. Requests that failed or were cut off are told apart in every metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferometer.metrics.counts import cut_off_rows
from inferometer.metrics.latency import NS_PER_S, Bools, Floats
from inferometer.metrics.views.clocks import epoch_s, first_known
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.distributions import concurrency, distribution, rate
from inferometer.metrics.views.statistics import quotients, scaled
from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS, ChunkKind, RunMeta

NOTES = (
    "percentiles are values of the sample (inverse of the weighted distribution), of samples of any size",
    "rates are means over time of what happened between the first send and the last end, failed requests too",
    "token counts are the server's, else the client's; words, characters, media and confidence intervals are "
    "not recomputed",
)
_STATUSES = ("successful", "errored", "incomplete")


@dataclass(frozen=True)
class Begun:
    """Every request that was begun, one element each; seconds from the epoch, NaN where there is none.

    Attributes:
        status: mask by GuideLLM's name of it.
        events: frames of the answer, ``[DONE]`` too; ``tokens_events`` those with output.
        answer_s: first output that is not reasoning.
    """

    status: Mapping[str, Bools]
    planned_s: Floats
    start_s: Floats
    end_s: Floats
    first_s: Floats
    last_s: Floats
    answer_s: Floats
    events: Floats
    token_events: Floats
    inputs: Floats
    outputs: Floats

    @property
    def window_s(self) -> tuple[float, float]:
        """From the first send to the last end."""
        return float(self.start_s.min()), float(self.end_s.max())


def guidellm_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """One benchmark of its report, key for key, as far as our record reaches; None for statistics of nothing."""
    requests = begun_requests(table)
    anything = len(requests.start_s) > 0
    start_s, end_s = requests.window_s if anything else (None, None)
    begin_s = epoch_s(table, meta)
    return {
        "type_": "generative_benchmark",
        "config": {"strategy": guidellm_strategy(table)},
        "metrics": _metrics(requests, table) if anything else None,
        "start_time": None if start_s is None or begin_s is None else begin_s + start_s,
        "end_time": None if end_s is None or begin_s is None else begin_s + end_s,
        "duration": None if start_s is None or end_s is None else end_s - start_s,
        "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }


def guidellm_strategy(table: PointTable) -> dict[str, Any]:
    """The load by its words: how requests came."""
    load = table.point.load
    asked, limit = load.get("request_rate"), load.get("max_concurrency")
    if load.get("trace"):
        return {"type_": "trace", "time_scale": 1 / load["trace_speed"], "schedule_turn": "timestamp"}
    if asked is None:
        return {"type_": "concurrent", "max_concurrency": limit, "streams": limit}
    if asked == "inf":
        return {"type_": "throughput", "max_concurrency": limit}
    kind = {1.0: "poisson", "inf": "constant"}.get(load.get("burstiness", 1.0), "gamma")
    return {"type_": kind, "rate": asked, "max_concurrency": limit}


def begun_requests(table: PointTable) -> Begun:
    """Every request of a load point that was begun, by GuideLLM's clock."""
    # A connection that was refused has no send; there, a request starts before it connects.
    start_ns = first_known(table.number("sent_ns"), table.number("connect_start_ns"))
    begun = ~np.isnan(start_ns)
    ok = np.asarray(table.text("status") == "ok", dtype=bool)
    given_up = cut_off_rows(table) | np.isin(table.text("status").astype(str), ("aborted", "cancelled"))
    chunks = table.chunks
    kind = np.asarray(chunks["kind"], dtype=np.float64)
    row = np.searchsorted(table.number("index"), np.asarray(chunks["request"], dtype=np.float64))
    streamed = table.number("streamed") == 1.0

    def seconds(name: str) -> Floats:
        return table.number(name)[begun] / NS_PER_S

    def count(mask: Bools) -> Floats:
        return np.bincount(row[mask], minlength=len(begun))[begun].astype(np.float64)

    def of_stream(name: str) -> Floats:
        return np.where(streamed[begun], seconds(name), np.nan)

    return Begun(
        status={
            "successful": ok[begun],
            "errored": (~ok & ~given_up)[begun],
            "incomplete": (given_up & ~ok)[begun],
        },
        planned_s=seconds("planned_ns"),
        start_s=start_ns[begun] / NS_PER_S,
        end_s=first_known(seconds("end_ns"), seconds("last_token_ns"), start_ns[begun] / NS_PER_S),
        first_s=of_stream("first_token_ns"),
        last_s=of_stream("last_token_ns"),
        answer_s=of_stream("first_answer_ns"),
        events=count(kind != ChunkKind.ERROR),
        token_events=count(np.isin(kind, OUTPUT_KINDS)),
        inputs=first_known(table.number("input_tokens_server"), table.number("input_tokens_client"))[begun],
        outputs=first_known(table.number("output_tokens_server"), table.number("output_tokens_client"))[
            begun
        ],
    )


def _metrics(r: Begun, table: PointTable) -> dict[str, Any]:
    latency_s, n = r.end_s - r.start_s, r.outputs
    ttft_ms, ttfot_ms = (r.first_s - r.start_s) * 1e3, (r.answer_s - r.start_s) * 1e3
    last_s = first_known(r.last_s, r.end_s)
    tpot_ms = quotients((last_s - r.start_s) * 1e3, n)
    itl_ms = quotients((r.last_s - r.first_s) * 1e3, n - 1)
    load = table.point.load
    scheduled = bool(load.get("trace")) or load.get("request_rate") not in (None, "inf")
    # A metric that a request has not got counts as 0 there, unless the request has no first token at all.
    samples: dict[str, tuple[Floats, Floats | None]] = {
        "request_latency": (latency_s, None),
        "request_streaming_iterations_count": (r.events, None),
        "prompt_token_count": (np.nan_to_num(r.inputs), None),
        "output_token_count": (np.nan_to_num(n), None),
        "total_token_count": (np.nan_to_num(r.inputs) + np.nan_to_num(n), None),
        "time_to_first_token_ms": (ttft_ms, None),
        "time_to_first_output_token_ms": (ttfot_ms, None),
        "time_per_output_token_ms": (np.nan_to_num(tpot_ms), np.nan_to_num(n)),
        "inter_token_latency_ms": (
            np.where(np.isnan(r.first_s), np.nan, np.nan_to_num(itl_ms)),
            np.maximum(np.nan_to_num(n, nan=1.0) - 1.0, 0.0),
        ),
    }
    delays = {
        "request_dispatch_delay": r.start_s - r.planned_s,
        "request_scheduled_latency": r.end_s - r.planned_s,
    }
    counted = {name: int(mask.sum()) for name, mask in r.status.items()}
    return {
        "request_totals": {**counted, "total": len(n)},
        "requests_per_second": _over_time(r, lambda mask: (r.end_s[mask], np.ones(int(mask.sum())))),
        "request_concurrency": _by_status(
            r, lambda mask: concurrency(r.start_s[mask], r.end_s[mask], *r.window_s)
        ),
        **{name: _by_status(r, _summary(*sample)) for name, sample in samples.items()},
        **{
            name: _by_status(r, _summary(values, None)) if scheduled else None
            for name, values in delays.items()
        },
        **_token_rates(r),
    }


def _summary(values: Floats, weights: Floats | None) -> Callable[[Bools], dict[str, Any]]:
    def of(mask: Bools) -> dict[str, Any]:
        known = mask & ~np.isnan(values)
        return distribution(values[known], None if weights is None else weights[known])

    return of


def _by_status(r: Begun, make: Callable[[Bools], dict[str, Any]]) -> dict[str, Any]:
    total = make(np.ones(len(r.start_s), dtype=bool))
    found = {name: total if r.status[name].all() else make(r.status[name]) for name in _STATUSES}
    return {**found, "total": total}


def _over_time(r: Begun, events: Callable[[Bools], tuple[Floats, Floats]]) -> dict[str, Any]:
    return _by_status(r, lambda mask: rate(*events(mask), *r.window_s))


def _token_rates(r: Begun) -> dict[str, Any]:
    """Tokens per second over time: prompts when the first token came, answers evenly from the first to the last."""

    def prompts(mask: Bools) -> tuple[Floats, Floats]:
        return first_known(r.first_s, r.end_s)[mask], np.nan_to_num(r.inputs)[mask]

    def answers(mask: Bools) -> tuple[Floats, Floats]:
        return _answer_events(r, mask)

    def both(mask: Bools) -> tuple[Floats, Floats]:
        (prompt_s, prompt), (answer_s, answer) = prompts(mask), answers(mask)
        return np.concatenate((prompt_s, answer_s)), np.concatenate((prompt, answer))

    return {
        "prompt_tokens_per_second": _over_time(r, prompts),
        "output_tokens_per_second": _over_time(r, answers),
        "tokens_per_second": _over_time(r, both),
        "output_tokens_per_iteration": _by_status(r, lambda mask: distribution(answers(mask)[1])),
    }


def _answer_events(r: Begun, mask: Bools) -> tuple[Floats, Floats]:
    """When tokens came, as it spaces them: one at the first event, the rest evenly over the other events."""
    n = np.nan_to_num(r.outputs)
    spread = mask & ~np.isnan(r.first_s) & (r.token_events > 1)
    single = mask & ~spread
    single_s = first_known(r.last_s, r.end_s)[single]
    later = np.where(n[spread] > 1, r.token_events[spread] - 1, 0).astype(np.int64)
    place = np.arange(int(later.sum())) - np.repeat(np.cumsum(later) - later, later) + 1
    span_s = (r.last_s - r.first_s)[spread]
    share = np.repeat(np.where(later > 0, (n[spread] - 1) / np.maximum(later, 1), 0.0), later)
    step_s = np.repeat(span_s / np.maximum(later, 1), later)
    later_s = np.repeat(r.first_s[spread], later) + step_s * place
    return (
        np.concatenate((single_s, r.first_s[spread], later_s)),
        np.concatenate((n[single], np.minimum(n[spread], 1.0), share)),
    )


def guidellm_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means of successful requests beside ours."""
    metrics = result["metrics"] or {}

    def average(name: str, status: str = "successful") -> float | None:
        found: float | None = metrics[name][status]["mean"] if metrics else None
        return found

    return [
        Figure(
            name="TTFT",
            value=average("time_to_first_token_ms"),
            ours="TTFT",
            why="both stop at the first output",
        ),
        Figure(
            name="TPOT",
            value=average("time_per_output_token_ms"),
            ours="TPOT",
            why="its TPOT is (last token - send) / n and so includes TTFT; requests weigh by their tokens",
        ),
        Figure(
            name="ITL",
            value=average("inter_token_latency_ms"),
            ours="TPOT",
            why="its ITL is a mean per request, what we call TPOT; requests weigh by their tokens, it divides by n-1",
        ),
        Figure(
            name="request latency",
            value=scaled(average("request_latency"), 1e3),
            ours="E2EL",
            why="it ends with the exchange, we at the last output",
        ),
        Figure(
            name="output tokens per second",
            value=average("output_tokens_per_second", "total"),
            ours="output throughput",
            why="it is a mean over time of all requests' tokens, with tokens spaced evenly over each answer",
        ),
    ]
