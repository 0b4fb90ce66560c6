"""The figures of AISBench and of MindIE's benchmark, one row a load point, under their names."""

from __future__ import annotations

from inferometer.metrics import throughput
from inferometer.metrics.latency import Floats, PointData, steps
from inferometer.metrics.views.mindie import gaps_by_request
from inferometer.metrics.views.statistics import quotients
from inferometer.report.tables.cells import (
    Make,
    Values,
    concurrency,
    count_of,
    fail_share,
    max_of,
    mean_of,
    min_of,
    percentile_of,
    rate,
    rate_of,
    total_of,
)
from inferometer.report.tables.measured import Measured
from inferometer.report.tables.model import Cell, Column, Style


def _total_input(data: PointData) -> float | None:
    return throughput.total(data.input_tokens)


def _total_output(data: PointData) -> float | None:
    return throughput.total(data.output_tokens)


def _mean_in_flight(data: PointData) -> float | None:
    """AISBench's Concurrency: sum of the latencies / duration."""
    window, total_ms = throughput.window_s(data), throughput.total(data.e2el_ms)
    return None if not window or total_ms is None else total_ms / 1e3 / window


def _output_rate(data: PointData) -> Floats:
    """OutputTokenThroughput, GeneratedTokenSpeed: output tokens / latency, per request."""
    return quotients(data.output_tokens * 1e3, data.e2el_ms)


def _input_rate(data: PointData) -> Floats:
    """PrefillTokenThroughput: input tokens / TTFT, per request; waiting in the queue is part of it."""
    return quotients(data.input_tokens * 1e3, data.ttft_ms)


def _statistics(name: str, values: Values, unit: str, formula: str = "") -> list[Column]:
    made: list[tuple[str, Make]] = [
        ("Average", mean_of(values)),
        ("Min", min_of(values)),
        ("Max", max_of(values)),
        ("Median", percentile_of(values, 50)),
        ("P75", percentile_of(values, 75)),
        ("P90", percentile_of(values, 90)),
        ("P99", percentile_of(values, 99)),
    ]
    return [Column(f"{name} {word} ({unit})", make, unit, 4, formula) for word, make in made]


_AISBENCH = (
    Column("Max Concurrency", concurrency, "", 0, "as asked"),
    Column("Request Rate (req/s)", rate, "req/s", formula="as asked"),
    Column(
        "Benchmark Duration (ms)", total_of(throughput.window_s, 1e3), "ms", formula="last end - first send"
    ),
    Column("Total Requests", count_of(lambda p: p.counts.records), "", 0),
    Column("Failed Requests", count_of(lambda p: p.counts.failed), "", 0, failures=True),
    Column("Success Requests", count_of(lambda p: p.counts.ok), "", 0),
    Column("Concurrency", rate_of(_mean_in_flight), "", 4, "sum of E2EL / duration"),
    Column("Request Throughput (req/s)", rate_of(throughput.request_throughput), "req/s", 4),
    Column("Total Input Tokens", total_of(_total_input, whole=True), "tokens", 0),
    Column("Total Generated Tokens", total_of(_total_output, whole=True), "tokens", 0),
    Column("Input Token Throughput (token/s)", rate_of(throughput.input_throughput), "token/s", 4),
    Column("Output Token Throughput (token/s)", rate_of(throughput.output_throughput), "token/s", 4),
    Column("Total Token Throughput (token/s)", rate_of(throughput.total_throughput), "token/s", 4),
    *_statistics("E2EL", lambda d: d.e2el_ms, "ms"),
    *_statistics("TTFT", lambda d: d.ttft_ms, "ms"),
    *_statistics("TPOT", lambda d: d.tpot_ms, "ms"),
    *_statistics("ITL", lambda d: d.itl_ms, "ms"),
    Column("InputTokens Average", mean_of(lambda d: d.input_tokens), "tokens", 4),
    Column("OutputTokens Average", mean_of(lambda d: d.output_tokens), "tokens", 4),
    Column(
        "OutputTokenThroughput Average (token/s)", mean_of(_output_rate), "token/s", 4, "output tokens / E2EL"
    ),
    Column(
        "PrefillTokenThroughput Average (token/s)", mean_of(_input_rate), "token/s", 4, "input tokens / TTFT"
    ),
)
AISBENCH = Style(
    name="aisbench",
    about="AISBench's common metrics and statistics, stage total",
    sheets=(("aisbench", lambda row: True),),
    columns=lambda sheet, rows: _AISBENCH,
    notes=(
        "Definitions are ours, from the send, over the whole load point (stage total); requests of one token have "
        "no TPOT. --as aisbench computes its own, and its stable stage.",
    ),
)


def _decode_ms(data: PointData) -> Floats:
    """DecodeTime: all gaps between output chunks, pooled."""
    return steps(data.output_chunks).gap_ms


def _gaps_by_request(data: PointData) -> tuple[Floats, Floats, Floats]:
    gaps = steps(data.output_chunks)
    return gaps_by_request(gaps.row, gaps.gap_ms, int(data.ok.sum()))


def _last_decode_ms(data: PointData) -> Floats:
    """LastDecodeTime: the last gap of each request."""
    return _gaps_by_request(data)[0]


def _max_decode_ms(data: PointData) -> Floats:
    """MaxDecodeTime: the largest gap of each request."""
    return _gaps_by_request(data)[1]


def _mean_decode_ms(data: PointData) -> Floats:
    """Mean gap of each request, whose P90 is the SLO_P90 of DecodeTime."""
    return _gaps_by_request(data)[2]


def _lpct(row: Measured) -> Cell:
    """Sum of TTFT / sum of input tokens."""
    waited = row.sample(lambda d: d.ttft_ms)
    tokens = row.sum(_total_input)
    return Cell(float(waited.sum()) / tokens if len(waited) and tokens else None)


def _per_client(row: Measured) -> Cell:
    """OutputGenerateSpeed / Concurrency; empty where the concurrency is not limited."""
    limit, speed = row.load.get("max_concurrency"), row.mean(throughput.output_throughput)
    if limit is None:
        return Cell("")
    return Cell(None if speed is None else speed / limit)


def _family(
    name: str, values: Values, unit: str, slo: Values | None = None, formula: str = ""
) -> list[Column]:
    made: list[tuple[str, Make]] = [
        ("average", mean_of(values)),
        ("max", max_of(values)),
        ("min", min_of(values)),
        ("P75", percentile_of(values, 75)),
        ("P90", percentile_of(values, 90)),
        ("SLO_P90", percentile_of(slo or values, 90)),
        ("P99", percentile_of(values, 99)),
    ]
    return [Column(f"{name} {word} ({unit})", make, unit, 4, formula) for word, make in made]


_MINDIE = (
    Column("Concurrency", concurrency, "", 0, "as asked"),
    Column("RequestRate (req/s)", rate, "req/s", formula="as asked"),
    *_family("FirstTokenTime", lambda d: d.ttft_ms, "ms", formula="first output - send"),
    *_family("DecodeTime", _decode_ms, "ms", _mean_decode_ms, "gaps pooled; SLO_P90 of each request's mean"),
    *_family("LastDecodeTime", _last_decode_ms, "ms", formula="last gap of each request"),
    *_family("MaxDecodeTime", _max_decode_ms, "ms", formula="largest gap of each request"),
    *_family("GenerateTime", lambda d: d.e2el_ms, "ms", formula="last output - send"),
    Column("InputTokens average", mean_of(lambda d: d.input_tokens), "tokens", 4),
    Column("GeneratedTokens average", mean_of(lambda d: d.output_tokens), "tokens", 4),
    Column(
        "GeneratedTokenSpeed average (token/s)", mean_of(_output_rate), "token/s", 4, "tokens / GenerateTime"
    ),
    Column("TimeElapsed (s)", total_of(throughput.window_s), "s", 4, "last end - first send"),
    Column("Failed", count_of(lambda p: p.counts.failed), "", 0, failures=True),
    Column("Failed share", fail_share, "share", 4),
    Column("Returned", count_of(lambda p: p.counts.ok), "", 0),
    Column("Total", count_of(lambda p: p.counts.records), "", 0),
    Column("lpct (ms)", _lpct, "ms", 4, "sum of FirstTokenTime / sum of input tokens"),
    Column("Throughput (req/s)", rate_of(throughput.request_throughput), "req/s", 4),
    Column("OutputGenerateSpeed (token/s)", rate_of(throughput.output_throughput), "token/s", 4),
    Column("InputGenerateSpeed (token/s)", rate_of(throughput.input_throughput), "token/s", 4),
    Column("TotalGenerateSpeed (token/s)", rate_of(throughput.total_throughput), "token/s", 4),
    Column(
        "GenerateSpeedPerClient (token/s)", _per_client, "token/s", 4, "OutputGenerateSpeed / Concurrency"
    ),
)
MINDIE = Style(
    name="mindie",
    about="the rows of MindIE benchmark's two tables as columns",
    sheets=(("mindie", lambda row: True),),
    columns=lambda sheet, rows: _MINDIE,
    notes=(
        "Names are MindIE's, definitions ours: only output stops FirstTokenTime, requests without a gap have no "
        "LastDecodeTime. --as mindie prints its own two tables.",
    ),
)
