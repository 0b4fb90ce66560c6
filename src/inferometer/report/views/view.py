"""What makes another tool's view of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferometer.metrics.views.comparison import Figure
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

Result = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """How one tool sees a run.

    Attributes:
        title: the program whose definitions these are.
        result: a load point as that program's own result object.
        layout: the results of all load points as that program prints them; the flag marks simulated runs.
        figures: its means, to hold against ours.
        notes: what is to be known of its definitions besides.
    """

    title: str
    result: Callable[[PointTable, RunMeta], dict[str, Any]]
    layout: Callable[[Sequence[Result], bool], str]
    figures: Callable[[Result], list[Figure]]
    notes: tuple[str, ...]
