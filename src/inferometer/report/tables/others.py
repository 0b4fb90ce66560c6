"""The tables of EvalScope, of its speed benchmark, of LMDeploy and of vLLM: one row a load point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferometer.metrics import throughput
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.percentiles import samples_needed
from inferometer.metrics.views.statistics import quotients
from inferometer.report.tables.cells import (
    SECONDS,
    UNKNOWABLE,
    Make,
    concurrency,
    label_of,
    length,
    mean_of,
    percentile_of,
    rate,
    rate_of,
)
from inferometer.report.tables.measured import Measured
from inferometer.report.tables.model import Cell, Column, Style


def _success(row: Measured) -> Cell:
    """Percent, as EvalScope prints it."""
    good, bad = row.count(lambda p: p.counts.ok), row.count(lambda p: p.counts.failed)
    return Cell(100.0 * good / (good + bad) if good + bad else None)


# Headings and order: evalscope.perf.utils.report.summary (1.x).
_EVALSCOPE = (
    Column("Conc.", concurrency, "", 0, "as asked"),
    Column("Rate", rate, "req/s", formula="as asked"),
    Column("RPS", rate_of(throughput.request_throughput), "req/s", formula="successful / duration"),
    Column("Avg Lat.(s)", mean_of(lambda d: d.e2el_ms, SECONDS), "s", 3),
    Column("P99 Lat.(s)", percentile_of(lambda d: d.e2el_ms, 99, SECONDS), "s", 3),
    Column("Avg TTFT(ms)", mean_of(lambda d: d.ttft_ms), "ms"),
    Column("P99 TTFT(ms)", percentile_of(lambda d: d.ttft_ms, 99), "ms"),
    Column("Avg TPOT(ms)", mean_of(lambda d: d.tpot_ms), "ms"),
    Column("P99 TPOT(ms)", percentile_of(lambda d: d.tpot_ms, 99), "ms"),
    Column("Gen. tok/s", rate_of(throughput.output_throughput), "tok/s", formula="output tokens / duration"),
    Column("Success Rate", _success, "%", 1, "successful / (successful + failed)", failures=True),
)
EVALSCOPE = Style(
    name="evalscope",
    about="EvalScope's summary table",
    sheets=(("evalscope", lambda row: True),),
    columns=lambda sheet, rows: _EVALSCOPE,
    notes=(
        "Definitions are ours, from the send: only output stops TTFT, percentiles are interpolated; "
        "--as evalscope computes its own.",
    ),
)


def _speed(data: PointData) -> Floats:
    """Output tokens / latency, per request."""
    return quotients(data.output_tokens * 1e3, data.e2el_ms)


# Headings: evalscope.perf.utils.db_util.speed_benchmark_result; Qwen's speed report has the same three.
_SPEED = (
    Column(
        "Prompt Tokens", length("input_len", lambda d: d.input_tokens), "tokens", 0, "as asked, else mean"
    ),
    Column("Speed(tokens/s)", mean_of(_speed), "tokens/s", formula="mean of output tokens / latency"),
    Column("GPU Memory(GB)", label_of("gpu_memory_gb"), "GB", formula="--label gpu_memory_gb=N"),
)
SPEED = Style(
    name="speed",
    about="speed by prompt length, as EvalScope's speed_benchmark and Qwen's report",
    sheets=(("speed_benchmark", lambda row: True),),
    columns=lambda sheet, rows: _SPEED,
    notes=(
        "Speed is that of one request and includes its prefill.",
        "A client cannot see the server's memory: give it with --label gpu_memory_gb=N.",
    ),
)


def _per_node(number: Callable[[PointData], float | None]) -> Make:
    def make(row: Measured) -> Cell:
        value = row.mean(number)
        return UNKNOWABLE if row.nodes is None else Cell(None if value is None else value / row.nodes)

    return make


def _prompts(row: Measured) -> Cell:
    asked = row.load.get("num_prompts")
    return Cell(asked if asked is not None else row.points[0].counts.planned)


_LMDEPLOY = (
    Column("max bsz", label_of("max_bsz"), formula="--label max_bsz=N: the server's setting"),
    Column("prompt no", _prompts, "", 0, "requests of a load point"),
    Column("input-len", length("input_len", lambda d: d.input_tokens), "tokens", 0, "as asked, else mean"),
    Column("output-len", length("output_len", lambda d: d.output_tokens), "tokens", 0, "as asked, else mean"),
    Column(
        "per node input token thr (tok/s)",
        _per_node(throughput.input_throughput),
        "tok/s",
        formula="input tokens / duration / nodes",
    ),
    Column(
        "per node output token thr (tok/s)",
        _per_node(throughput.output_throughput),
        "tok/s",
        formula="output tokens / duration / nodes",
    ),
)
LMDEPLOY = Style(
    name="lmdeploy",
    about="LMDeploy's table of lengths and throughput per node (needs --nodes-served)",
    sheets=(("lmdeploy", lambda row: True),),
    columns=lambda sheet, rows: _LMDEPLOY,
    notes=(
        "Give what a client cannot see: --nodes-served N, and --label max_bsz=N for the server's batch size.",
    ),
)


_COUNTED = ("num_prompts", "completed", "failed", "total_input_tokens", "total_output_tokens", "duration")
_SAMPLES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "itl": "itl_ms", "e2el": "e2el_ms"}


def _of_vllm(key: str) -> Make:
    """A key of vLLM's result object: counts and duration added up, everything else the mean over repeats."""

    def make(row: Measured) -> Cell:
        values = [(point.vllm or {}).get(key) for point in row.points]
        known = [value for value in values if isinstance(value, (int, float))]
        if not known or len(known) < len(values):
            return Cell(values[0] if values and isinstance(values[0], str) else None)
        value = sum(known) if key in _COUNTED else sum(known) / len(known)
        return Cell(value, _needed(row, key))

    return make


def _needed(row: Measured, key: str) -> int | None:
    """What a percentile of one repeat needs and did not have."""
    parts = key.split("_")
    if len(parts) != 3 or parts[1] not in _SAMPLES or not parts[0][1:].replace(".", "").isdigit():
        return None
    needed = samples_needed(float(parts[0][1:]))
    name = _SAMPLES[parts[1]]
    smallest = min(point.stats[name].count if name in point.stats else 0 for point in row.points)
    return needed if smallest < needed else None


def _vllm_columns(sheet: str, rows: Sequence[Measured]) -> list[Column]:
    """Rows of vLLM's block as columns; percentiles as they were asked for. CSV has the keys of its JSON."""
    fixed = (
        ("max_concurrency", "Max concurrency", "", 0),
        ("request_rate", "Request rate (req/s)", "req/s", 2),
        ("completed", "Successful requests", "", 0),
        ("failed", "Failed requests", "", 0),
        ("duration", "Benchmark duration (s)", "s", 2),
        ("total_input_tokens", "Total input tokens", "tokens", 0),
        ("total_output_tokens", "Total generated tokens", "tokens", 0),
        ("request_throughput", "Request throughput (req/s)", "req/s", 2),
        ("request_goodput", "Request goodput (req/s)", "req/s", 2),
        ("output_throughput", "Output token throughput (tok/s)", "tok/s", 2),
        ("max_output_tokens_per_s", "Peak output token throughput (tok/s)", "tok/s", 2),
        ("max_concurrent_requests", "Peak concurrent requests", "", 2),
        ("total_token_throughput", "Total token throughput (tok/s)", "tok/s", 2),
    )
    made = [
        Column(
            heading,
            _blank_if_unasked(key),
            unit,
            decimals,
            name=key,
            failures=key == "failed",
            optional=key == "request_goodput",
        )
        for key, heading, unit, decimals in fixed
    ]
    for metric in _SAMPLES:
        made += [
            Column(_vllm_heading(key, metric), _of_vllm(key), "ms", name=key)
            for key in _vllm_keys(rows)
            if key.endswith(f"_{metric}_ms") and not key.startswith("std_")
        ]
    return made


def _blank_if_unasked(key: str) -> Make:
    made = _of_vllm(key)
    if key not in ("max_concurrency", "request_rate"):
        return made

    def make(row: Measured) -> Cell:
        return UNKNOWABLE if all((p.vllm or {}).get(key) is None for p in row.points) else made(row)

    return make


def _vllm_keys(rows: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for point in row.points for key in (point.vllm or {})))


def _vllm_heading(key: str, metric: str) -> str:
    word = key.partition("_")[0]
    return f"{'P' + word[1:] if word[1:2].isdigit() else word.capitalize()} {metric.upper()} (ms)"


VLLM = Style(
    name="vllm",
    about="the rows of vllm bench serve's block as columns; in CSV the keys of its JSON",
    sheets=(("vllm", lambda row: True),),
    columns=_vllm_columns,
    notes=(
        "vLLM's own definitions: the first frame with choices stops TTFT, the duration covers failed requests.",
    ),
)
