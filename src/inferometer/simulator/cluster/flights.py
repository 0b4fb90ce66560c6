"""A request on its way, and the turns of a session as requests."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from inferometer.schedule import Planned
from inferometer.simulator.cluster.service import Answered, Ask
from inferometer.simulator.instance.stepped import AnySequence

_PLACES = 1 << 32  # more blocks than a session has
_TURNS = 1 << 20  # more turns than a session has

Tokens = NDArray[np.int64]


class Flight:
    """One request, from when it is planned to when its answer has ended.

    Attributes:
        ask: what is asked, with the turns after it.
        planned: number and times by the schedule; of later turns, those of the session.
        turn: of the session.
        sent_ns: when it went out.
        prompt_tokens: of this turn, with the turns before it.
        output_tokens: asked for.
        names: of blocks, for prefix caches and routers; None = none is looked for.
        instance: of the fleet that has it, or had it last.
        sequence: there.
        prefilled: its sequence on the prefill instance, once that has computed its prompt.
        tokens_ns: when the client had each token; as far as is known.
    """

    __slots__ = (
        "ask", "instance", "names", "output_tokens", "planned", "prefilled", "prompt_tokens", "refused", "sent_ns",
        "sequence", "tokens_ns", "turn",
    )  # fmt: skip

    def __init__(self, ask: Ask, planned: Planned, sent_ns: int) -> None:
        self.ask = ask
        self.planned = planned
        self.sent_ns = sent_ns
        self.turn = 0
        self.prompt_tokens = ask.prompt_tokens
        self.output_tokens = ask.output_tokens
        self.names = ask.names
        self.instance = 0
        self.sequence: AnySequence | None = None
        self.prefilled: AnySequence | None = None
        self.tokens_ns: Tokens = np.zeros(0, dtype=np.int64)
        self.refused: str | None = None

    @property
    def order(self) -> int:
        """Among what happens in the same instant."""
        return self.planned.request * _TURNS + self.turn

    def next_turn(self, end_ns: int) -> Flight | None:
        """The turn after this one, whose answer ended at ``end_ns``; None after the last one, or a refused one."""
        if self.refused is not None or self.turn == len(self.ask.later):
            return None
        later = self.ask.later[self.turn]
        due_ns = end_ns + round(later.think_s * 1e9)
        turn = Flight(self.ask, Planned(self.planned.request, due_ns, None), due_ns)
        turn.turn = self.turn + 1
        turn.prompt_tokens = self.prompt_tokens + self.output_tokens + later.new_tokens
        turn.output_tokens = later.output_tokens
        return turn

    def name_blocks(self, block_tokens: int) -> None:
        """Name all blocks that later turns have as well; those of other requests are named by the ask alone."""
        if not self.ask.later:
            return
        given = (self.ask.names or ())[: self.ask.prompt_tokens // block_tokens]
        blocks = (self.prompt_tokens + self.output_tokens) // block_tokens
        base = -1 - self.planned.request * _PLACES
        self.names = (*given, *range(base - len(given), base - blocks, -1))

    def answered(self, place: int, *, cut: bool = False) -> Answered:
        """What is told of it; ``place`` is that of its instance in ``Served.busy_ns``."""
        first, last = self.prefilled or self.sequence, self.sequence
        scheduled_ns = None if first is None or first.scheduled_ns is None else floor(first.scheduled_ns)
        preemptions = 0 if last is None else last.preemptions
        if first is not None and first is not last:
            preemptions += first.preemptions
        return Answered(
            request=self.planned.request,
            turn=self.turn,
            planned_ns=self.planned.planned_ns,
            queued_ns=self.planned.queued_ns,
            sent_ns=self.sent_ns,
            scheduled_ns=scheduled_ns,
            tokens_ns=self.tokens_ns,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=0 if first is None else first.cached,
            instance=place,
            preemptions=preemptions,
            refused=self.refused,
            cut=cut,
        )
