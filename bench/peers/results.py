"""What each tool reports in its own result file, brought to one form. Imports no peer.

``chunk_gaps`` says what a tool calls ITL, so that the server's log can be asked for the same statistic:

    CHUNKS     gaps between consecutive chunks with content, pooled over all requests
    STEPS      gaps between socket reads that brought content: the same where each chunk has a read of its own, but
               nothing that a server could know in a flood
    FRAMES     the same as CHUNKS, but frames without content count too: the role frame before the first chunk and
               the finish frame after the last one, which this server sends in one write with their neighbours (two
               gaps of 0)
    REQUESTS   one mean gap per request: (last - first) / (chunks - 1)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class UnreadableError(Exception):
    """A tool ended without the result that it should have written."""


class Gaps(Enum):
    """What a tool pools under the name ITL; see the module."""

    CHUNKS = "chunks"
    STEPS = "steps"
    FRAMES = "frames"
    REQUESTS = "requests"


@dataclass(frozen=True)
class Statistics:
    """Milliseconds; None = the tool does not report it."""

    mean: float | None
    p50: float | None
    p99: float | None


@dataclass(frozen=True)
class Reported:
    """What a tool says of its own run.

    Attributes:
        completed: requests that it counts as successful.
        ttft: time to first token, ms.
        itl: inter-token latency in the tool's own meaning, ms.
        doubts: conditions under which the tool itself calls its run invalid; only ours judges its runs.
    """

    completed: int
    ttft: Statistics
    itl: Statistics
    doubts: tuple[str, ...] = ()


def read_vllm(folder: Path) -> Reported:
    """``vllm bench serve --save-result --metric-percentiles 50,99``: one flat object, ms."""
    found = _load(folder, "result.json")
    return Reported(int(found["completed"]), _flat(found, "ttft"), _flat(found, "itl"))


def read_inferometer(folder: Path) -> Reported:
    """``summary.json`` of the run folder; latencies count from the send, as those of all others do."""
    point = _load(folder, "*/summary.json")["points"][-1]
    stats = {**point["stats"], **point["stats_from_sent"]}

    def statistics(name: str) -> Statistics:
        found = stats[name]
        shares = found["percentiles"]
        return Statistics(_number(found["mean"]), _number(shares["p50"]), _number(shares["p99"]))

    verdict = point["verdict"]
    broken = [c["name"] for c in verdict["conditions"] if c["level"] == "hard" and not c["ok"]]
    doubts = tuple(broken) if verdict["word"] == "INVALID" else ()
    return Reported(int(point["counts"]["ok"]), statistics("ttft_ms"), statistics("itl_ms"), doubts)


def read_evalscope(folder: Path) -> Reported:
    """``evalscope perf``: means in one file, percentiles in another, ms since 2026."""
    summary = _load(folder, "**/benchmark_summary.json")
    rows = {row["Percentiles"]: row for row in _load(folder, "**/benchmark_percentile.json")}

    def statistics(name: str) -> Statistics:
        key = f"{name} (ms)"
        return Statistics(
            _number(summary.get(f"Avg {key}")), _number(rows["50%"][key]), _number(rows["99%"][key])
        )

    return Reported(int(summary["Success Requests"]), statistics("TTFT"), statistics("ITL"))


def read_aiperf(folder: Path) -> Reported:
    """``aiperf profile``: its inter-chunk latency is the pooled gap; its inter-token latency is not."""
    found = _load(folder, "**/profile_export_aiperf.json")

    def statistics(name: str) -> Statistics:
        metric = found[name]
        if metric["unit"] != "ms":
            raise UnreadableError(f"AIPerf reports {name} in {metric['unit']}, not in ms")
        return Statistics(_number(metric["avg"]), _number(metric["p50"]), _number(metric["p99"]))

    completed = int(found["request_count"]["avg"])
    return Reported(completed, statistics("time_to_first_token"), statistics("inter_chunk_latency"))


def read_guidellm(folder: Path) -> Reported:
    """``guidellm run``: its ITL is a mean per request, weighted by gaps; its TPOT would include the TTFT."""
    metrics = _load(folder, "result.json")["benchmarks"][0]["metrics"]

    def statistics(name: str) -> Statistics:
        found = metrics[name]["successful"]
        return Statistics(
            _number(found["mean"]), _number(found["median"]), _number(found["percentiles"]["p99"])
        )

    completed = int(metrics["request_totals"]["successful"])
    return Reported(completed, statistics("time_to_first_token_ms"), statistics("inter_token_latency_ms"))


def read_genai_bench(folder: Path) -> Reported:
    """``genai-bench benchmark``: no ITL; its TPOT, (end - first) / (tokens - 1) per request, stands for it."""
    found = _load(folder, "**/*_num_concurrency_*.json")
    scale = {"s": 1e3, "ms": 1.0}[found["_time_unit"]]
    metrics = found["aggregated_metrics"]

    def statistics(name: str) -> Statistics:
        values = metrics["stats"][name]
        return Statistics(*(_number(values[key], scale) for key in ("mean", "p50", "p99")))

    return Reported(int(metrics["num_completed_requests"]), statistics("ttft"), statistics("tpot"))


def read_result(reader: Callable[[Path], Reported], folder: Path) -> Reported:
    """Run ``reader``; whatever is missing or of another form becomes one kind of error.

    Raises:
        UnreadableError: what was wrong with the tool's result file.
    """
    try:
        return reader(folder)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnreadableError(f"its result has another form: {type(error).__name__} {error}") from error


def _load(folder: Path, pattern: str) -> Any:
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise UnreadableError(f"it wrote no {pattern.rpartition('/')[2]}")
    return json.loads(paths[-1].read_text(encoding="utf-8"))


def _flat(found: dict[str, Any], name: str) -> Statistics:
    return Statistics(
        _number(found[f"mean_{name}_ms"]),
        _number(found[f"median_{name}_ms"]),
        _number(found[f"p99_{name}_ms"]),
    )


def _number(value: Any, scale: float = 1.0) -> float | None:
    return None if value is None else float(value) * scale
