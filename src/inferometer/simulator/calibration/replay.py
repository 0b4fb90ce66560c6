"""A measured load through the simulated instance: what a fit compares with what was measured."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.simulate import HANDLING_S, Overheads, simulate
from inferometer.simulator.latency.experts import TouchedExperts, step_model
from inferometer.simulator.latency.model import Coefficients

Floats = NDArray[np.float64]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests offered to one instance.

    Attributes:
        jobs: the requests, in the order of their arrival.
        concurrency: None = open loop, each at its own time. Else clients that send the next one at an answer's end.
    """

    jobs: tuple[Job, ...]
    concurrency: int | None = None

    def inputs(self) -> Floats:
        """Prompt tokens by request."""
        return np.array([job.prompt_tokens for job in self.jobs], dtype=np.float64)

    def outputs(self) -> Floats:
        """Output tokens by request."""
        return np.array([job.output_tokens for job in self.jobs], dtype=np.float64)


def open_load(inputs: Iterable[int], outputs: Iterable[int], arrivals_s: Iterable[float]) -> Load:
    """An open-loop load from columns; arrivals count from the first."""
    rows = sorted(zip(arrivals_s, inputs, outputs, strict=True), key=lambda row: row[0])
    begin = rows[0][0] if rows else 0.0
    jobs = (
        Job(prompt_tokens=given, output_tokens=made, arrival_ns=round((at - begin) * 1e9))
        for at, given, made in rows
    )
    return Load(jobs=tuple(jobs))


class Times(msgspec.Struct, frozen=True):
    """Seconds on the load's axis, by request: as the client sees them. NaN = unknown."""

    arrival_s: Floats
    first_s: Floats
    last_s: Floats

    def ttft_s(self) -> Floats:
        """Time to first token."""
        return self.first_s - self.arrival_s

    def e2e_s(self) -> Floats:
        """End-to-end latency."""
        return self.last_s - self.arrival_s

    def tpot_s(self, output_tokens: Floats) -> Floats:
        """Time per output token after the first; NaN for answers of one token."""
        after = np.where(output_tokens > 1, output_tokens - 1, np.nan)
        tpot: Floats = (self.last_s - self.first_s) / after
        return tpot


def replay(
    load: Load, limits: EngineLimits, cost: Coefficients, experts: TouchedExperts | None = None
) -> Times:
    """When the requests of a load would have had their first and last tokens.

    Args:
        load: what is sent.
        limits: of the engine.
        cost: of steps and requests.
        experts: of a mixture; None = dense.

    Raises:
        UsageError: a request the limits cannot hold.
    """
    overheads = Overheads(arrival_s=cost.arrival_s, reply_s=cost.first_token_s, handling_s=HANDLING_S)
    model = step_model(cost, experts)
    found = simulate(load.jobs, limits, model, clients=load.concurrency, overheads=overheads)
    return Times(found.arrival_s, found.first_token_s, found.last_token_s)
