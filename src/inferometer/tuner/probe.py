"""What a search asks for, and what one of its load points says: the contract between deciding and measuring."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.metrics.capacity import Outcome, Probe, Reading
from inferometer.metrics.summary import PointSummary

__all__ = ["Measure", "Outcome", "Probe", "Reading"]

Measure = Callable[[float, int], PointSummary]
"""Measures one load (a rate per s, or a number in flight), for the first, second ... time."""
