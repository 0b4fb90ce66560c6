"""Sessions in a worker: an answer makes the next turn, and a failed one ends the conversation."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from inferometer.client.dialects import Dialect
from inferometer.errors import DataError
from inferometer.loadgen.messages import Conversation, Later, WireRequest
from inferometer.loadgen.plan import for_model, prompt_text
from inferometer.record.types import ChunkColumns, ChunkKind, RequestRecord
from inferometer.workload import Request, Turn


class FollowUp(NamedTuple):
    """A later turn that is ready to be sent; ordered by time, then by number."""

    due_ns: int  # CLOCK_MONOTONIC
    number: int  # its index in the load point
    server: int  # the one that had the turns before it, whose cache may hold them
    request: WireRequest


class Sessions:
    """The conversations of one load point in one worker.

    Life cycle of a session: ``begin`` when its first turn is sent -> for each turn that has one after it ``answered``,
    then ``take`` when that is ``due``, or ``end`` -> ``end`` when its last turn has ended.

    Args:
        conversation: how later turns are made; None for a load point without sessions.
        dialect: builds their bodies.

    Attributes:
        ready: later turns that can be sent when they are due, the earliest first.
        open: how many sessions have begun and not ended.
    """

    def __init__(self, conversation: Conversation | None, dialect: Dialect) -> None:
        self._conversation = conversation
        self._dialect = dialect
        self.ready: list[FollowUp] = []
        self.open = 0

    def due(self, now_ns: int) -> bool:
        """Whether a later turn is due at ``now_ns``."""
        return bool(self.ready) and self.ready[0].due_ns <= now_ns

    @property
    def needs_answers(self) -> bool:
        """Whether later turns repeat what the server said."""
        return self._conversation is not None and not self._conversation.recorded

    def begin(self) -> None:
        """The first of several turns goes out."""
        self.open += 1

    def end(self) -> None:
        """The last turn of a session has ended, or one failed."""
        self.open -= 1

    def take(self) -> FollowUp:
        """The first of those that are ready."""
        return heapq.heappop(self.ready)

    def answered(self, request: WireRequest, record: RequestRecord, answer: str | None) -> None:
        """Make the turn after ``request`` ready, due its think time after the end of the answer.

        Args:
            request: the turn that was answered; its session goes on.
            record: what happened to it.
            answer: what the server said; only looked at where ``needs_answers``.
        """
        assert self._conversation is not None
        assert request.later is not None
        turn = request.later.turns[0]
        follow_up = next_turn(
            request, record, answer if self.needs_answers else turn.reply, self._conversation, self._dialect
        )
        due_ns = (record.end_ns or record.planned_ns) + round(turn.think_s * 1e9)
        heapq.heappush(self.ready, FollowUp(due_ns, record.index + 1, record.server, follow_up))


def next_turn(
    request: WireRequest,
    record: RequestRecord,
    answer: str | None,
    conversation: Conversation,
    dialect: Dialect,
) -> WireRequest:
    """The turn after ``request``: its messages, the answer, and what the user says now.

    Its ``input_tokens_target`` is that of the turn before, the tokens of the answer and those of what is said now;
    absent where one of them is. The client does not count the prompt: that would take longer the longer the
    conversation, in the loop that measures.
    """
    assert request.later is not None
    turn, rest = request.later.turns[0], request.later.turns[1:]
    said = {"role": "assistant", "content": answer or ""}
    messages = [*request.later.messages, said, {"role": "user", "content": turn.content}]
    whole = Request(
        messages=messages,
        output_tokens_target=turn.output_tokens_target,
        model=request.model,
        session=request.session,
        turn=request.turn + 1,
        row=request.row,
    )
    return WireRequest(
        body=dialect.body(whole, for_model(conversation.options, request.model)),
        row=request.row,
        session=request.session,
        turn=request.turn + 1,
        input_tokens_target=_input_target(request, record, turn, conversation),
        output_tokens_target=conversation.options.answer_tokens(whole),
        prompt=prompt_text(whole) if conversation.keep_text else None,
        model=request.model,
        index=record.index + 1,
        later=Later(messages, rest) if rest else None,
        images=request.images,
        image_bytes=request.image_bytes,
        path=request.path,
        echoed=dialect.echoed(whole),
    )


def _input_target(
    request: WireRequest, record: RequestRecord, turn: Turn, conversation: Conversation
) -> int | None:
    answer = record.output_tokens_client or record.output_tokens_server
    if conversation.recorded or None in (request.input_tokens_target, answer, turn.input_tokens_target):
        return None
    return (request.input_tokens_target or 0) + (answer or 0) + (turn.input_tokens_target or 0)


def said_by_server(output: str | None, chunks: ChunkColumns) -> str:
    """The answer without its reasoning, which chat templates leave out of earlier turns.

    All of the output where nothing of it is a plain answer (a tool call), or where it did not come in chunks.
    """
    text = output or ""
    kinds = set(chunks.kind)
    if not kinds & {ChunkKind.REASONING, ChunkKind.TOOL} or ChunkKind.CONTENT not in kinds:
        return text
    chars = array("i")
    chars.frombytes(chunks.chars)
    parts, at = [], 0
    for kind, length in zip(chunks.kind, chars, strict=True):
        if kind == ChunkKind.CONTENT:
            parts.append(text[at : at + length])
        at += length
    return "".join(parts)


def never_sent(request: WireRequest, record: RequestRecord) -> Iterator[RequestRecord]:
    """Records of the turns that a failed one leaves unsent: planned for its end, and cancelled.

    Those after a turn that was given up as asked are given up with it.
    """
    assert request.later is not None
    for step, turn in enumerate(request.later.turns, start=1):
        yield RequestRecord(
            point=record.point,
            index=record.index + step,
            worker=record.worker,
            server=record.server,
            session=record.session,
            turn=record.turn + step,
            turns_left=len(request.later.turns) - step,
            row=record.row,
            model=record.model,
            status="aborted" if record.status == "aborted" else "cancelled",
            error=f"not sent: turn {record.turn + 1} of its session ended as {record.status}",
            planned_ns=record.end_ns or record.planned_ns,
            output_tokens_target=turn.output_tokens_target,
        )


def first_turn(request: Request, recorded: bool) -> Later | None:
    """What follows the first turn of a session; None for a request that stands alone.

    Args:
        request: a request of a data set.
        recorded: whether later turns repeat the data set's answers.

    Raises:
        DataError: the data set's answers are asked for and it has none, or the first turn is no chat message.
    """
    if not request.later:
        return None
    if request.text is None and request.messages is None:
        raise DataError(
            f"the conversation of row {request.row} begins with a whole body or with token ids, to which no answer "
            "can be added",
            "give chat messages, or leave out --multi-turn",
        )
    if recorded and any(turn.reply is None for turn in request.later):
        raise DataError(
            f"the conversation of row {request.row} has no recorded answer to one of its turns",
            "repeat the server's own answers: --history server",
        )
    messages: list[dict[str, Any]] = request.messages or [{"role": "user", "content": request.text}]
    return Later(messages, request.later)


def without_later_turns(request: Request) -> Request:
    """A request that stands alone: the first turn of a session."""
    return msgspec.structs.replace(request, later=[])
