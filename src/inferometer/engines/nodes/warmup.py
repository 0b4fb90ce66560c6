"""Wakes every rank of a service: asks what it serves, has it answer once, and tells the slow and the dead ones."""

from __future__ import annotations

import json
import queue
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from inferometer.client.probe import Caller, NoConnectionError
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.engines.asking import LATER, QUESTION, Asker, NotYetError, RefusedError
from inferometer.errors import EndpointError, InterruptedEarlyError
from inferometer.loadgen.stop import StopSignal

ANSWER_TOKENS = 20
SLOW_FACTOR = 3.0
_SLOW_AT_LEAST_MS = 100.0  # above the median; what is less is the machine's own noise
_FEWEST_TO_COMPARE = 3
_LOOK_S = 0.2


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """One rank to wake; ``unknown`` says why nothing is known of where it is, and ``target`` is None then."""

    rank: int
    url: str
    target: Target | None
    unknown: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How ranks are woken.

    Attributes:
        concurrency: ranks that are asked at the same time. Ranks that share experts answer only when all of them
            are awake, so that fewer than there are ranks can wait for each other in vain.
        limit_s: longest time of an attempt, for both of its requests together.
        attempts: how often a rank is asked before it counts as dead.
        pause_s: between two attempts.
        slow_factor: from how many times the median on an answer is slow.
        prompt: what is asked.
        answer_tokens: longest answer.
        model: name that requests give; None = the first that the rank lists.
    """

    concurrency: int = 64
    limit_s: float = 120.0
    attempts: int = 3
    pause_s: float = 2.0
    slow_factor: float = SLOW_FACTOR
    prompt: str = QUESTION
    answer_tokens: int = ANSWER_TOKENS
    model: str | None = None


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rank.

    Attributes:
        rank: its number, and
        url: its address.
        state: ``ok``; ``slow`` beside the others; ``dead`` = no attempt had an answer.
        attempts: how many were made.
        models_ms: until it had listed its models; of the last attempt, as
        answer_ms: until the whole first answer was there.
        model: that answered.
        reason: why it is slow or dead.
    """

    rank: int
    url: str
    state: Literal["ok", "slow", "dead"]
    attempts: int
    models_ms: float | None = None
    answer_ms: float | None = None
    model: str | None = None
    reason: str | None = None


def wake(
    ranks: Sequence[Rank], asked: Asked, clock: Clock, stop: StopSignal, tell: Callable[[Woken], None]
) -> list[Woken]:
    """Wake all ranks, and judge each beside the others.

    Args:
        ranks: whom to wake.
        asked: how.
        clock: of times and limits.
        stop: asked once, it is given up.
        tell: told of each rank as it comes, judged beside those that came before.

    Returns:
        One entry a rank, in their order, judged beside all.

    Raises:
        InterruptedEarlyError: ``stop`` was asked.
    """
    waiting: queue.SimpleQueue[Rank] = queue.SimpleQueue()
    for rank in ranks:
        waiting.put(rank)
    come: queue.SimpleQueue[Woken | BaseException] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_work, args=(waiting, come, asked, clock, stop), daemon=True)
        for _ in range(min(asked.concurrency, len(ranks)))
    ]
    for thread in threads:
        thread.start()
    found: list[Woken] = []
    while len(found) < len(ranks):
        try:
            one = come.get(timeout=_LOOK_S)
        except queue.Empty:
            if stop.level:
                raise InterruptedEarlyError(
                    f"interrupted with {len(found)} of {len(ranks)} ranks awake"
                ) from None
            continue
        if isinstance(one, BaseException):
            raise one
        found.append(one)
        tell(judged(found, asked.slow_factor)[-1])
    return sorted(judged(found, asked.slow_factor), key=lambda woken: woken.rank)


def judged(found: Sequence[Woken], factor: float) -> list[Woken]:
    """Each rank beside the others: slow = more than ``factor`` times the median of all answers, and 100 ms above it.

    The median stays what it is while fewer than half of the ranks are slow. Fewer than three are not compared.
    """
    answers = [woken.answer_ms for woken in found if woken.answer_ms is not None and woken.state != "dead"]
    if len(answers) < _FEWEST_TO_COMPARE:
        return list(found)
    median = statistics.median(answers)
    limit = max(median * factor, median + _SLOW_AT_LEAST_MS)
    return [_beside(woken, median, limit) for woken in found]


def _beside(woken: Woken, median_ms: float, limit_ms: float) -> Woken:
    if woken.state == "dead" or woken.answer_ms is None:
        return woken
    if woken.answer_ms <= limit_ms:
        return msgspec.structs.replace(woken, state="ok", reason=None)
    times = woken.answer_ms / median_ms
    return msgspec.structs.replace(
        woken, state="slow", reason=f"{times:.1f} x the median of {median_ms:.0f} ms"
    )


def _work(
    waiting: queue.SimpleQueue[Rank],
    come: queue.SimpleQueue[Woken | BaseException],
    asked: Asked,
    clock: Clock,
    stop: StopSignal,
) -> None:
    while not stop.level:
        try:
            rank = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            come.put(_attempts(rank, asked, clock, stop))
        except InterruptedEarlyError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for this one
            come.put(error)
            return


def _attempts(rank: Rank, asked: Asked, clock: Clock, stop: StopSignal) -> Woken:
    if rank.target is None:
        return Woken(rank=rank.rank, url=rank.url, state="dead", attempts=0, reason=rank.unknown)
    reason = ""
    for attempt in range(1, asked.attempts + 1):
        try:
            return _once((rank, rank.target), asked, clock, stop, attempt)
        except EndpointError as error:
            reason = error.message
            if isinstance(error, RefusedError) or attempt == asked.attempts:
                break
        _pause(asked.pause_s, clock, stop)
    return Woken(rank=rank.rank, url=rank.url, state="dead", attempts=attempt, reason=reason)


def _once(whom: tuple[Rank, Target], asked: Asked, clock: Clock, stop: StopSignal, attempt: int) -> Woken:
    rank, target = whom

    def stopped() -> bool:
        return stop.level > 0

    begin = clock.now_ns()
    target, models = listed(target, asked.limit_s, clock, stopped)
    if not (asked.model or models):
        raise NotYetError("it lists no model yet", "name it with --model NAME")
    listed_ns = clock.now_ns() - begin
    model = asked.model or models[0]
    asker = Asker(target, "openai-chat", model, clock, stopped, asked.prompt)
    try:
        answer = asker.ask(asked.answer_tokens, max(asked.limit_s - listed_ns / 1e9, 0.001))
    finally:
        asker.close()
    return Woken(
        rank=rank.rank,
        url=rank.url,
        state="ok",
        attempts=attempt,
        models_ms=listed_ns / 1e6,
        answer_ms=answer.seconds * 1e3,
        model=model,
    )


def listed(
    target: Target, limit_s: float, clock: Clock, stopped: Callable[[], bool]
) -> tuple[Target, list[str]]:
    """The models that a rank lists, and the rank at that of its addresses which answered.

    ``localhost`` is ::1 first on many machines, and most servers listen on 127.0.0.1 only.

    Raises:
        RefusedError: it says no, as to a wrong key; asking again does not change that.
        EndpointError: nobody answers, or not yet.
        InterruptedEarlyError: ``stopped`` became True.
    """
    silent: list[NoConnectionError] = []
    for address in target.addresses:
        caller = Caller(msgspec.structs.replace(target, addresses=[address]), clock, stopped)
        try:
            reply = caller.call("GET", "/v1/models", limit_s=limit_s)
        except NoConnectionError as error:
            silent.append(error)
            continue
        finally:
            caller.close()
        if reply.head.status in LATER:
            raise NotYetError(caller.said(reply))
        if reply.head.status != 200:
            raise RefusedError(caller.said(reply))
        return caller.target, _names(reply.body)
    raise silent[0]


def _names(body: bytes) -> list[str]:
    try:
        data = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError):
        return []
    entries = data if isinstance(data, list) else []
    return [str(entry["id"]) for entry in entries if isinstance(entry, dict) and entry.get("id")]


def _pause(seconds: float, clock: Clock, stop: StopSignal) -> None:
    limit_ns = clock.now_ns() + round(seconds * 1e9)
    while not stop.level and (left_s := (limit_ns - clock.now_ns()) / 1e9) > 0:
        time.sleep(min(left_s, _LOOK_S))
    if stop.level:
        raise InterruptedEarlyError("interrupted between two attempts")
