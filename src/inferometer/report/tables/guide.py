"""The tables of Huawei's inference guide: ``benchmark_parallel.csv`` and ``benchmark_serving.csv``.

Columns and order as llm_tools writes them (``benchmark_parallel.py``, ``benchmark_utils.py``,
``benchmark_serving.py``); the early release of the guide has Chinese headings and other latencies.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics import guide, throughput
from inferometer.metrics.speculative import accept_rate
from inferometer.report.tables.cells import (
    SECONDS,
    Values,
    asked_of,
    concurrency,
    fail_share,
    length,
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

PARALLEL, SERVING = "benchmark_parallel", "benchmark_serving"


def _family(name: str, values: Values, statistics: Sequence[str], formula: str) -> list[Column]:
    """``TP90_TTFT(s)`` and its like: statistics of one latency, seconds."""
    made = {"MAX": max_of(values, SECONDS), "MIN": min_of(values, SECONDS), "AVG": mean_of(values, SECONDS)}
    return [
        Column(
            f"{word}_{name}(s)",
            made.get(word) or percentile_of(values, float(word.removeprefix("TP")), SECONDS),
            "s",
            4,
            formula,
        )
        for word in statistics
    ]


def _mean_acceptance(row: Measured) -> Cell:
    """The mean of the requests; where their streams show no steps, what the engine counted."""
    per_request = mean_of(accept_rate)(row)
    if per_request.value is not None:
        return per_request
    counted = [point.speculative.acceptance_rate for point in row.points if point.speculative is not None]
    known = [rate for rate in counted if rate is not None]
    return Cell(sum(known) / len(known) if known else None)


def _acceptance(tp90: str, tp99: str, largest: str, smallest: str, mean: str) -> list[Column]:
    """The columns of speculative decoding, in every table of a run in which it was seen."""
    cells = (
        (tp90, percentile_of(accept_rate, 90)),
        (tp99, percentile_of(accept_rate, 99)),
        (largest, max_of(accept_rate)),
        (smallest, min_of(accept_rate)),
        (mean, _mean_acceptance),
    )
    formula = (
        "per request: (out - 1 - (steps - 1) s) / ((steps - 1) k s), k drafted tokens a step, s steps a chunk"
    )
    return [Column(heading, make, "share", 4, formula, optional=True) for heading, make in cells]


_SIX = ("TP75", "TP90", "TP95", "TP99", "MAX", "AVG")
_STATIC = (
    Column("Input_Length", length("input_len", lambda d: d.input_tokens), "tokens", 1, "as asked, else mean"),
    Column(
        "Output_Length", length("output_len", lambda d: d.output_tokens), "tokens", 1, "as asked, else mean"
    ),
    Column("Concurrency", concurrency, "", 0, "requests in flight, as asked"),
    Column(
        "Total_Token_Throughput(tokens/s)",
        rate_of(throughput.total_throughput),
        "tokens/s",
        formula="input and output tokens as counted / Total_Time",
    ),
    Column(
        "Output_Token_Throughput(tokens/s)",
        rate_of(throughput.output_throughput),
        "tokens/s",
        formula="output tokens as counted / Total_Time (the script takes the requested length)",
    ),
    *_family("TTFT", lambda d: d.ttft_ms, _SIX, "t1 - t0"),
    *_family(
        "TPOT", lambda d: d.tpot_ms, _SIX, "(t_end - t1) / (out - 1), or less the tokens of the first chunk"
    ),
    *_family(
        "TPOT_SEC",
        guide.tpot_from_second_ms,
        _SIX[1:],
        "(t_end - t2) / (out - 2), or less those of both chunks",
    ),
    *_family(
        "TIME_BETWEEN_FIRST_AND_SECOND_TOKEN",
        guide.second_chunk_gap_ms,
        ("TP90", "TP95", "TP99", "MIN", "MAX", "AVG"),
        "t2 - t1",
    ),
    *_family("E2E", lambda d: d.e2el_ms, _SIX, "t_end - t0"),
    Column("Total_Time(s)", total_of(throughput.window_s), "s", 3, "last end - first send, of all repeats"),
    Column(
        "QPS", rate_of(throughput.request_throughput), "req/s", formula="successful requests / Total_Time"
    ),
    Column(
        "Fail_Rate",
        fail_share,
        "share",
        4,
        "failed / ended (the script sends a failed request again)",
        failures=True,
    ),
    Column("Backend", asked_of("endpoint", "backend"), formula="the API that was spoken"),
    Column("Temperature", asked_of("sampling", "temperature"), formula="empty = not sent"),
    Column("Top_k", asked_of("sampling", "top_k"), formula="empty = not sent"),
    Column("Top_p", asked_of("sampling", "top_p"), formula="empty = not sent"),
    *_acceptance(
        "TP90_SPEC_ACCEPT_RATE",
        "TP99_SPEC_ACCEPT_RATE",
        "MAX_SPEC_ACCEPT_RATE",
        "MIN_SPEC_ACCEPT_RATE",
        "AVG_SPEC_ACCEPT_RATE",
    ),
)
_DYNAMIC = (
    Column("DATASET", asked_of("workload", "dataset")),
    Column("AVG_Input_Length", mean_of(lambda d: d.input_tokens), "tokens", 1),
    Column("AVG_Output_Length", mean_of(lambda d: d.output_tokens), "tokens", 1),
    Column("REQ_RATE", rate, "req/s", formula="as asked; inf = all at once"),
    Column("QPS", rate_of(throughput.request_throughput), "req/s", 3, "successful requests / duration"),
    Column("AVG_REQ_LATENCY", mean_of(lambda d: d.e2el_ms, SECONDS), "s", 3, "mean of t_end - t0"),
    Column(
        "AVG_PER_REQ_OUTPUT_TOKEN_THROUGHPUT",
        mean_of(guide.decode_rate_per_s),
        "tokens/s",
        formula="mean of out / (t_end - t1)",
    ),
    Column(
        "AVG_LATENCY_PER_TOKEN_FOR_A_SINGLE_REQ",
        mean_of(guide.decode_ms_per_token),
        "ms",
        formula="mean of (t_end - t1) / out",
    ),
    Column("AVG_TTFT", mean_of(lambda d: d.ttft_ms), "ms", formula="mean of t1 - t0"),
    Column(
        "AVG_OUTPUT_TOKEN_THROUGHPUT",
        rate_of(throughput.output_throughput),
        "tokens/s",
        formula="output tokens / duration",
    ),
)


def _early(word: str, values: Values, formula: str) -> list[Column]:
    return [
        Column(f"{word}时延TP90（ms）", percentile_of(values, 90), "ms", formula=formula),
        Column(f"{word}时延TP99（ms）", percentile_of(values, 99), "ms", formula=formula),
        Column(f"最大{word}时延（ms）", max_of(values), "ms", formula=formula),
        Column(f"平均{word}时延（ms）", mean_of(values), "ms", formula=formula),
    ]


_EARLY_STATIC = (
    Column("输入长度", length("input_len", lambda d: d.input_tokens), "tokens", 1, "as asked, else mean"),
    Column("输出长度", length("output_len", lambda d: d.output_tokens), "tokens", 1, "as asked, else mean"),
    Column("并发数", concurrency, "", 0, "requests in flight, as asked"),
    Column(
        "输出tokens总吞吐",
        rate_of(throughput.output_throughput),
        "tokens/s",
        formula="output tokens as counted / (last end - first send)",
    ),
    *_early("首tokens", lambda d: d.ttft_ms, "t1 - t0"),
    *_early("增量", guide.undisturbed_gap_ms, "gaps between chunks that touch no request's t0 to t1, pooled"),
    *_acceptance("投机接受率TP90", "投机接受率TP99", "最大投机接受率", "最小投机接受率", "平均投机接受率"),
)


def _order(row: Measured) -> tuple[float, ...]:
    """As the scripts sort: static by lengths and concurrency, dynamic by rate."""
    load = row.load
    if row.static:
        return (load.get("input_len") or 0, load.get("output_len") or 0, load.get("max_concurrency") or 0)
    return (float(row.rate),) if row.rate is not None else (0.0,)


# The order of the sheets in output.xlsx, as benchmark.py writes them.
_SHEETS = ((SERVING, lambda row: not row.static), (PARALLEL, lambda row: row.static))
_NOTES = (
    "t0 = request written, t1, t2 = first and second chunk with output, t_end = last one, out = output tokens.",
    "Latencies count output, not role-only frames; requests with too few tokens are left out, not counted as 0.",
)
GUIDE = Style(
    name="guide",
    about="Huawei's guide: benchmark_parallel.csv for fixed concurrency, benchmark_serving.csv for rates",
    sheets=_SHEETS,
    columns=lambda sheet, rows: _STATIC if sheet == PARALLEL else _DYNAMIC,
    notes=_NOTES,
    order=_order,
)
GUIDE_ZH = Style(
    name="guide-zh",
    about="the same with the Chinese columns of the guide's early release",
    sheets=_SHEETS,
    columns=lambda sheet, rows: _EARLY_STATIC if sheet == PARALLEL else _DYNAMIC,
    notes=(
        *_NOTES,
        "增量时延 leaves out every gap during which any request waited for its first token: it hides what new "
        "requests cost those that are decoding. See the columns TPOT of --table guide.",
    ),
    order=_order,
)
