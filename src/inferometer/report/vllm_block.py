"""The result block of ``vllm bench serve``, which people paste and scripts read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WIDTH = 50
_SECTIONS = (
    ("ttft", "Time to First Token"),
    ("tpot", "Time per Output Token (excl. 1st token)"),
    ("itl", "Inter-token Latency"),
)


def render_vllm_block(result: Mapping[str, Any], simulated: bool = False) -> str:
    """The block for one result object of ``metrics.views.vllm``.

    Args:
        result: a flat vLLM result; a value that is None prints as "n/a".
        simulated: marks the title, so that no block of simulated numbers passes for a measured one.
    """
    title = " Serving Benchmark Result (simulated) " if simulated else " Serving Benchmark Result "
    lines = [f"{title:=^{_WIDTH}}", *(_row(label, value) for label, value in _counts(result))]
    for name, heading in _SECTIONS:
        lines.append(f"{heading:-^{_WIDTH}}")
        lines += [_row(label, _decimals(result[key])) for label, key in _statistics(result, name)]
    if "spec_decode_num_drafts" in result:
        lines += [f"{'Speculative Decoding':-^{_WIDTH}}", *_drafts(result)]
    return "\n".join([*lines, "=" * _WIDTH])


def _counts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Successful requests:", _count(result["completed"])),
        ("Failed requests:", _count(result["failed"])),
    ]
    if result["max_concurrency"] is not None:
        rows.append(("Maximum request concurrency:", _count(result["max_concurrency"])))
    if result["request_rate"] != "inf":
        rows.append(("Request rate configured (RPS):", _decimals(result["request_rate"])))
    rows += [
        ("Benchmark duration (s):", _decimals(result["duration"])),
        ("Total input tokens:", _count(result["total_input_tokens"])),
        ("Total generated tokens:", _count(result["total_output_tokens"])),
        ("Request throughput (req/s):", _decimals(result["request_throughput"])),
    ]
    if result["request_goodput"] is not None:
        rows.append(("Request goodput (req/s):", _decimals(result["request_goodput"])))
    rows += [
        ("Output token throughput (tok/s):", _decimals(result["output_throughput"])),
        ("Peak output token throughput (tok/s):", _decimals(result["max_output_tokens_per_s"])),
        ("Peak concurrent requests:", _decimals(result["max_concurrent_requests"])),
        ("Total token throughput (tok/s):", _decimals(result["total_token_throughput"])),
    ]
    return rows


def _drafts(result: Mapping[str, Any]) -> list[str]:
    lines = [
        _row("Acceptance rate (%):", _decimals(result["spec_decode_acceptance_rate"])),
        _row("Acceptance length:", _decimals(result["spec_decode_acceptance_length"])),
        _row("Drafts:", _count(result["spec_decode_num_drafts"])),
        _row("Draft tokens:", _count(result["spec_decode_draft_tokens"])),
        _row("Accepted tokens:", _count(result["spec_decode_accepted_tokens"])),
    ]
    places = result["spec_decode_per_position_acceptance_rates"]
    if places:
        lines.append("Per-position acceptance (%):")
        lines += [
            _row(f"  Position {place}:", _decimals(share * 100.0)) for place, share in enumerate(places)
        ]
    return lines


def _statistics(result: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    shown = name.upper()
    rows = [(f"Mean {shown} (ms):", f"mean_{name}_ms"), (f"Median {shown} (ms):", f"median_{name}_ms")]
    for key in result:
        percentile = re.fullmatch(rf"p([0-9.]+)_{name}_ms", key)
        if percentile:
            rows.append((f"P{percentile[1]} {shown} (ms):", key))
    return rows


def _row(label: str, value: str) -> str:
    return f"{label:<40} {value:<10}"  # vLLM pads the value too


def _count(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f}"


def _decimals(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
