"""Throughput by what serves: nodes and devices, as the user tells; an endpoint does not say how many it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from inferometer.metrics.latency import Floats, PointData

Unit = Literal["nodes", "devices"]


def per(unit: Unit, rate: Callable[[PointData], float | None]) -> Callable[[PointData], float | None]:
    """``rate`` divided by the number of nodes or devices; None where either is not known."""

    def divided(data: PointData) -> float | None:
        number = data.nodes if unit == "nodes" else data.devices
        whole = rate(data) if number is not None else None
        return None if whole is None or number is None else whole / number

    return divided


def output_throughput_per_user(data: PointData) -> Floats:
    """Tokens per second that the reader of each answer sees after its first token: 1 / TPOT."""
    tpot_ms = data.tpot_ms
    per_s: Floats = np.full(len(tpot_ms), np.nan)
    np.divide(1000.0, tpot_ms, out=per_s, where=tpot_ms > 0)
    return per_s
