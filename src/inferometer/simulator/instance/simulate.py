"""A list of requests through one instance, in virtual time: columns in, columns out."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.shape import StepModel
from inferometer.simulator.instance.stepped import AnyInstance, AnySequence, make_instance

Column = NDArray[np.float64]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the jobs, a row each, in their order. Times are seconds from the start of virtual time.

    Attributes:
        arrival_s: when the client sent the request.
        scheduled_s: begin of the first step that computed any of it.
        first_token_s: when the client had its first token.
        last_token_s: when the client had its last token.
        prompt_tokens: of the request.
        output_tokens: given.
        steps: of the instance.
        preemptions: of all requests.
    """

    arrival_s: Column
    scheduled_s: Column
    first_token_s: Column
    last_token_s: Column
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    steps: int
    preemptions: int

    @property
    def ttft_s(self) -> Column:
        """Time to first token."""
        return self.first_token_s - self.arrival_s

    @property
    def e2el_s(self) -> Column:
        """End-to-end latency."""
        return self.last_token_s - self.arrival_s

    @property
    def tpot_s(self) -> Column:
        """Time per output token after the first; NaN for answers of one token."""
        after = np.where(self.output_tokens > 1, self.output_tokens - 1, np.nan)
        tpot: Column = (self.last_token_s - self.first_token_s) / after
        return tpot


class Overheads(msgspec.Struct, frozen=True, kw_only=True):
    """What a request costs outside steps, in seconds.

    Attributes:
        arrival_s: from sending to where a step can take it.
        reply_s: from the end of a step to where the client has its tokens.
        handling_s: between two arrivals at least, for HTTP servers take in one request after the other: those that are
            sent in one instant do not all share the next step, as the first of them begins it.
    """

    arrival_s: float = 0.0
    reply_s: float = 0.0
    handling_s: float = 0.0


# Of the order of what reading and tokenising a short request costs HTTP servers. That it is not 0 matters where answers
# end together; its size matters where prompts take a step of about as long.
HANDLING_S = 2e-4


class Front:
    """Where requests come in, one after the other.

    Args:
        overheads: how long they take to get there, and how far apart they are then.
    """

    def __init__(self, overheads: Overheads) -> None:
        self._lag_ns = overheads.arrival_s * 1e9
        self._apart_ns = overheads.handling_s * 1e9
        self._latest_ns = -inf

    def arrival_ns(self, sent_ns: float) -> float:
        """When a request is in; where they are kept apart, to be asked in the order in which they are sent."""
        if not self._apart_ns:
            return sent_ns + self._lag_ns
        self._latest_ns = max(sent_ns + self._lag_ns, self._latest_ns + self._apart_ns)
        return self._latest_ns


_NO_OVERHEADS = Overheads()


def simulate(
    jobs: Sequence[Job],
    limits: EngineLimits,
    model: StepModel,
    *,
    clients: int | None = None,
    overheads: Overheads = _NO_OVERHEADS,
    seed: int = 0,
) -> Outcome:
    """Send jobs to one instance and run it until all are answered: in jumps where the limits allow it.

    Args:
        jobs: what is sent.
        limits: of the scheduler.
        model: duration of steps.
        clients: None = each job is sent at its own time (open loop). A number = so many clients take the jobs in
            their order; each sends its next one when it has the answer to the last, not before the job's own time.
        overheads: of requests, outside steps.
        seed: of what is drawn, the acceptance of drafts.

    Raises:
        UsageError: no client, or a job that the limits cannot hold.
    """
    if clients is not None and clients < 1:
        raise UsageError(f"clients={clients} of a closed loop must be at least 1")
    instance = make_instance(limits, model, seed=seed)
    first = len(jobs) if clients is None else min(clients, len(jobs))
    front, sent_ns = Front(overheads), [float(job.arrival_ns) for job in jobs[:first]]
    reply_ns = overheads.reply_s * 1e9
    rows = [instance.add(job, front.arrival_ns(at_ns)) for job, at_ns in zip(jobs, sent_ns, strict=False)]
    while finished := instance.run_until():
        for sequence in finished[: len(jobs) - len(rows)]:
            assert sequence.last_token_ns is not None
            job = jobs[len(rows)]
            sent_ns.append(max(sequence.last_token_ns + reply_ns, job.arrival_ns))
            rows.append(instance.add(job, front.arrival_ns(sent_ns[-1])))
    return _outcome(rows, sent_ns, instance, overheads.reply_s)


def _outcome(rows: list[AnySequence], sent_ns: list[float], instance: AnyInstance, reply_s: float) -> Outcome:
    def column(name: str) -> Column:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64) / 1e9

    return Outcome(
        arrival_s=np.array(sent_ns) / 1e9,
        scheduled_s=column("scheduled_ns"),
        first_token_s=column("first_token_ns") + reply_s,
        last_token_s=column("last_token_ns") + reply_s,
        prompt_tokens=np.array([row.job.prompt_tokens for row in rows], dtype=np.int64),
        output_tokens=np.array([row.generated for row in rows], dtype=np.int64),
        steps=instance.steps,
        preemptions=instance.preemptions,
    )
