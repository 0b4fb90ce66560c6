"""A load point as LMDeploy's ``profile_restful_api.py`` would report it: one row of its CSV file.

Only content stops its clock, so with reasoning its TTFT is the end of the thinking; a request ends at ``[DONE]``;
output tokens are the length that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.metrics.throughput import throughput, total
from inferometer.metrics.views.clocks import End, Frames, first_known, timings, wall_s
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.statistics import quotients, vllm_statistics, whole
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

NOTES = (
    "percentiles of samples of any size, by linear interpolation",
    "output tokens are the length that was asked for, else the server's count, input tokens the client's",
    "failed requests are not shown; duration covers them",
    "its own runs open a new connection for each request, which its TTFT includes; this record need not have that",
)
# The CSV file has these columns; the block on the console also shows the other keys of the result.
CSV_COLUMNS = (
    "backend", "dataset_name", "sharegpt_output_len", "random_input_len", "random_output_len", "random_range_ratio",
    "request_rate", "completed", "total_input_tokens", "total_output_tokens", "duration", "request_throughput",
    "input_throughput", "output_throughput", "mean_e2e_latency_ms", "mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms",
)  # fmt: skip


def lmdeploy_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """The figures of its block, those of a CSV row first; latencies in ms, None where there are none."""
    requests = timings(table, Frames.CONTENT, End.STREAM)
    data, load, workload = requests.data, table.point.load, meta.spec.get("workload", {})
    duration_s, completed = wall_s(requests), int(data.ok.sum())
    tokens = first_known(data.column("output_tokens_target"), data.output_tokens)
    inputs = total(first_known(data.column("input_tokens_client"), data.column("input_tokens_server")))
    outputs = total(tokens)
    rate = load.get("request_rate")
    found = {
        "backend": meta.spec.get("endpoint", {}).get("backend", "openai-chat"),
        "dataset_name": workload.get("dataset"),
        "sharegpt_output_len": None,
        "random_input_len": load.get("input_len"),
        "random_output_len": load.get("output_len"),
        "random_range_ratio": workload.get("range_ratio"),
        "request_rate": "inf" if rate is None else rate,
        "completed": completed,
        "total_input_tokens": whole(inputs),
        "total_output_tokens": whole(outputs),
        "total_output_tokens_retokenized": whole(total(data.column("output_tokens_client"))),
        "duration": duration_s,
        "request_throughput": throughput(completed, duration_s),
        "input_throughput": throughput(inputs, duration_s),
        "output_throughput": throughput(outputs, duration_s),
        **vllm_statistics("e2e_latency", requests.e2el_ms, ()),
        **vllm_statistics("ttft", requests.ttft_ms, (99,)),
        **vllm_statistics("tpot", quotients(requests.e2el_ms - requests.ttft_ms, tokens - 1), (99,)),
        **vllm_statistics("itl", requests.gaps_ms, (99,)),
    }
    return {name: found[name] for name in CSV_COLUMNS} | found


def lmdeploy_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""
    return [
        Figure(
            name="TTFT",
            value=result["mean_ttft_ms"],
            ours="TTFT",
            why="only content stops its clock, not reasoning or a tool call",
        ),
        Figure(
            name="TPOT",
            value=result["mean_tpot_ms"],
            ours="TPOT",
            why="it goes from the first content to [DONE] and divides by the length that was asked for, less 1",
        ),
        Figure(
            name="ITL",
            value=result["mean_itl_ms"],
            ours="ITL",
            why="it pools gaps between content frames, also of those that came in one read",
        ),
        Figure(
            name="E2E latency",
            value=result["mean_e2e_latency_ms"],
            ours="E2EL",
            why="it ends at [DONE], we at the last output",
        ),
        Figure(
            name="output token throughput",
            value=result["output_throughput"],
            ours="output throughput",
            why="it counts the tokens that were asked for, and its window covers failed requests",
        ),
    ]
