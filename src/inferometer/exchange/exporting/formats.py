"""The formats that a run can be exported to: one line each."""

from __future__ import annotations

from inferometer.errors import UsageError
from inferometer.exchange.exporting import (
    aiperf,
    chrome_trace,
    evalscope,
    genai_bench,
    guidellm,
    llm_d,
    mlperf,
    openmetrics,
    sheets,
    vllm,
)
from inferometer.exchange.exporting.model import Format
from inferometer.registry import Registry

_HARDWARE = {"hw": "the accelerator", "tp": "how many of them serve"}

FORMATS = {
    "vllm": Format(
        "result JSON of vllm bench serve, one file a load point and summary.json (read by bench sweep plot); or .jsonl",
        vllm.vllm_files,
        single=".jsonl .json",
        aggregates=True,
        joined=vllm.vllm_joined,
    ),
    "pytorch": Format(
        "records of the PyTorch OSS benchmark database",
        vllm.pytorch_files,
        single=".json",
        aggregates=True,
        joined=vllm.pytorch_joined,
        settings={"tensor_parallel_size": "devices of one instance"},
    ),
    "inferencex": Format(
        "agg_*.json of InferenceX (InferenceMAX); wants --set hw=NAME --set tp=N",
        vllm.inferencex_files,
        single=".json",
        aggregates=True,
        joined=vllm.inferencex_joined,
        settings={
            **_HARDWARE,
            "ep": "expert parallelism",
            "dp_attention": "true or false",
            "framework": "the engine",
            "precision": "such as fp8",
        },
    ),
    "sglang": Format(
        "JSONL of sglang.bench_serving, one line a load point",
        sheets.sglang_files,
        single=".jsonl",
        joined=sheets.sglang_joined,
    ),
    "lmdeploy": Format(
        "CSV of LMDeploy's profile_restful_api.py",
        sheets.lmdeploy_files,
        single=".csv",
        joined=sheets.lmdeploy_joined,
    ),
    "lmdeploy-old": Format(
        "the CSV of its versions up to October 2024 (batch, RPS, FTL ...)",
        sheets.lmdeploy_old_files,
        single=".csv",
        joined=sheets.lmdeploy_old_joined,
    ),
    "evalscope": Format(
        "output folder of evalscope perf (--detailed: benchmark_data.db with the requests)",
        evalscope.evalscope_files,
    ),
    "guidellm": Format(
        "benchmarks.json of GuideLLM 0.8 (--detailed: with the requests)",
        guidellm.guidellm_files,
        single=".json",
        joined=guidellm.guidellm_joined,
    ),
    "aiperf": Format(
        "artifacts of aiperf profile: profile_export_aiperf.json, .csv and profile_export.jsonl",
        aiperf.aiperf_files,
    ),
    "genai-bench": Format(
        "experiment folder of genai-bench, for its excel and plot commands",
        genai_bench.genai_bench_files,
        settings={**_HARDWARE, "server_engine": "its name", "server_version": "its version"},
    ),
    "aisbench": Format("CSV and JSON of AISBench's performance mode", sheets.aisbench_files),
    "mindie": Format("result_perf and result_common CSV of MindIE benchmark", sheets.mindie_files),
    "llm-d": Format(
        "benchmark report of llm-d (YAML 0.2)",
        llm_d.llm_d_files,
        single=".yaml .yml",
        aggregates=True,
        joined=llm_d.llm_d_joined,
        settings={
            **_HARDWARE,
            "ep": "expert parallelism",
            "server_engine": "its name",
            "server_version": "its version",
        },
    ),
    "openmetrics": Format(
        "time series and histograms as OpenMetrics text, for Prometheus",
        openmetrics.openmetrics_files,
        single=".txt .prom .om",
        joined=openmetrics.openmetrics_joined,
    ),
    "chrome-trace": Format(
        "every request in its slot over time, for ui.perfetto.dev or chrome://tracing",
        chrome_trace.chrome_trace_files,
        single=".json",
        joined=chrome_trace.chrome_trace_joined,
    ),
    "mlperf-like": Format(
        "text in the manner of mlperf_log_summary.txt; not an MLPerf result",
        mlperf.mlperf_files,
        single=".txt",
        joined=mlperf.mlperf_joined,
    ),
}
_KNOWN = Registry(
    "format",
    dict.fromkeys(FORMATS, "inferometer.exchange.exporting.formats:FORMATS"),
    group="inferometer.exporters",
)


def format_named(name: str) -> Format:
    """The format ``name``, ours or that of another package (entry-point group ``inferometer.exporters``).

    Raises:
        UsageError: there is none; the message suggests the nearest one.
    """
    found = _KNOWN.get(name)
    return found[name] if found is FORMATS else found


def format_names() -> tuple[str, ...]:
    """All formats, ours in the order of the table."""
    others = [name for name in _KNOWN.names() if name not in FORMATS]
    return (*FORMATS, *others)


def check_settings(name: str, chosen: Format, told: dict[str, str]) -> None:
    """Refuse a setting that the format does not take.

    Raises:
        UsageError: it takes no such setting; the message lists those that it takes.
    """
    strange = next((key for key in told if key not in chosen.settings), None)
    if strange is not None:
        known = "; ".join(f"{key} ({text})" for key, text in chosen.settings.items())
        raise UsageError(
            f"--as {name} takes no setting {strange!r}",
            f"it takes: {known}" if known else "it takes none: leave --set out",
        )
