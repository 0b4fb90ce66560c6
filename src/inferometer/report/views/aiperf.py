"""AIPerf's table."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.views.aiperf import HEADERS, NOTES, aiperf_figures, aiperf_result
from inferometer.report.views.grids import HEAVY_HEAD, grid
from inferometer.report.views.view import Result, View

_COLUMNS = ("avg", "min", "max", "p99", "p90", "p50", "std")
_ROWS = (
    "time_to_first_token", "time_to_second_token", "time_to_first_output_token", "request_latency", "decode_duration",
    "inter_token_latency", "output_token_throughput_per_user", "e2e_output_token_throughput",
    "output_sequence_length", "input_sequence_length", "output_token_throughput", "input_token_throughput",
    "request_throughput", "request_error_rate", "request_count",
)  # fmt: skip
_LONGEST = 30  # a longer name has its unit on a line of its own


def aiperf_layout(results: Sequence[Result], simulated: bool) -> str:
    """One table for each load point."""
    return "\n\n".join(_table(result, simulated) for result in results)


def _table(result: Result, simulated: bool) -> str:
    rows: list[list[str]] = []
    for tag in _ROWS:
        if tag in result:
            found, name = result[tag], HEADERS[tag]
            figures = [_figure(found.get(column)) for column in _COLUMNS]
            long = len(name) > _LONGEST
            rows.append([name if long else f"{name} ({found['unit']})", *figures])
            rows += [[f"({found['unit']})", *[""] * len(_COLUMNS)]] if long else []
    lines = grid(HEAVY_HEAD, ["Metric", *_COLUMNS], rows, ">" * (len(_COLUMNS) + 1))
    title = f"NVIDIA AIPerf | LLM Metrics{' (simulated)' if simulated else ''}"
    return "\n".join([f"{title:^{len(lines[0])}}".rstrip(), *lines])


def _figure(value: float | None) -> str:
    return "N/A" if value is None else f"{value:,.2f}"


VIEW = View("aiperf profile", aiperf_result, aiperf_layout, aiperf_figures, NOTES)
