"""A load point against a simulated service, in virtual time: one deterministic loop over what happens next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from math import floor, inf
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferometer.schedule import Schedule
from inferometer.simulator.cluster.fleet import Fleet, answering, prefilling
from inferometer.simulator.cluster.flights import Flight
from inferometer.simulator.cluster.groups import Group
from inferometer.simulator.cluster.service import Answered, Ask, Served, Service, Transfer, Watch
from inferometer.simulator.instance.limits import Job
from inferometer.simulator.instance.simulate import Front
from inferometer.simulator.instance.stepped import AnySequence

_WATCH_EVERY = 1024  # events
# A closed loop whose every request is refused in no time would never come to its end.
_REFUSAL_NS = 1_000_000


class Kind(IntEnum):
    """What happens, in the order in which it happens when it does in the same instant.

    Answers end before requests are sent in their place, and these arrive before the steps that begin then are formed.
    Of one kind, requests come in the order of the schedule, so that nothing hangs on how instances are reckoned.
    """

    ENDED = 0  # a step at an instance, with the last token of some of its requests
    HANDED_OVER = 1  # a prompt, whose KV entries are ready to go to the instance that answers
    REPLIED = 2  # the client has a whole answer
    SENT = 3  # a request, or a later turn, goes out
    ARRIVED = 4  # at an instance, or before its router
    BEGUN = 5  # a step of which something comes that others see


class _Ended(NamedTuple):
    fleet: Fleet
    sequences: list[AnySequence]


def serve_point(
    service: Service,
    asks: Iterator[Ask],
    schedule: Schedule,
    *,
    until_ns: int | None = None,
    drain: Literal["wait", "cut"] = "wait",
    watch: Watch | None = None,
) -> Served:
    """Send requests as the schedule says, as a worker of a real run does, until all are answered.

    A request takes its permit from ``schedule`` and gives it back when its answer has ended; a session keeps it until
    its last turn has, and its next turn is sent its think time after the answer. What the service refuses ends at once.

    Deterministic by ``service.seed``, ``asks`` and ``schedule``. Equal to a loop over all steps of all instances: none
    is run past the begin of a step that what happens elsewhere could still change.

    Args:
        service: what answers.
        asks: requests and sessions in the order in which they are sent; when they end, nothing more is.
        schedule: when they are due; made for this load point and used up.
        until_ns: nothing that is due then, or later, is sent; None = no limit.
        drain: what is in flight then is waited for, or cut.
        watch: told now and then how far it is; when it says so, the load point ends and what is in flight is cut.

    Raises:
        UsageError: a request without tokens.
    """
    answers: list[Answered] = []
    point = _Point(service, asks, schedule, until_ns)
    end_ns = point.run(answers.append, until_ns if drain == "cut" else None, watch)
    answers.sort(key=lambda answer: (answer.planned_ns, answer.request, answer.turn))
    fleets = [fleet for fleet in (point.prefill, point.decode) if fleet is not None]
    return Served(
        answers=answers,
        end_ns=end_ns,
        steps=sum(fleet.steps for fleet in fleets),
        busy_ns=tuple(busy for fleet in fleets for busy in fleet.busy_ns(end_ns)),
        kv_peak_blocks=tuple(peak for fleet in fleets for peak in fleet.kv_peak_blocks),
    )


class _Point:
    """The state of the loop. Times of clients are whole ns; those of instances that lie between are rounded down."""

    def __init__(
        self, service: Service, asks: Iterator[Ask], schedule: Schedule, until_ns: int | None
    ) -> None:
        self.prefill = prefilling(service)
        self.decode = answering(service)
        self._front = self.prefill or self.decode  # where requests arrive
        self._links = None if self.prefill is None else _Links(service.transfer, len(self.prefill))
        self._asks = asks
        self._next_ask = next(asks, None)
        self._schedule = schedule
        self._until_ns = inf if until_ns is None else until_ns
        self._lag_ns = round(service.overheads.arrival_s * 1e9)
        self._door = Front(service.overheads)
        self._reply_ns = round(service.overheads.reply_s * 1e9)
        self._names = self._front.limits.prefix_cache or self.decode.limits.prefix_cache
        self._events: list[tuple[float, int, int, int, Any]] = []
        self._numbered = 0
        self._flights: dict[AnySequence, Flight] = {}  # at an instance
        self._open: dict[Flight, None] = {}  # sent, and not answered
        self._now_ns: float = 0
        self._end_ns = 0
        self._done = 0
        self._tell: Callable[[Answered], None] = _nobody
        self._handlers: dict[int, Callable[[float, Any], None]] = {
            Kind.ENDED: self._end,
            Kind.HANDED_OVER: self._hand_over,
            Kind.REPLIED: self._reply,
            Kind.SENT: self._send,
            Kind.ARRIVED: self._arrive,
            Kind.BEGUN: self._step,
        }

    def run(self, tell: Callable[[Answered], None], cut_ns: int | None, watch: Watch | None) -> int:
        """Let everything happen; ``tell`` is given each answer as it ends. Returns when the load point was over."""
        self._tell = tell
        events = self._events
        turns = 0
        while True:
            wake_ns = self._wake_ns()
            if events and (wake_ns is None or events[0][:2] < (wake_ns, Kind.SENT)):
                if cut_ns is not None and events[0][0] > cut_ns:
                    return self._cut(cut_ns)
                self._now_ns, kind, _, _, what = heappop(events)
                self._handlers[kind](self._now_ns, what)
            elif wake_ns is not None:
                self._take(wake_ns)
            else:
                return self._end_ns
            turns += 1
            if watch is not None and turns % _WATCH_EVERY == 0 and watch(floor(self._now_ns), self._done):
                return self._cut(floor(self._now_ns))

    def _put(self, at_ns: float, kind: Kind, order: int, what: object) -> None:
        self._numbered += 1
        heappush(self._events, (at_ns, kind, order, self._numbered, what))

    # clients

    def _wake_ns(self) -> int | None:
        if self._next_ask is None:
            return None
        wake_ns = self._schedule.wake_ns()
        return None if wake_ns is None or wake_ns >= self._until_ns else wake_ns

    def _take(self, at_ns: int) -> None:
        """The request that the schedule has announced goes out."""
        planned, ask = self._schedule.take(), self._next_ask
        assert ask is not None
        self._next_ask = next(self._asks, None)
        self._now_ns = max(self._now_ns, at_ns)
        self._send(at_ns, Flight(ask, planned, at_ns))

    def _send(self, at_ns: float, flight: Flight) -> None:
        self._open[flight] = None
        flight.refused = self._refusal(flight)
        if flight.refused is not None:
            took_ns = max(self._lag_ns + self._reply_ns, _REFUSAL_NS)
            self._put(flight.sent_ns + took_ns, Kind.REPLIED, flight.order, flight)
            return
        if self._names:
            flight.name_blocks(self._front.limits.block_tokens)
        self._put(round(self._door.arrival_ns(flight.sent_ns)), Kind.ARRIVED, flight.order, flight)

    def _refusal(self, flight: Flight) -> str | None:
        prompt, output = flight.prompt_tokens, flight.output_tokens
        context = self.decode.limits.max_model_len
        if prompt + output <= context:
            if self.prefill is None or prompt + 1 <= self.prefill.limits.max_model_len:
                return None
            context, output = self.prefill.limits.max_model_len, 1
        return f"{prompt} prompt + {output} output tokens exceed the context of {context} tokens"

    def _reply(self, at_ns: float, flight: Flight) -> None:
        """The client has the answer: the session goes on, or a permit is free."""
        end_ns = floor(at_ns)
        del self._open[flight]
        self._done += 1
        self._end_ns = max(self._end_ns, end_ns)
        self._tell(flight.answered(self._place(flight)))
        turn = flight.next_turn(end_ns)
        if turn is not None and turn.sent_ns < self._until_ns:
            self._put(turn.sent_ns, Kind.SENT, turn.order, turn)
        else:
            self._schedule.release(end_ns)

    # instances

    def _arrive(self, at_ns: float, flight: Flight) -> None:
        """A request has come, or its KV entries have come over the link."""
        if flight.prefilled is None:
            fleet, job = self._front, self._first_job(flight)
            blocks = flight.prompt_tokens // fleet.limits.block_tokens
            flight.instance = fleet.choose(flight.names and flight.names[:blocks])
        else:
            fleet = self.decode
            job = Job(
                prompt_tokens=flight.prompt_tokens + 1,
                output_tokens=flight.output_tokens - 1,
                names=flight.names,
                ready_tokens=flight.prompt_tokens,
            )
        flight.sequence = fleet.add(flight.instance, job, at_ns)
        self._flights[flight.sequence] = flight
        self._plan(fleet, fleet.group(flight.instance))

    def _first_job(self, flight: Flight) -> Job:
        output = 1 if self.prefill is not None else flight.output_tokens
        return Job(prompt_tokens=flight.prompt_tokens, output_tokens=output, names=flight.names)

    def _plan(self, fleet: Fleet, group: Group) -> None:
        """Note when ``group`` has to be run; what was noted before does not count any more."""
        due_ns = group.due_ns()
        if due_ns is not None and due_ns != group.planned_ns:
            self._put(due_ns, Kind.BEGUN, 0, (fleet, group))
        group.planned_ns = due_ns

    def _step(self, at_ns: float, what: tuple[Fleet, Group]) -> None:
        fleet, group = what
        if group.planned_ns != at_ns:
            return
        group.planned_ns = None
        finished = group.run(at_ns)
        if finished:
            self._put(group.now_ns, Kind.ENDED, 0, _Ended(fleet, finished))
        self._plan(fleet, group)

    def _end(self, at_ns: float, ended: _Ended) -> None:
        flights = [self._flights.pop(sequence) for sequence in ended.sequences]
        for flight in flights:
            flight.tokens_ns = self._tokens_ns(flight)
        for flight in flights:
            ended.fleet.ended(flight.instance)
        for flight in flights:
            if ended.fleet is self.prefill and flight.output_tokens > 1:
                self._put(at_ns, Kind.HANDED_OVER, flight.order, flight)
            else:
                self._put(at_ns + self._reply_ns, Kind.REPLIED, flight.order, flight)

    def _hand_over(self, at_ns: float, flight: Flight) -> None:
        """The prompt of a request is computed: its KV entries go to the instance that answers it."""
        assert self._links is not None
        at_ns = self._links.arrival_ns(flight.instance, at_ns, flight.prompt_tokens)
        flight.prefilled = flight.sequence
        flight.instance = self.decode.choose(None)
        self._put(at_ns, Kind.ARRIVED, flight.order, flight)

    def _tokens_ns(self, flight: Flight) -> NDArray[np.int64]:
        """When the client had each token, of what is computed by now."""
        if flight.sequence is None:
            return flight.tokens_ns
        first = flight.prefilled or (None if self.prefill is None else flight.sequence)
        parts: list[NDArray[np.float64]] = []
        if first is not None and first.first_token_ns is not None:
            parts.append(np.array([first.first_token_ns], dtype=np.float64))
        if first is not flight.sequence:
            parts.append(self.decode.token_times_ns(flight.instance, flight.sequence))
        times_ns = np.concatenate(parts) if parts else np.zeros(0)
        return np.floor(times_ns).astype(np.int64) + self._reply_ns

    def _place(self, flight: Flight) -> int:
        """That of the instance that has a request among all, those for prefill first."""
        at_front = self.prefill is not None and flight.prefilled is None
        return flight.instance if self.prefill is None or at_front else len(self.prefill) + flight.instance

    def _cut(self, at_ns: int) -> int:
        """Nothing that happens later is waited for: all that is in flight ends now, with the tokens that it has."""
        for fleet in (self.prefill, self.decode):
            for group in () if fleet is None else fleet.groups:
                group.run(at_ns)
        for flight in self._open:
            if flight.sequence in self._flights:  # of others the times are known already
                flight.tokens_ns = self._tokens_ns(flight)
            flight.tokens_ns = flight.tokens_ns[flight.tokens_ns <= at_ns]
            self._tell(flight.answered(self._place(flight), cut=True))
        return at_ns if self._open else self._end_ns


class _Links:
    """One out of each prefill instance, on which transfers come one after the other."""

    def __init__(self, transfer: Transfer | None, links: int) -> None:
        assert transfer is not None
        self._transfer = transfer
        self._free_ns: list[float] = [0.0] * links

    def arrival_ns(self, link: int, ready_ns: float, tokens: int) -> float:
        """When the KV entries of so many tokens are there that are ready to go at ``ready_ns``."""
        transfer = self._transfer
        took_ns = tokens * transfer.bytes_per_token / transfer.bytes_per_s * 1e9
        self._free_ns[link] = max(self._free_ns[link], ready_ns) + took_ns
        return self._free_ns[link] + transfer.latency_s * 1e9


def _nobody(answer: Answered) -> None:
    """Who is told before the loop has begun."""
