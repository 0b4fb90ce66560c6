"""Speculative decoding as other tools report it, from the same counters."""

from __future__ import annotations

from typing import Any

from inferometer.metrics.latency import PointData
from inferometer.metrics.speculative import speculative_of
from inferometer.record.tables import PointTable


def vllm_drafts(table: PointTable) -> dict[str, Any]:
    """The ``spec_decode_*`` keys of ``vllm bench serve``, the rate in %, those by position not; none without drafts."""
    return {f"spec_decode_{name}": value for name, value in _counted(table).items()}


def aisbench_drafts(table: PointTable) -> dict[str, Any]:
    """``data`` of AISBench's ``spec_decode_<host>_<port>.json``, of all servers together; empty without drafts."""
    found = _counted(table)
    if found:
        shares = found["per_position_acceptance_rates"]
        found["per_position_acceptance_rates"] = {str(place): share for place, share in enumerate(shares)}
    return found


def _counted(table: PointTable) -> dict[str, Any]:
    """What the engine counted of the load point, as both tools name it; empty without drafts."""
    found = speculative_of(PointData(table))
    if found is None or not found.draft_tokens:
        return {}
    rate = found.acceptance_rate
    return {
        "acceptance_rate": None if rate is None else rate * 100.0,
        "acceptance_length": found.acceptance_length,
        "num_drafts": found.drafts,
        "draft_tokens": found.draft_tokens,
        "accepted_tokens": found.accepted_tokens,
        "per_position_acceptance_rates": found.per_position,
    }


def accept_length(table: PointTable) -> float | None:
    """SGLang's ``accept_length``: as its server tells it, or as it follows from counters."""
    found = speculative_of(PointData(table))
    told = found is not None and found.source in ("engine counters", "engine gauges")
    return found.acceptance_length if found is not None and told else None
