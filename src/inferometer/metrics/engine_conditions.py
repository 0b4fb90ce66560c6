"""What a run says about the server that it started itself."""

from __future__ import annotations

from inferometer.metrics.verdict import Condition
from inferometer.record.types import RunMeta


def engine_conditions(meta: RunMeta) -> list[Condition]:
    """One condition for a run that started its server: it ran until it was stopped."""
    engine = meta.engine
    if engine is None:
        return []
    step = ""
    if engine.ended is not None:
        step = "; ".join(
            [*([engine.next_step] if engine.next_step else []), f"all that it wrote is in {engine.log}"]
        )
    return [
        Condition(
            name="engine",
            level="hard",
            asked=engine.ended or "the launched server runs until it is stopped",
            measured=None,
            limit=None,
            unit="",
            ok=engine.ended is None,
            next_step=step,
        )
    ]
