"""SGLang's block."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.views.sglang import NOTES, sglang_figures, sglang_result
from inferometer.report.views.frame import decimals, frame, plain, statistics
from inferometer.report.views.view import Result, View


def sglang_layout(results: Sequence[Result], simulated: bool) -> str:
    """One block for each load point."""
    return "\n\n".join(_block(result, simulated) for result in results)


def _block(result: Result, simulated: bool) -> str:
    rows = [
        ("Backend:", plain(result["backend"])),
        ("Traffic request rate:", plain(result["request_rate"])),
        ("Max request concurrency:", plain(result["max_concurrency"] or "not set")),
        ("Successful requests:", plain(result["completed"])),
        ("Benchmark duration (s):", decimals(result["duration"])),
        ("Total input tokens:", plain(result["total_input_tokens"])),
        ("Total input text tokens:", plain(result["total_input_text_tokens"])),
    ]
    if result["total_input_vision_tokens"] != 0:
        rows.append(("Total input vision tokens:", plain(result["total_input_vision_tokens"])))
    rows += [
        ("Total generated tokens:", plain(result["total_output_tokens"])),
        ("Total generated tokens (retokenized):", plain(result["total_output_tokens_retokenized"])),
        ("Request throughput (req/s):", decimals(result["request_throughput"])),
        ("Input token throughput (tok/s):", decimals(result["input_throughput"])),
        ("Output token throughput (tok/s):", decimals(result["output_throughput"])),
        ("Peak output token throughput (tok/s):", decimals(result["max_output_tokens_per_s"])),
        ("Peak concurrent requests:", plain(result["max_concurrent_requests"])),
        ("Total token throughput (tok/s):", decimals(result["total_throughput"])),
        ("Concurrency:", decimals(result["concurrency"])),
    ]
    if result["accept_length"]:
        rows.append(("Accept length:", decimals(result["accept_length"])))
    if "request_goodput" in result:
        rows.append(("Request goodput (req/s):", decimals(result["request_goodput"])))
    sections = [
        (
            "End-to-End Latency",
            statistics(result, "E2E Latency", "e2e_latency", ("mean", "median", "p90", "p99")),
        ),
        ("Time to First Token", statistics(result, "TTFT", "ttft", ("mean", "median", "p99"))),
        (
            "Time per Output Token (excl. 1st token)",
            statistics(result, "TPOT", "tpot", ("mean", "median", "p99")),
        ),
        ("Inter-Token Latency", statistics(result, "ITL", "itl", ("mean", "median", "p95", "p99", "max"))),
    ]
    return frame(rows, sections, simulated)


VIEW = View("sglang bench_serving", sglang_result, sglang_layout, sglang_figures, NOTES)
