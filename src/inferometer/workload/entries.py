"""File data sets: what a format made of each row, the rules that leave rows out, and the requests of the rest."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from inferometer.errors import DataError, UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.catalogue import where_to_get
from inferometer.workload.conversation import text_of, text_of_body
from inferometer.workload.hub import local_path
from inferometer.workload.request import OPEN_ANSWER_TOKENS, DatasetInfo, Request, Tokenizer, Turn
from inferometer.workload.rows import BadRowError, Row, Source

Content = str | list[dict[str, Any]]


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A later question of a conversation, and its recorded answer."""

    content: Content
    answer: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a format made of one row.

    Exactly one of ``text``, ``messages`` and ``body`` is set.

    Attributes:
        row: number through all files, from 0.
        place: file and line, for an error that is found later.
        answer: the recorded answer, whose length is that of the answer asked for; None = unknown.
        answer_tokens: that length itself, where the file tells it.
        later: the questions after this one.
    """

    row: int
    place: str
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    body: dict[str, Any] | None = None
    answer: str | None = None
    answer_tokens: int | None = None
    model: str | None = None
    later: list[Exchange] = []

    @property
    def prompt(self) -> str:
        """All text that is sent first, without a chat template."""
        if self.text is not None:
            return self.text
        if self.messages is not None:
            return "\n".join(text_of(message.get("content")) for message in self.messages)
        return text_of_body(self.body or {})


Parse = Callable[[Row], "Entry | str"]
"""A row's entry, or the reason why a filter leaves it out; raises BadRowError."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one row: tokens of prompt and answer (None = unknown), and characters of the prompt."""

    input_tokens: int
    output_tokens: int | None
    characters: int


class Limits(Protocol):
    """Rules that leave rows out by their length."""

    def reason(self, lengths: Lengths, *, output_fixed: bool) -> str | None:
        """Why a row is dropped, None if it is kept; ``output_fixed``: the user set the length of answers."""
        ...


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Shortest and longest prompt, in tokens of the model's own tokenizer or else in characters; 0 = no limit.

    ``most_tokens`` is in tokens always, estimated ones where the tokenizer is.
    """

    shortest: int = 0
    longest: int = 0
    in_tokens: bool = False
    most_tokens: int = 0

    def reason(self, lengths: Lengths, *, output_fixed: bool) -> str | None:
        """Why a row is dropped, None if it is kept."""
        length = lengths.input_tokens if self.in_tokens else lengths.characters
        if length < self.shortest:
            return "prompt_too_short"
        if (self.longest and length > self.longest) or 0 < self.most_tokens < lengths.input_tokens:
            return "prompt_too_long"
        if lengths.output_tokens == 0 and not output_fixed:
            return "answer_empty"
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What spec and load point ask of a file data set.

    Attributes:
        output_len: tokens per answer when the user fixed it; else the row's own.
        max_tokens: limit of all answers, as it is sent.
        max_model_len: prompt + answer above this is a bad row; 0 = not checked.
        prefix_tokens: what is put before the prompt later on, and takes its part of ``max_model_len``.
        skip: bad rows are counted instead of told.
        notes: where the file is from, if not from this machine.
    """

    path: str
    output_len: int | None = None
    max_tokens: int | None = None
    max_model_len: int = 0
    prefix_tokens: int = 0
    skip: bool = False
    notes: tuple[str, ...] = ()


def plan_of(spec: RunSpec, point: LoadPoint) -> Plan:
    """The plan of ``workload``, with a file that is on this machine.

    Raises:
        UsageError, DataError: no file is named, or one of a hub that cannot be had; see ``hub``.
    """
    data = spec.workload
    asked = data.dataset_path
    if asked is None:
        hint = where_to_get(data.dataset)
        raise UsageError(
            f"data set {data.dataset!r} needs a file: none was given",
            f"give --dataset-path FILE{'; ' + hint if hint else ''}",
        )
    path = local_path(asked, os.environ)
    return Plan(
        path=path,
        output_len=point.output_len,
        max_tokens=spec.sampling.max_tokens,
        max_model_len=data.max_model_len,
        prefix_tokens=spec.prefix.prefix_len,
        skip=data.on_bad_row == "skip",
        notes=() if path == asked else (f"fetched as {asked}",),
    )


def prompt_limits(spec: RunSpec, tokenizer: Tokenizer) -> PromptLimits:
    """``--min-prompt-length`` and ``--max-prompt-length``."""
    data = spec.workload
    return PromptLimits(
        data.min_prompt_length, data.max_prompt_length, tokenizer.exact, data.max_prompt_tokens
    )


@dataclass(slots=True)
class Entries:
    """All rows of a source, read.

    Attributes:
        total: rows there were.
        dropped: rows that a filter left out, by reason.
        skipped: rows that could not be used, by reason.
    """

    used: list[Entry] = field(default_factory=list)
    total: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def read_entries(source: Source, parse: Parse, skip: bool) -> Entries:
    """Walk the source once.

    Args:
        source: rows in the order of the files.
        parse: the format.
        skip: count a row that cannot be used instead of raising.

    Raises:
        DataError: a row that cannot be used, with file, line, value and rule; or a file that has none at all.
    """
    entries = Entries()
    for row in source.rows:
        entries.total += 1
        try:
            entry = parse(row)
        except BadRowError as bad:
            if not skip:
                raise row.failure(bad) from bad
            entries.skipped[bad.reason] += 1
            continue
        if isinstance(entry, str):
            entries.dropped[entry] += 1
        else:
            entries.used.append(entry)
    if not entries.total:
        raise DataError(f"data set file {source.path} has no rows", "check that the download is complete")
    return entries


class FileDataset:
    """Rows of files as requests, each looked at only when it is drawn, and tokenised once.

    Args:
        name: of the data set.
        source: where the entries are from.
        entries: what the format made of them.
        plan: what spec and load point ask for.
        limits: rules that drop rows.
        tokenizer: counts prompt and answer tokens.

    Attributes:
        shuffled: whether the order is drawn from the seed; else it is that of the file.
        notes: what else ``info`` tells of the reading.

    Raises:
        DataError: a row over ``max_model_len``, when bad rows are told.
    """

    shuffled = False

    def __init__(
        self, name: str, source: Source, entries: Entries, plan: Plan, limits: Limits, tokenizer: Tokenizer
    ) -> None:  # fmt: skip
        self.notes: list[str] = [*plan.notes, *source.notes]
        self._name, self._source, self._entries, self._plan = name, source, entries, plan
        self._limits, self._tokenizer = limits, tokenizer
        self._lengths: dict[int, Lengths] = {}  # by place among the entries
        self._reasons: dict[int, str] = {}
        self._skipped: dict[int, str] = {}
        if plan.max_model_len and not plan.skip:
            # Told before anything is sent, also of rows that are drawn late.
            for place in range(len(entries.used)):
                self._usable(place)

    def info(self) -> DatasetInfo:
        """Identity and size; counts by length are of the rows looked at so far."""
        looked_at = len(self._lengths) + len(self._reasons) + len(self._skipped)
        return DatasetInfo(
            name=self._name,
            path=self._source.path,
            rows_total=self._entries.total,
            rows_usable=len(self._lengths) if looked_at == len(self._entries.used) else None,
            dropped=dict(self._entries.dropped + Counter(self._reasons.values())),
            skipped=dict(self._entries.skipped + Counter(self._skipped.values())),
            sha256=self._source.sha256,
            tokenizer=self._tokenizer.name,
            tokenizer_exact=self._tokenizer.exact,
            notes=self.notes,
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Usable rows; ``salt`` changes nothing."""
        order = list(range(len(self._entries.used)))
        if self.shuffled:
            random.Random(seed).shuffle(order)  # noqa: S311 - the generator that vLLM's order comes from
        for place in order:
            lengths = self._usable(place)
            if lengths is not None:
                yield self._request(self._entries.used[place], lengths)

    def _request(self, entry: Entry, lengths: Lengths) -> Request:
        return Request(
            row=entry.row,
            text=entry.text,
            messages=entry.messages,
            body=entry.body,
            input_tokens_target=lengths.input_tokens or None,
            input_tokens_counted=lengths.input_tokens,
            output_tokens_target=lengths.output_tokens,
            later=list(self._later(entry)),
            model=entry.model,
        )

    def _later(self, entry: Entry) -> Iterator[Turn]:
        reply = entry.answer
        for exchange in entry.later:
            yield Turn(
                content=exchange.content,
                reply=reply,
                input_tokens_target=self._tokenizer.count(text_of(exchange.content)) or None,
                output_tokens_target=self._answer_tokens(exchange.answer, None),
            )
            reply = exchange.answer

    def _usable(self, place: int) -> Lengths | None:
        if place in self._reasons or place in self._skipped:
            return None
        if place not in self._lengths:
            self._judge(place)
        return self._lengths.get(place)

    def _judge(self, place: int) -> None:
        entry = self._entries.used[place]
        prompt = entry.prompt
        output_tokens = self._answer_tokens(entry.answer, entry.answer_tokens)
        lengths = Lengths(self._tokenizer.count(prompt), output_tokens, len(prompt))
        reason = self._limits.reason(lengths, output_fixed=self._plan.output_len is not None)
        if reason:
            self._reasons[place] = reason
        elif self._fits(entry, lengths):
            self._lengths[place] = lengths
        else:
            self._skipped[place] = "max_model_len"

    def _answer_tokens(self, answer: str | None, tokens: int | None) -> int | None:
        if self._plan.output_len or tokens:
            return self._plan.output_len or tokens
        return None if answer is None else self._tokenizer.count(answer)

    def _fits(self, entry: Entry, lengths: Lengths) -> bool:
        """Whether the model has room; the context of a conversation holds all its turns."""
        plan = self._plan
        if not plan.max_model_len:
            return True
        asked = [(lengths.input_tokens, lengths.output_tokens)]
        asked += [(turn.input_tokens_target or 0, turn.output_tokens_target) for turn in self._later(entry)]
        prompts = plan.prefix_tokens + sum(tokens for tokens, _ in asked)
        own = (entry.body or {}).get("max_tokens")
        limit = own if isinstance(own, int) else plan.max_tokens
        answers = sum(limit or tokens or OPEN_ANSWER_TOKENS for _, tokens in asked)
        if prompts + answers <= plan.max_model_len:
            return True
        if plan.skip:
            return False
        with_prefix = f" ({plan.prefix_tokens} of them the shared prefix)" if plan.prefix_tokens else ""
        raise DataError(
            f"{entry.place}: prompt of {prompts} tokens{with_prefix} + answer of {answers} is {prompts + answers}, "
            f"above --max-model-len {plan.max_model_len}",
            "shorten answers with --max-tokens N, drop long prompts with --max-prompt-length N, or leave such rows "
            "out: --on-bad-row skip",
        )


def filled(text: str, limits_drop_it: bool = False) -> str:
    """The prompt itself.

    Raises:
        BadRowError: it is blank, and no length filter will drop it.
    """
    if not limits_drop_it and not text.strip():
        raise BadRowError("prompt_empty", "the prompt is empty")
    return text
