"""Prompt tokens from the server's prefix cache: what it reports, and what the prompts have in common."""

from __future__ import annotations

import numpy as np

from inferometer.metrics.latency import PointData


def cached_share(data: PointData, first_turns: bool = False) -> float | None:
    """Cached tokens per prompt token, where the server reports both; None where it reports neither.

    Args:
        data: the load point.
        first_turns: leave out later turns of sessions, which repeat the earlier ones and say nothing of the prompts.
    """
    cached, inputs = data.column("cached_tokens"), data.input_tokens
    known = ~np.isnan(cached) & ~np.isnan(inputs)
    if first_turns:
        known &= ~(data.column("turn") > 0)
    total = inputs[known].sum()
    return float(cached[known].sum() / total) if total > 0 else None


def expected_share(data: PointData) -> float | None:
    """The share that a cache without limit would give, as the data set tells it; None where it does not."""
    share = data.table.point.dataset.get("expected_hit_share")
    return None if share is None else float(share)
