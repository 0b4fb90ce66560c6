"""From the answers of a simulated service to the rows of a run folder. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.loadgen.virtual_asks import Asked
from inferometer.record.journal import RequestFrame
from inferometer.record.types import ChunkColumns, ChunkKind, RequestRecord
from inferometer.simulator.cluster.service import Answered

_REFUSED = 400  # the status with which engines refuse a prompt that is longer than their context


def given_up(answers: Sequence[Answered], limit_ns: int | None) -> list[Answered]:
    """What a client has of answers that it does not wait for any longer than ``limit_ns``; None = it does.

    Those that were not whole by then end without their last tokens, as a run's client cuts them off.
    """
    if limit_ns is None:
        return list(answers)
    return [
        answer
        if answer.refused is not None or (len(answer.tokens_ns) and answer.tokens_ns[-1] <= limit_ns)
        else msgspec.structs.replace(
            answer, tokens_ns=answer.tokens_ns[answer.tokens_ns <= limit_ns], cut=True
        )
        for answer in answers
    ]


def unsent(answers: Sequence[Answered], asked: Sequence[Asked]) -> int:
    """Later turns that were never sent, as a turn before them was refused."""
    return sum(
        len(asked[answer.request].answers) - answer.turn - 1
        for answer in answers
        if answer.refused is not None
    )


class Rows:
    """Makes the rows of one load point.

    Args:
        point: its ``index``.
        epoch_ns: when it began.
        streamed: whether tokens were sent as they came; else all of an answer came with its last one.
        given_up_ns: from the epoch, when the client gave up what was still in flight; None = never.
    """

    def __init__(self, point: int, epoch_ns: int, streamed: bool, given_up_ns: int | None = None) -> None:
        self._point = point
        self._epoch_ns = epoch_ns
        self._streamed = streamed
        self._given_up_ns = given_up_ns

    def frames(self, answers: Sequence[Answered], asked: Sequence[Asked]) -> Iterator[RequestFrame]:
        """A frame for each answer, and one for each later turn that was never sent.

        Args:
            answers: as the client has them, see ``given_up``.
            asked: by number in the order of the schedule.
        """
        for answer in answers:
            of = asked[answer.request]
            frame = self._frame(answer, of)
            yield frame
            left = len(of.answers) - answer.turn - 1
            if left and frame.record.status == "http_error":
                yield from self._unsent(frame.record, of, left)

    def _frame(self, answer: Answered, of: Asked) -> RequestFrame:
        most, _ = of.answers[answer.turn]
        common: dict[str, Any] = {
            "point": self._point,
            "index": of.first_index + answer.turn,
            "server": answer.instance,
            "session": of.session,
            "turn": answer.turn,
            "turns_left": len(of.answers) - answer.turn - 1,
            "row": of.row,
            "model": of.model,
            "planned_ns": self._at(answer.planned_ns),
            "queued_ns": None if answer.queued_ns is None else self._at(answer.queued_ns),
            "sent_ns": self._at(answer.sent_ns),
            "input_tokens_target": of.input_tokens_target if answer.turn == 0 else None,
            "input_tokens_client": of.prompt_tokens if answer.turn == 0 else None,
            "output_tokens_target": most,
        }
        if answer.refused is not None:
            refused = RequestRecord(
                **common,
                status="http_error",
                http_status=_REFUSED,
                error=f"HTTP {_REFUSED}: {answer.refused}",
                end_ns=self._at(answer.sent_ns),
            )
            return RequestFrame(refused, ChunkColumns())
        return self._answered(answer, common)

    def _answered(self, answer: Answered, common: dict[str, Any]) -> RequestFrame:
        tokens_ns, cut = answer.tokens_ns, answer.cut
        came = self._streamed or not cut  # a whole answer comes with its last token
        last_ns = self._at(int(tokens_ns[-1])) if len(tokens_ns) and came else None
        first_ns = self._at(int(tokens_ns[0])) if last_ns is not None and self._streamed else None
        full = len(tokens_ns) >= common["output_tokens_target"]
        chunks = self._chunks(tokens_ns) if self._streamed else ChunkColumns()
        record = RequestRecord(
            **common,
            status="cancelled" if cut else "ok",
            http_status=200,
            error="not finished when the load point ended" if cut else None,
            finish_reason=None if cut else "length" if full else "stop",
            streamed=self._streamed,
            first_byte_ns=last_ns if first_ns is None else first_ns,
            first_token_ns=first_ns,
            first_answer_ns=first_ns,
            last_token_ns=last_ns,
            end_ns=self._given_up_at(answer) if cut else last_ns,
            input_tokens_server=None if cut else answer.prompt_tokens,
            output_tokens_server=None if cut else len(tokens_ns),
            cached_tokens=None if cut else answer.cached_tokens,
            reads=len(chunks.kind),
        )
        return RequestFrame(record, chunks)

    def _given_up_at(self, answer: Answered) -> int | None:
        if self._given_up_ns is not None:
            return self._at(self._given_up_ns)
        return self._at(int(answer.tokens_ns[-1])) if len(answer.tokens_ns) else None

    def _chunks(self, tokens_ns: NDArray[np.int64]) -> ChunkColumns:
        """One event for each step of the engine that gave tokens; several of a step come together."""
        at_ns, tokens = np.unique(tokens_ns, return_counts=True)
        count = len(at_ns)
        return ChunkColumns(
            recv_ns=(at_ns + self._epoch_ns).astype("<i8").tobytes(),
            tokens=tokens.astype("<i4").tobytes(),
            chars=bytes(4 * count),  # simulated tokens have no text
            kind=bytes([ChunkKind.CONTENT]) * count,
            read=np.arange(count, dtype="<i4").tobytes(),
            lag_ns=np.full(count, -1, dtype="<i8").tobytes(),
        )

    def _unsent(self, refused: RequestRecord, of: Asked, left: int) -> Iterator[RequestFrame]:
        """The turns after one that was refused, as a run records them."""
        for step in range(1, left + 1):
            turn = refused.turn + step
            record = RequestRecord(
                point=self._point,
                index=refused.index + step,
                server=refused.server,
                session=of.session,
                turn=turn,
                turns_left=left - step,
                row=of.row,
                model=of.model,
                status="cancelled",
                error=f"not sent: turn {refused.turn + 1} of its session ended as {refused.status}",
                planned_ns=refused.planned_ns if refused.end_ns is None else refused.end_ns,
                output_tokens_target=of.answers[turn][0],
            )
            yield RequestFrame(record, ChunkColumns())

    def _at(self, offset_ns: int) -> int:
        return self._epoch_ns + offset_ns
