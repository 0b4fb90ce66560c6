"""A closed loop in its steady state, by averages: no queue is simulated, so a thousand guesses take a second.

A fit to load points walks along these averages and corrects them by replays where it stands (space mapping, Bandler et
al. 1994), since what averages miss, collisions of prompts and the alignment to steps, hardly changes from one guess
to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.model import Coefficients

Floats = NDArray[np.float64]


class Place(Protocol):
    """Where a load point is."""

    @property
    def concurrency(self) -> int:
        """Clients."""

    @property
    def input_tokens(self) -> int:
        """Mean."""

    @property
    def output_tokens(self) -> int:
        """Mean."""


class Averages(NamedTuple):
    """Mean seconds by load point: TTFT of clients that send one request after another, and of all at once; TPOT."""

    ttft_s: Floats
    burst_s: Floats
    tpot_s: Floats


class SteadyState:
    """Load points under one engine's limits.

    Args:
        places: the load points.
        limits: of the engine, by load point.
        experts: of the model; None = dense.
    """

    def __init__(
        self, places: Sequence[Place], limits: Sequence[EngineLimits], experts: TouchedExperts | None = None
    ) -> None:
        def column(values: list[float]) -> Floats:
            return np.array(values, dtype=np.float64)

        self._clients = column([place.concurrency for place in places])
        self._inputs = column([place.input_tokens for place in places])
        self._outputs = column([place.output_tokens for place in places])
        self._budget = column([limit.max_num_batched_tokens for limit in limits])
        self._mixes = np.array([limit.scheduler == "chunked" for limit in limits])
        self._experts = experts
        pool = column([limit.kv_blocks * limit.block_tokens for limit in limits])
        held = self._inputs + self._outputs / 2
        most = np.minimum(column([limit.max_num_seqs for limit in limits]), pool / held)
        self._seats = np.clip(self._clients, 1.0, np.maximum(1.0, most))
        self._plan()

    def _plan(self) -> None:
        """How many steps of which kind an answer lives through; no coefficient matters for that."""
        seats, after = self._seats, self._outputs - 1
        self._chunks = np.ceil(self._inputs / np.maximum(1.0, self._budget - np.where(self._mixes, seats, 0)))
        steps = np.where(self._mixes, after + self._chunks, after)
        self._steps = np.maximum(steps, seats * (self._inputs + self._outputs) / self._budget)
        # Prompts fall on steps independently; several on one step share it, as far as the budget goes.
        missed = (1 - 1 / np.maximum(self._steps, 2)) ** (seats * self._chunks)
        mixed = np.maximum(self._steps * (1 - missed), seats * self._inputs / self._budget)
        self._mixed = np.clip(mixed, self._chunks, np.maximum(self._steps, self._chunks))
        self._share = seats * self._inputs / self._mixed  # prompt tokens of a step with prompts
        self._decodes = seats * after / np.maximum(self._steps, after)
        burst = np.maximum(1.0, seats * self._inputs / self._budget)
        self._burst_steps = (burst + 1) / 2
        self._burst_tokens = seats * self._inputs / burst

    def _linear_s(self, cost: Coefficients, tokens: Floats) -> Floats:
        weights = np.full_like(tokens, cost.weights_s)
        if self._experts is not None:
            weights *= 1.0 - self._experts.routed * (1.0 - self._experts.picked) ** tokens
        read: Floats = np.maximum(weights, cost.token_s * tokens) + cost.comm_token_s * tokens + cost.step_s
        return read

    def _prompt_s(self, cost: Coefficients, tokens: Floats) -> Floats:
        """What a step with prompts takes beside its linear layers."""
        work = cost.attention_s * tokens * self._inputs / 2
        extra: Floats = cost.prompt_step_s + work + cost.sequence_s * tokens / self._inputs
        return extra

    def averages(self, cost: Coefficients) -> Averages:
        """The means of the load points with these coefficients."""
        decodes = self._decodes
        context = self._inputs + self._outputs / 2
        each = decodes * (cost.sequence_s + cost.kv_token_s * context)
        pure_s = self._linear_s(cost, decodes) + each
        together_s = self._linear_s(cost, decodes + self._share) + each
        alone_s = self._linear_s(cost, self._share)
        mixed_s = np.where(self._mixes, together_s, alone_s) + self._prompt_s(cost, self._share)
        after = self._outputs - 1
        others = np.maximum(self._mixed - self._chunks, 0.0)
        plain = np.where(self._mixes, np.maximum(self._steps - self._mixed, 0.0), self._steps)
        tpot_s = (plain * pure_s + others * mixed_s) / after
        lag_s = cost.arrival_s + cost.first_token_s
        aligned_s = np.where(self._seats > 1, np.maximum(pure_s / 2, pure_s - lag_s), 0.0)
        ttft_s = lag_s + aligned_s + self._chunks * mixed_s
        seat_s = ttft_s + after * tpot_s
        waiting = self._clients - self._seats
        burst_s = self._linear_s(cost, self._burst_tokens) + self._prompt_s(cost, self._burst_tokens)
        return Averages(
            ttft_s + seat_s * waiting / self._seats,
            lag_s + burst_s * self._burst_steps + seat_s * waiting / self._clients,
            tpot_s,
        )
