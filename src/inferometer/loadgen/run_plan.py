"""What is settled before a run begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.client.probe import ServerInfo
from inferometer.client.target import Target
from inferometer.record.engine import EngineRecord
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload import DatasetInfo, RowFeed, Tokenizer

if TYPE_CHECKING:
    from inferometer.loadgen.virtual_service import Virtual


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that is settled before the first request goes out."""

    spec: RunSpec
    target: Target | None  # None where no server is reached: a simulated run
    server: ServerInfo
    model: str
    points: tuple[LoadPoint, ...]  # those known beforehand, warm-up first, if any
    tokenizer: Tokenizer
    feed: RowFeed
    notes: tuple[str, ...] = ()  # what was known beforehand; kept in run.json
    data: DatasetInfo | None = None  # of the longest load point
    remote_workers: int | None = None  # on all nodes of a cluster together; None = they run on this machine
    numbered: int = 0  # highest number of a load point that is there already, of a run that goes on
    engine: EngineRecord | None = None  # the server, where it was started for the run
    housed: Callable[[Path], None] = lambda folder: None  # told the run folder once it is there
    virtual: Virtual | None = None  # what is simulated in place of a server
    again: str = ""  # the command that measures it again, where that is not its spec as flags

    @property
    def servers(self) -> Target:
        """Where the load goes.

        Raises:
            ValueError: nowhere, as the run is simulated.
        """
        if self.target is None:
            raise ValueError("a simulated run has no server")
        return self.target

    def points_after(self, point: LoadPoint) -> int:
        """How many of the measured load points known beforehand come after ``point``."""
        places = [place for place, each in enumerate(self.points) if each.index == point.index]
        return sum(each.kind == "measure" for each in self.points[places[0] + 1 :]) if places else 0

    @property
    def measured(self) -> int:
        """How many load points count; of a run that goes on, those that are there too."""
        return max(self.numbered, sum(1 for point in self.points if point.kind == "measure"))
