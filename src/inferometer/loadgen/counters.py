"""The engines' counters on both sides of a load point: read while nothing is under way, kept as they are."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.client.engine_counters import CounterSource, counter_sources
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import EndpointError
from inferometer.record.types import PointRecord, ServerCounters
from inferometer.spec import RunSpec
from inferometer.spec.endpoint import NO_METRICS


class CounterReadings:
    """Reads the counters of speculative decoding before and after each load point that counts.

    A source without such counters is asked once, one that fails is told of and left alone from then on: what they say
    is worth having, and never worth a run.

    Args:
        spec: where they are.
        target: the servers.
        models: names that the run asks for.
        clock: for time limits.
    """

    def __init__(self, spec: RunSpec, target: Target, models: Sequence[str], clock: Clock) -> None:
        self._spec, self._target, self._models, self._clock = spec, target, models, clock
        self._sources: list[CounterSource] | None = None  # not looked for yet

    def read(self, point: PointRecord) -> list[ServerCounters]:
        """What each source counts now; a failure is noted in the load point."""
        if point.kind == "warmup":
            return []
        if self._sources is None:
            self._sources = self._found(point)
        readings, left = [], []
        for source in self._sources:
            try:
                values = source.read(self._models)
            except EndpointError as error:
                point.prepared.append(f"counters of the engine are not read: {error.message}")
                continue
            if values:
                left.append(source)
                readings.append(ServerCounters(source=source.name, values=values))
        self._sources = left
        return readings

    def _found(self, point: PointRecord) -> list[CounterSource]:
        urls = self._spec.endpoint.metrics_url
        if NO_METRICS in urls:
            return []
        try:
            return counter_sources(self._target, urls, self._clock)
        except EndpointError as error:
            point.prepared.append(f"counters of the engine are not read: {error.message}")
            return []
