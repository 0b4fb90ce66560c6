"""Data set ``sharegpt``: recorded conversations; single turns are sampled as vLLM samples them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.conversation import as_messages, exchanges
from inferometer.workload.entries import (
    Entry,
    Exchange,
    FileDataset,
    Lengths,
    filled,
    plan_of,
    read_entries,
)
from inferometer.workload.files import fields_of
from inferometer.workload.request import Tokenizer
from inferometer.workload.rows import JSON_SUFFIXES, BadRowError, Row, open_rows

TOO_FEW = "fewer_than_two_turns"


class _Turn(msgspec.Struct, frozen=True, gc=False):
    value: str | None = None
    content: str | None = None
    human: str | None = None
    assistant: str | None = None
    speaker: str | None = msgspec.field(default=None, name="from")
    role: str | None = None

    def texts(self) -> tuple[str, ...]:
        """One text, or two where question and answer are one turn."""
        if self.human is not None:
            return (self.human,) if self.assistant is None else (self.human, self.assistant)
        text = self.content if self.value is None else self.value
        if text is None:
            raise BadRowError(
                "no_messages",
                "a turn without 'value' or 'content'",
                "each turn needs the text under 'value' or 'content'",
            )
        return (text,)

    def message(self) -> dict[str, str | None]:
        """The turn as a row of a conversation."""
        if self.human is not None:
            return {"human": self.human, "assistant": self.assistant}
        return {"from": self.role if self.speaker is None else self.speaker, "value": self.texts()[0]}


class _Row(msgspec.Struct, frozen=True, gc=False):
    conversations: list[_Turn] | None = None
    conversation: list[_Turn] | None = None


_decoder = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True)
class ShareGptLimits:
    """Rows outside are dropped; lengths in tokens, 0 switches a rule off (defaults: vLLM's)."""

    min_input: int = 4
    min_output: int = 4
    max_input: int = 1024
    max_total: int = 2048

    def reason(self, lengths: Lengths, *, output_fixed: bool) -> str | None:
        """Why a row is dropped, None if it is kept. A fixed output length is not too short by itself."""
        output_tokens = lengths.output_tokens or 0
        if lengths.input_tokens < self.min_input:
            return "prompt_too_short"
        if not output_fixed and output_tokens < self.min_output:
            return "answer_too_short"
        if self.max_input and lengths.input_tokens > self.max_input:
            return "prompt_too_long"
        if self.max_total and lengths.input_tokens + output_tokens > self.max_total:
            return "total_too_long"
        return None if output_tokens else "answer_empty"


class ShareGptDataset(FileDataset):
    """Conversations of a ShareGPT file, JSON array or JSON lines, shuffled by seed.

    Rows with fewer than two turns are left out, the rest is shuffled, then the limits are applied row by row, so
    that only rows that are drawn are tokenised. Without sessions the first turn is the prompt and the second the
    reference answer, whoever speaks: the same seed gives the same order as vLLM's benchmark, because both shuffle the
    rows of two turns with Python's generator.
    """

    shuffled = True


def open_sharegpt(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> ShareGptDataset:
    """The data set ``sharegpt`` of ``workload.dataset_path``.

    With ``sessions.multi_turn`` a row is a session: system text, then questions with their answers for as long as
    the two sides take turns, at most ``sessions.turns``. The limits look at the first question and answer.

    Raises:
        UsageError: no path given.
        DataError: broken JSON, or a row that is no conversation.
    """
    data = spec.workload
    limits = ShareGptLimits(
        data.sharegpt_min_input, data.sharegpt_min_output, data.sharegpt_max_input, data.sharegpt_max_total
    )
    parse = _first_pair(limits)
    if spec.sessions.multi_turn:
        parse = _sessions(limits, spec.sessions.turns)
    plan = plan_of(spec, point)
    source = open_rows(plan.path, (*JSON_SUFFIXES, ".parquet"))
    entries = read_entries(source, parse, plan.skip)
    return ShareGptDataset("sharegpt", source, entries, plan, limits, tokenizer)


def _first_pair(limits: ShareGptLimits) -> Callable[[Row], Entry | str]:
    def parse(row: Row) -> Entry | str:
        texts = [text for turn in _turns(row)[:2] for text in turn.texts()]
        if len(texts) < 2:
            return TOO_FEW
        prompt = filled(texts[0], limits.min_input > 0)
        return Entry(row=row.number, place=row.known_place, text=prompt, answer=texts[1])

    return parse


def _sessions(limits: ShareGptLimits, most: int) -> Callable[[Row], Entry | str]:
    def parse(row: Row) -> Entry | str:
        turns = _turns(row)
        if not turns:
            return TOO_FEW
        system, pairs = exchanges(as_messages([turn.message() for turn in turns]))
        answered = list(takewhile(lambda pair: pair[1], pairs))[: most or None]
        if not answered:
            return TOO_FEW
        (prompt, answer), *rest = answered
        filled(prompt, limits.min_input > 0)
        later = [Exchange(text, reply) for text, reply in rest]
        place, number = row.known_place, row.number
        if system:
            messages = [*system, {"role": "user", "content": prompt}]
            return Entry(row=number, place=place, messages=messages, answer=answer, later=later)
        return Entry(row=number, place=place, text=prompt, answer=answer, later=later)

    return parse


def _turns(row: Row) -> list[_Turn]:
    decoded = row.decode(_decoder)
    turns = decoded.conversation if decoded.conversations is None else decoded.conversations
    if turns is None:
        names = fields_of(row.value())
        raise BadRowError(
            "no_messages",
            f"no 'conversations' or 'conversation' in this row (fields: {names})",
            "for questions use --dataset openqa, for other columns --dataset custom",
        )
    return turns
