"""LMDeploy's block, and the rows of its CSV file under it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from inferometer.metrics.views.lmdeploy import CSV_COLUMNS, NOTES, lmdeploy_figures, lmdeploy_result
from inferometer.report.views.frame import decimals, frame, plain, statistics
from inferometer.report.views.view import Result, View


def lmdeploy_layout(results: Sequence[Result], simulated: bool) -> str:
    """One block for each load point, then one CSV row each."""
    return "\n\n".join([*(_block(result, simulated) for result in results), _csv(results).rstrip("\n")])


def _csv(results: Sequence[Result]) -> str:
    """Its CSV file: header and one row a load point; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in results:
        writer.writerow([_csv_cell(result[name]) for name in CSV_COLUMNS])
    return text.getvalue()


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _block(result: Result, simulated: bool) -> str:
    rows = [
        ("Backend:", plain(result["backend"])),
        ("Traffic request rate:", plain(result["request_rate"])),
        ("Successful requests:", plain(result["completed"])),
        ("Benchmark duration (s):", decimals(result["duration"])),
        ("Total input tokens:", plain(result["total_input_tokens"])),
        ("Total generated tokens:", plain(result["total_output_tokens"])),
        ("Total generated tokens (retokenized):", plain(result["total_output_tokens_retokenized"])),
        ("Request throughput (req/s):", decimals(result["request_throughput"])),
        ("Input token throughput (tok/s):", decimals(result["input_throughput"])),
        ("Output token throughput (tok/s):", decimals(result["output_throughput"])),
    ]
    shown = ("mean", "median", "p99")
    sections = [
        ("End-to-End Latency", statistics(result, "E2E Latency", "e2e_latency", shown[:2])),
        ("Time to First Token", statistics(result, "TTFT", "ttft", shown)),
        ("Time per Output Token (excl. 1st token)", statistics(result, "TPOT", "tpot", shown)),
        ("Inter-token Latency", statistics(result, "ITL", "itl", shown)),
    ]
    return frame(rows, sections, simulated)


VIEW = View("LMDeploy profile_restful_api", lmdeploy_result, lmdeploy_layout, lmdeploy_figures, NOTES)
