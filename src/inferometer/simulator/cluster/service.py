"""What a simulated service is made of, what is asked of it, and what it answers. Types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepModel
from inferometer.simulator.instance.simulate import Overheads

RouterName = Literal["round-robin", "least-loaded", "prefix-affinity"]


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """How KV entries come from an instance that prefills to one that decodes.

    Attributes:
        bytes_per_token: of KV entries.
        bytes_per_s: of one link; transfers out of one prefill instance come one after the other.
        latency_s: of each transfer beside that.
    """

    bytes_per_token: float
    bytes_per_s: float
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        if not (self.bytes_per_token >= 0 and self.bytes_per_s > 0 and self.latency_s >= 0):
            raise UsageError(
                f"a transfer of bytes_per_token={self.bytes_per_token} at bytes_per_s={self.bytes_per_s} with "
                f"latency_s={self.latency_s} cannot be: tokens and latency at least 0, bandwidth above"
            )


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Instances behind one address.

    Attributes:
        limits: of each instance (of the decoding ones where prefill is done elsewhere).
        model: how long their steps take.
        overheads: of a request outside of steps.
        instances: alike; replicas or data-parallel ranks.
        lockstep: data-parallel ranks of a mixture of experts: a step of one begins with the steps of all others, and
            takes as long as the longest.
        router: which instance a request goes to.
        prefill: prefill instances beside ``instances``, which then decode alone; 0 = none.
        prefill_limits: of those; None = as ``limits``.
        prefill_model: of those; None = as ``model``.
        transfer: between the two; needed with ``prefill``.
        seed: of what is drawn (acceptance of drafts).
    """

    limits: EngineLimits
    model: StepModel
    overheads: Overheads = Overheads()
    instances: int = 1
    lockstep: bool = False
    router: RouterName = "round-robin"
    prefill: int = 0
    prefill_limits: EngineLimits | None = None
    prefill_model: StepModel | None = None
    transfer: Transfer | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.instances < 1 or self.prefill < 0:
            raise UsageError(
                f"{self.instances} instances and {self.prefill} for prefill: a simulated service needs at least 1 and 0"
            )
        if self.prefill and self.transfer is None:
            raise UsageError(
                "prefill instances without a transfer: nobody knows how long KV entries take to the decoding ones",
                "say what the link carries",
            )
        if self.prefill and self.limits.scheduler == "static":
            raise UsageError(
                "scheduler=static computes padded batches and cannot go on with prompts of prefill instances",
                "use scheduler=chunked or prefill-first, or no prefill instances",
            )
        self._check_prefixes()

    def _check_prefixes(self) -> None:
        """Block names must mean the same everywhere, and be of use where a router looks at them."""
        first = self.prefill_limits if self.prefill and self.prefill_limits is not None else self.limits
        if self.router == "prefix-affinity" and not first.prefix_cache:
            raise UsageError(
                "router=prefix-affinity without prefix_cache: instances keep no prefix that it could send requests to",
                "turn the prefix cache on, or use router=least-loaded",
            )
        if self.limits.prefix_cache and first.prefix_cache and first.block_tokens != self.limits.block_tokens:
            raise UsageError(
                f"block_tokens={first.block_tokens} of prefill instances, block_tokens={self.limits.block_tokens} of "
                "the others: KV blocks with prefix_cache must be of one size",
                "give both the same",
            )


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """A later turn of a session.

    Attributes:
        new_tokens: of the prompt, beside all turns and answers before it.
        output_tokens: of the answer.
        think_s: between the end of the answer before it and this turn.
    """

    new_tokens: int
    output_tokens: int
    think_s: float = 0.0


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, or the first turn of a session.

    Attributes:
        prompt_tokens: at least 1.
        output_tokens: at least 1.
        names: of the prompt's full blocks, for prefix caches and affinity, 0 or more (others are given to blocks that
            only the turns of a session share); None = no prefix is shared with other requests.
        later: turns after it.
    """

    prompt_tokens: int
    output_tokens: int
    names: tuple[int, ...] | None = None
    later: tuple[Later, ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it went. Times are ns from the load point's epoch.

    Attributes:
        request: number of the request, or session, in the order of the schedule.
        turn: 0, or of the session.
        planned_ns, queued_ns: as the schedule says them (``schedule.Planned``).
        sent_ns: when it went out.
        scheduled_ns: begin of the first step that computed any of it, rounded down; None if none did.
        tokens_ns: when the client had each output token, rounded down; empty if it never had one.
        prompt_tokens: of this turn, with the turns before it.
        output_tokens: asked for.
        cached_tokens: of the prompt, found in a prefix cache.
        instance: which one answered it (with prefill elsewhere the decoding one, once it has been chosen): its place in
            ``Served.busy_ns``. Of a refused request 0.
        preemptions: how often it lost its KV entries.
        refused: why the service did not take it (longer than its context), in words; None = it did.
        cut: whether the load point ended before its answer did.
    """

    request: int
    turn: int = 0
    planned_ns: int
    queued_ns: int | None
    sent_ns: int
    scheduled_ns: int | None
    tokens_ns: NDArray[np.int64]
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    instance: int = 0
    preemptions: int = 0
    refused: str | None = None
    cut: bool = False


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A load point in virtual time.

    Attributes:
        answers: by when they were planned.
        end_ns: end of the last answer, or of the load point.
        steps: of all instances.
        busy_ns: by instance, time up to ``end_ns`` in which a step ran (not a dummy one of ``lockstep``); prefill
            instances first.
        kv_peak_blocks: by instance, most blocks that were held during a step.
    """

    answers: list[Answered]
    end_ns: int
    steps: int
    busy_ns: tuple[int, ...]
    kv_peak_blocks: tuple[int, ...] = ()


Watch = Callable[[int, int], bool]
"""Told now and then of the virtual time (ns) and of the requests done; True stops the load point."""
