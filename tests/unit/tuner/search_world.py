"""A search in virtual time: the real loop and the real decisions, a reckoned server, and the truth from theory."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any, Protocol

from inferometer.metrics.capacity import Capacity
from inferometer.record.tables import PointTable, Telemetry
from inferometer.spec import Endpoint, Load, LoadPoint, Measure, RunSpec, Search
from inferometer.tuner.points import Wanted, point_of
from inferometer.tuner.slo_search import find_capacity

SERVICE_S = 0.1
CARRIED_PER_S = 1.0 / SERVICE_S


class Server(Protocol):
    def serve(self, point: LoadPoint) -> PointTable: ...


def spec_for(slo: tuple[str, ...], seed: int = 0, load: Load | None = None, **search: Any) -> RunSpec:
    return RunSpec(
        endpoint=Endpoint(url="http://127.0.0.1:1"),
        load=load or Load(seed=seed),
        measure=Measure(slo=slo),
        search=Search(**{"target": "slo", **search}),
    )


def search(server: Server, spec: RunSpec, start: float = 2.5, most: int | None = None) -> Capacity:
    """Carry out a search; ``most`` load points and it is broken off."""
    measured = 0

    def carry(wanted: Wanted) -> tuple[PointTable, Telemetry] | None:
        nonlocal measured
        measured += 1
        if most is not None and measured > most:
            return None
        return server.serve(point_of(spec, wanted, measured)), Telemetry()

    return find_capacity(spec, start, carry, lambda probe: None)


def waiting_at_most(services: float, load: float) -> float:
    """P(wait <= so many times the service) in M/D/1 at utilisation ``load`` (Erlang 1909).

    Its terms alternate and cancel, so it takes many digits.
    """
    with localcontext() as context:
        context.prec = 100
        t, rho = Decimal(str(services)), Decimal(str(load))
        terms = (
            (rho * (k - t)) ** k / math.factorial(k) * (-rho * (k - t)).exp() if k else (rho * t).exp()
            for k in range(int(t) + 1)
        )
        return float((1 - rho) * sum(terms))


def true_rate(limit_services: float, share: float) -> float:
    """The rate at which that share of requests has its first token within so many times the service."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if waiting_at_most(limit_services - 1.0, middle) >= share else (low, middle)
        )
    return low * CARRIED_PER_S
