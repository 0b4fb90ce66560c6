"""The KV capacity of an engine that does not tell it, from when its requests waited."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.calibration.replay import Floats, Load, Times

_FULL: Final = 0.97
_WAITED_S: Final = 1.0


class CapacitySeen(msgspec.Struct, frozen=True):
    """What a run shows of the KV pool.

    Attributes:
        peak_tokens: most context that was held at the same time: a lower bound of the capacity.
        limits: whether requests waited long while fewer sequences ran than the engine allows, so that the pool and
            not the batch was what they waited for; then the peak is near the capacity.
    """

    peak_tokens: float
    limits: bool


def capacity_seen(
    load: Load, times: Times, max_num_seqs: int, used: NDArray[np.bool_] | None = None
) -> CapacitySeen:
    """What the times of requests show of the KV pool.

    Args:
        load: what was asked.
        times: measured.
        max_num_seqs: of the engine.
        used: by request, whether its times may be looked at; None = all.
    """
    known = np.isfinite(times.first_s) & np.isfinite(times.last_s)
    known = known if used is None else known & used
    inputs, outputs = load.inputs()[known], load.outputs()[known]
    arrival, first, last = times.arrival_s[known], times.first_s[known], times.last_s[known]
    peak = running = 0.0
    blocked = False
    for now in np.sort(first):
        active = (first <= now) & (last > now)
        share = (now - first[active]) / np.maximum(last[active] - first[active], 1e-9)
        peak = max(peak, float((inputs[active] + outputs[active] * share).sum()))
        running = max(running, float(active.sum()))
    for now in np.sort(last):
        waits = (arrival < now - _WAITED_S) & (first > now)
        active = (first <= now) & (last >= now)
        blocked = blocked or bool(waits.any() and float(active.sum()) < _FULL * max_num_seqs)
    return CapacitySeen(peak, blocked and running < _FULL * max_num_seqs)


def pool_blocks(tokens: Floats | float, block_tokens: int, longest: int) -> int:
    """Blocks of a pool of so many tokens, at least what the longest request needs."""
    return max(round(float(tokens) / block_tokens), -(-longest // block_tokens))
