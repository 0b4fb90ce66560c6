"""EvalScope's tables: the overview of all load points, then summary and percentiles of each."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.views.evalscope import (
    NOTES,
    PERCENTILES,
    SUMMARY,
    evalscope_figures,
    evalscope_result,
)
from inferometer.report.text import ABSENT
from inferometer.report.views.grids import HEAVY_HEAD, OUTLINE, grid
from inferometer.report.views.view import Result, View

# Decimals of each figure; those not named have two.
_DECIMALS = {
    "Avg Latency (s)": 3, "Latency (s)": 3, "Avg Input Tokens": 1, "Avg Output Tokens": 1, "Concurrency": 0,
    "Input tokens": 0, "Output tokens": 0, "Avg Turns/Request": 1,
}  # fmt: skip
_GENERAL = ("Test Duration (s)", "Concurrency", "Request Rate (req/s)")
_LATENCY = ("Avg Latency (s)", "Avg TTFT (ms)", "Avg TPOT (ms)", "Avg ITL (ms)")
_TOKENS = ("Avg Input Tokens", "Avg Output Tokens", "Output Throughput (tok/s)", "Total Throughput (tok/s)")
_TURNS = (
    "Avg Turns/Request",
    "KV Cache Hit Rate (%)",
    "Avg First-Turn TTFT (ms)",
    "Avg Subsequent-Turn TTFT (ms)",
)
_SPECULATION = ("Avg Decoded Tok/Iter", "Spec. Accept Rate")


def evalscope_layout(results: Sequence[Result], simulated: bool) -> str:
    """The overview, then the two tables of each load point."""
    mark = " (simulated)" if simulated else ""
    parts = ["\n".join([f"Performance Overview{mark}", *_overview(results)])]
    for result in results:
        parts.append("\n".join([f"Benchmarking summary{mark}:", *_summary(result[SUMMARY])]))
        parts.append("\n".join([f"Percentile results{mark}:", *_percentiles(result[PERCENTILES])]))
    return "\n\n".join(parts)


def _overview(results: Sequence[Result]) -> list[str]:
    header = ["Conc.", "Rate", "Num", "RPS", "Gen/s", "Success"]
    rows = []
    for result in results:
        found = result[SUMMARY]
        every, good = found["Total Requests"], found["Success Requests"]
        rows.append(
            [
                "-" if found["Concurrency"] == -1 else str(found["Concurrency"]),
                "-" if found["Request Rate (req/s)"] == -1 else _figure("", found["Request Rate (req/s)"]),
                str(every),
                _figure("", found["Req Throughput (req/s)"]),
                _figure("", found["Output Throughput (tok/s)"]),
                f"{_shortest(round(100 * good / every, 1), 1)}%" if every else ABSENT,
            ]
        )
    return grid(HEAVY_HEAD, header, rows, ">" * len(header))


def _summary(found: Result) -> list[str]:
    counts = " / ".join(
        str(found[name]) for name in ("Total Requests", "Success Requests", "Failed Requests")
    )
    rows = [("── General ──", ""), *_rows(found, _GENERAL), ("Total / Success / Failed", counts)]
    if found["Stream Requests"] and found["Non-Stream Requests"]:
        rows.append(("Stream / Non-Stream", f"{found['Stream Requests']} / {found['Non-Stream Requests']}"))
    rows += _rows(found, ("Req Throughput (req/s)",))
    rows += [("── Latency ──", ""), *_rows(found, _LATENCY), ("── Tokens ──", ""), *_rows(found, _TOKENS)]
    for heading, names in (("── Multi-turn ──", _TURNS), ("── Speculative Decoding ──", _SPECULATION)):
        some = _rows(found, [name for name in names if name in found])
        rows += [(heading, ""), *some] if some else []
    return grid(OUTLINE, ["Metric", "Value"], rows, "<>")


def _rows(found: Result, names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, _figure(name, found[name])) for name in names]


def _percentiles(rows: Sequence[Result]) -> list[str]:
    header = ["Metric", *(row["Percentiles"] for row in rows)]
    names = [name for name in rows[0] if name != "Percentiles"]
    body = [[name, *(_figure(name, row[name]) for row in rows)] for name in names]
    return grid(OUTLINE, header, body, "<" + ">" * len(rows))


def _figure(name: str, value: float | None) -> str:
    return ABSENT if value is None else _shortest(value, _DECIMALS.get(name, 2))


def _shortest(value: float, decimals: int) -> str:
    """Rounded, without zeros at the end."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


VIEW = View("evalscope perf", evalscope_result, evalscope_layout, evalscope_figures, NOTES)
