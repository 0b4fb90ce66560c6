"""What a run that was measured in several sittings says about itself."""

from __future__ import annotations

from inferometer.metrics.verdict import Condition
from inferometer.record.types import RunMeta


def sitting_conditions(meta: RunMeta) -> list[Condition]:
    """One condition for a run of several sittings: nothing that matters was changed between them."""
    if len(meta.sittings) < 2:
        return []
    begun = [point.sitting for point in meta.points if point.kind == "measure" and point.epoch_ns is not None]
    changed = [
        change
        for place, sitting in enumerate(meta.sittings)
        for change in sitting.changed
        if begun and min(begun) < place <= max(begun)  # else all that is there was measured alike
    ]
    return [
        Condition(
            name="sittings",
            level="warn",
            asked="the same settings, server, data and client in each sitting",
            measured=len(changed),
            limit=0,
            unit="changes",
            ok=not changed,
            next_step=f"accepted with --force: {'; '.join(changed)}; measure everything alike: --resume --redo"
            if changed
            else "",
        )
    ]
