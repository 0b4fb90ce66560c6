"""Data sets of questions: openqa, codefuse, longalpaca, alpaca, humaneval, mtbench and specbench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from inferometer.errors import DataError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.conversation import as_messages, exchanges
from inferometer.workload.entries import (
    Entry,
    Exchange,
    FileDataset,
    Parse,
    filled,
    plan_of,
    prompt_limits,
    read_entries,
)
from inferometer.workload.files import fields_of
from inferometer.workload.request import Tokenizer
from inferometer.workload.rows import BadRowError, Row, open_rows

OTHER_CATEGORY = "other_category"
_ROUNDS = ("chat_rounds", "conversations", "messages")


def open_openqa(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """Field ``question`` or ``prompt``, without outer white space, in file order, as EvalScope reads HC3 and GSM8K.

    Answers end by themselves: the answers in the file were written by other models and people.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without question.
    """
    return _open(spec, point, tokenizer, _one_of("question", "prompt"))


def open_codefuse(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """Evol-Instruct rows: ``instruction``, ``input`` (or both), ``question``, ``prompt``, or rounds of a chat.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without question.
    """
    return _open(spec, point, tokenizer, _codefuse)


def open_longalpaca(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """Field ``instruction``, mostly above 10,000 tokens, in file order.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without instruction.
    """
    return _open(spec, point, tokenizer, _one_of("instruction"))


def open_alpaca(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """``instruction``, and ``input`` on the next line; ``output`` gives the length of the answer.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without instruction.
    """
    return _open(spec, point, tokenizer, _alpaca)


def open_humaneval(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """Field ``prompt`` as it is: the white space at its end belongs to the code.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without prompt.
    """
    return _open(spec, point, tokenizer, _humaneval)


def open_categories(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """MT-Bench and Spec-Bench: ``turns``, of which the first is sent, or with ``sessions.multi_turn`` all.

    Raises:
        UsageError: no path given.
        DataError: a broken row, one without turns, or no row of the categories asked for.
    """
    parse = _Turns(spec.workload.category, spec.sessions.turns if spec.sessions.multi_turn else 1)
    dataset = _open(spec, point, tokenizer, parse)
    missing = [name for name in spec.workload.category if name not in parse.seen]
    if missing:
        raise DataError(
            f"data set file {spec.workload.dataset_path} has no row of category {missing[0]!r}",
            f"its categories: {', '.join(sorted(parse.seen)) or 'none'}",
        )
    return dataset


def text_field(value: object, names: Sequence[str]) -> str:
    """The first of these fields that is there and not null.

    Raises:
        BadRowError: the row is no object, has none of them, or that one is no text.
    """
    row = _object(value)
    found = next((name for name in names if row.get(name) is not None), None)
    if found is None:
        wanted = " or ".join(f"{name!r}" for name in names)
        raise BadRowError(
            "no_prompt",
            f"no {wanted} in this row (fields: {fields_of(row)})",
            "name the column that holds the prompt: --dataset custom --column prompt=NAME",
        )
    return _text(row, found)


def _open(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer, make: _Make) -> FileDataset:
    plan = plan_of(spec, point)
    limits = prompt_limits(spec, tokenizer)
    source = open_rows(plan.path)
    entries = read_entries(source, _parser(make, limits.shortest > 0), plan.skip)
    return FileDataset(spec.workload.dataset, source, entries, plan, limits, tokenizer)


_Made = tuple[str, str | None, list[Exchange]] | str
"""Prompt, recorded answer and later turns; or why a filter leaves the row out."""
_Make = Callable[[Any], _Made]


def _parser(make: _Make, short_ones_dropped: bool) -> Parse:
    def parse(row: Row) -> Entry | str:
        made = make(row.value())
        if isinstance(made, str):
            return made
        prompt, answer, later = made
        prompt = filled(prompt, short_ones_dropped)
        return Entry(row=row.number, place=row.known_place, text=prompt, answer=answer, later=later)

    return parse


def _one_of(*names: str) -> _Make:
    return lambda value: (text_field(value, names).strip(), None, [])


def _humaneval(value: object) -> _Made:
    return text_field(value, ["prompt"]), None, []


def _codefuse(value: object) -> _Made:
    row = _object(value)
    rounds = next((row[name] for name in _ROUNDS if row.get(name) is not None), None)
    if rounds is not None:
        _, pairs = exchanges(as_messages(rounds))
        if not pairs:
            raise BadRowError("no_prompt", "no question by a human in the rounds of this chat")
        return pairs[0][0].strip(), None, []
    if row.get("instruction") is not None and row.get("input") is not None:
        return _joined(row), None, []
    return text_field(row, ["instruction", "input", "question", "prompt"]).strip(), None, []


def _alpaca(value: object) -> _Made:
    row = _object(value)
    if row.get("instruction") is None:
        text_field(row, ["instruction"])
    answer = _text(row, "output") if row.get("output") is not None else None
    return _joined(row), answer, []


def _joined(row: Mapping[str, Any]) -> str:
    """Instruction and input on lines of their own; one that is empty is left out."""
    parts = [_text(row, name) for name in ("instruction", "input") if row.get(name) is not None]
    return "\n".join(part for part in parts if part.strip())


class _Turns:
    """Rows with ``turns`` (in tables of Hugging Face: ``prompt``) and a category.

    Args:
        categories: only these; empty = all.
        most: turns of a session, 0 = all.

    Attributes:
        seen: categories of the rows so far.
    """

    def __init__(self, categories: Sequence[str], most: int) -> None:
        self.seen: set[str] = set()
        self._categories, self._most = categories, most

    def __call__(self, value: object) -> _Made:
        row = _object(value)
        category = row.get("category")
        if category is not None:
            category = _text(row, "category")
            self.seen.add(category)
        if self._categories and category not in self._categories:
            return OTHER_CATEGORY
        turns = row.get("prompt") if row.get("turns") is None else row["turns"]
        if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) for turn in turns):
            raise BadRowError(
                "no_prompt",
                f"no list of texts under 'turns' in this row (fields: {fields_of(row)})",
                "name a question.jsonl of MT-Bench or Spec-Bench, or use --dataset custom for other rows",
            )
        kept = list(takewhile(str.strip, turns))[: self._most or None] or turns[:1]
        # Reference answers are there for some categories only, so they may not set the length of answers.
        return kept[0], None, [Exchange(turn) for turn in kept[1:]]


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRowError("wrong_type", f"a row is an object with named fields, not {type(value).__name__}")
    return value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise BadRowError("wrong_type", f"{name!r} is a text, not {type(value).__name__}")
    return value
