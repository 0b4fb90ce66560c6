"""AISBench's two tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.metrics.views.aisbench import (
    COMMON,
    DRAFTS,
    METRICS,
    NOTES,
    aisbench_figures,
    aisbench_result,
)
from inferometer.report.views.grids import FANCY, cell, grid
from inferometer.report.views.view import Result, View


def aisbench_layout(results: Sequence[Result], simulated: bool) -> str:
    """Both tables of each load point."""
    return "\n\n".join(_tables(result, simulated) for result in results)


def _tables(result: Result, simulated: bool) -> str:
    header, rows = _performance(result)
    body = [[cell(value) for value in row] for row in rows]
    common = [
        [name, stage, cell(value)]
        for name, stages in result[COMMON].items()
        for stage, value in stages.items()
    ]
    return "\n".join(
        [
            f"Performance Results{' (simulated)' if simulated else ''}:",
            *grid(FANCY, header, body, "<" * len(header)),
            *grid(FANCY, ["Common Metric", "Stage", "Value"], common, "<<<"),
            *(_drafts(result[DRAFTS]) if DRAFTS in result else ()),
        ]
    )


def _drafts(found: Result) -> list[str]:
    """Its block on speculative decoding."""
    title = "========== Speculative Decoding Metrics =========="
    by_place = ", ".join(
        f"{place}: {share:.4f}" for place, share in found["per_position_acceptance_rates"].items()
    )
    rows = (
        ("Acceptance rate (%)", _two(found["acceptance_rate"])),
        ("Acceptance length", _two(found["acceptance_length"])),
        ("Drafts", cell(found["num_drafts"])),
        ("Draft tokens", cell(found["draft_tokens"])),
        ("Accepted tokens", cell(found["accepted_tokens"])),
        ("Per-position acceptance rates", f"{{{by_place}}}"),
    )
    rule = "=" * (len(title) - 2)
    return ["", rule, title, rule, *(f"{label:<45} {value}" for label, value in rows)]


def _two(value: float | None) -> str:
    return cell(None if value is None else f"{value:.2f}")


def _performance(result: Result) -> tuple[list[str], list[list[Any]]]:
    metrics = result[METRICS]
    columns = list(next(iter(metrics.values()))["total"])
    header = ["Performance Parameters", "Stage", *columns]
    rows = [
        [name, stage, *(found[column] for column in columns)]
        for name, stages in metrics.items()
        for stage, found in stages.items()
    ]
    return header, rows


VIEW = View("ais_bench", aisbench_result, aisbench_layout, aisbench_figures, NOTES)
