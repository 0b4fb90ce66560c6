"""vLLM's block, one for each load point."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.views.vllm import NOTES, vllm_figures, vllm_result
from inferometer.report.views.view import Result, View
from inferometer.report.vllm_block import render_vllm_block


def vllm_layout(results: Sequence[Result], simulated: bool) -> str:
    """One block for each load point."""
    return "\n\n".join(render_vllm_block(result, simulated) for result in results)


VIEW = View("vllm bench serve", vllm_result, vllm_layout, vllm_figures, NOTES)
