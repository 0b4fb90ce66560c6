"""Requests that the client gives up, as users do: which, and when, drawn from a seed of their own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from inferometer.client.abandoned import AbandonedExchange
from inferometer.client.exchange import Exchange
from inferometer.client.framing import Framing
from inferometer.client.reactor import Reactor
from inferometer.spec import LoadPoint, derive_seed
from inferometer.workload.request import OPEN_ANSWER_TOKENS

_UNSENT_NS = 1_000_000  # how soon to look again at a request that waits for its connection


class Leaver(NamedTuple):
    """A request that will be given up; ordered by time, then by number."""

    due_ns: int  # CLOCK_MONOTONIC
    number: int
    wait_ns: int  # after the send
    exchange: Exchange


class Leavers:
    """Who leaves, and when. What becomes of a request follows from seed and index alone, whoever sends it.

    Args:
        load: share, time and seed.
        framing: how answers are streamed.

    Attributes:
        waiting: those that will leave at a time, the earliest first.
    """

    def __init__(self, load: LoadPoint, framing: Framing) -> None:
        self._seed = derive_seed(load.seed, "cancel")
        self._share = load.cancel_share
        self._within_ns = None if load.cancel_within_s is None else round(load.cancel_within_s * 1e9)
        self._framing = framing
        self.waiting: list[Leaver] = []

    def part(self, index: int) -> float | None:
        """Which part, from 0 to 1, of time or answer request ``index`` waits for; None when it waits for all."""
        toss = Random(self._seed + index)  # noqa: S311 - no secret
        return toss.random() if toss.random() < self._share else None

    def kind_of(self, index: int, target_tokens: int | None) -> Callable[..., Exchange]:
        """What makes the exchange of request ``index``, whose answer should have so many tokens."""
        part = None if self._within_ns is not None else self.part(index)
        if part is None:
            return Exchange
        # Two at least, as many streams begin with an event that only names the speaker.
        events = 2 + int(part * max(1, (target_tokens or OPEN_ANSWER_TOKENS) - 2))

        def limited(
            index: int, wire: bytes, planned_ns: int, queued_ns: int | None, rest: bytes = b""
        ) -> Exchange:
            exchange = AbandonedExchange(index, wire, planned_ns, queued_ns, rest)
            exchange.most, exchange.framing = events, self._framing
            return exchange

        return limited

    def sent(self, exchange: Exchange, now_ns: int) -> None:
        """A request was handed to the transport: if it leaves at a time, that time is set."""
        part = None if self._within_ns is None else self.part(exchange.index)
        if part is not None and self._within_ns is not None:
            wait_ns = int(part * self._within_ns)
            heapq.heappush(self.waiting, Leaver(now_ns + wait_ns, exchange.index, wait_ns, exchange))

    def leave(self, now_ns: int, reactor: Reactor) -> None:
        """Give up those whose time has come; one that still waits for its connection gets its whole time after it."""
        while self.waiting and self.waiting[0].due_ns <= now_ns:
            leaver = heapq.heappop(self.waiting)
            exchange = leaver.exchange
            if exchange.end_ns is not None:
                continue
            due_ns = (now_ns + _UNSENT_NS) if exchange.sent_ns is None else exchange.sent_ns + leaver.wait_ns
            if due_ns > now_ns:
                heapq.heappush(self.waiting, leaver._replace(due_ns=due_ns))
            else:
                took_s = leaver.wait_ns / 1e9
                reactor.abandon(exchange, f"given up by the client {took_s:.3f} s after the send, as asked")
