"""Data sets of one's own: ``custom``, tables and JSON with any columns, and ``line``, one prompt a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.conversation import Message, as_messages, exchanges, text_of
from inferometer.workload.entries import (
    Entry,
    Exchange,
    FileDataset,
    filled,
    plan_of,
    prompt_limits,
    read_entries,
)
from inferometer.workload.files import fields_of
from inferometer.workload.request import Tokenizer
from inferometer.workload.rows import BadRowError, Row, open_lines, open_rows

LINE_SUFFIXES = (".txt", ".jsonl", ".ndjson")

# Names under which other tools' users keep these columns, the first that is there wins. A column ``model`` often says
# who wrote the answer, so it is taken only by --column.
USUAL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "body": ("body",),
    "messages": ("messages", "message", "conversations", "conversation"),
    "prompt": ("prompt", "instruction", "question", "query", "input", "text", "content", "context", "turn"),
    "system": ("system", "system_prompt", "prefix"),
    "output": ("output", "answer", "response", "completion", "target", "reference"),
    "output_tokens": (
        "output_tokens", "output_tokens_count", "output_len", "output_length", "max_tokens", "max_completion_tokens",
        "max_new_tokens",
    ),
}  # fmt: skip
# A row with messages or prompt and one of these is a whole request, written by somebody who meant each field.
_REQUEST_FIELDS = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "seed", "stop", "stream", "stream_options", "tools", "tool_choice",
        "response_format", "n", "logprobs", "frequency_penalty", "presence_penalty", "repetition_penalty",
        "ignore_eos", "min_tokens", "chat_template_kwargs", "reasoning_effort",
    }
)  # fmt: skip
_WHOLE = "a whole request"
_LONG = 1 << 63


def open_custom(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """Rows of JSON, JSON lines, CSV, TSV or Parquet; ``workload.column`` says what is what, else usual names do.

    A row is a prompt, a list of messages, or a whole request body. A list that ends with an answer is sent without
    it, and the answer gives the length; with ``sessions.multi_turn`` it becomes a session.

    Raises:
        UsageError: no path given.
        DataError: a broken row, or one without prompt.
    """
    sessions = spec.sessions
    parse = _Custom(_named(spec.workload.column), sessions.turns if sessions.multi_turn else None)
    plan = plan_of(spec, point)
    limits = prompt_limits(spec, tokenizer)
    parse.short_ones_dropped = limits.shortest > 0
    source = open_rows(plan.path)
    entries = read_entries(source, parse, plan.skip)
    dataset = FileDataset("custom", source, entries, plan, limits, tokenizer)
    dataset.notes += parse.notes
    return dataset


def open_line(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> FileDataset:
    """One prompt a line, as EvalScope's line_by_line: text, or an array of messages, or a request body, in JSON.

    Raises:
        UsageError: no path given.
        DataError: a JSON object that is no request body.
    """
    plan = plan_of(spec, point)
    source = open_lines(plan.path, LINE_SUFFIXES)
    entries = read_entries(source, _line, plan.skip)
    limits = prompt_limits(spec, tokenizer)
    return FileDataset("line", source, entries, plan, limits, tokenizer)


def _named(columns: Sequence[str]) -> dict[str, str]:
    """``("prompt=question",)`` as a mapping; its form was checked with the spec."""
    pairs = (text.partition("=") for text in columns)
    return {role: name for role, _, name in pairs}


def _line(row: Row) -> Entry:
    assert isinstance(row.raw, bytes)
    text = row.raw.decode("utf-8")
    value = _json(text)
    if isinstance(value, dict):
        return _body_entry(row, value)
    number, place = row.number, row.known_place
    if _is_messages(value):
        return Entry(row=number, place=place, messages=_filled(as_messages(value)))
    return Entry(row=number, place=place, text=filled(text.strip()))


class _Custom:
    """What one row holds.

    Args:
        columns: name by role, as the user gave them; empty = to be found in the first row.
        most: turns of a session, 0 = all; None = no sessions.

    Attributes:
        notes: which columns were taken.
        short_ones_dropped: whether a length filter drops empty prompts.
    """

    def __init__(self, columns: Mapping[str, str], most: int | None) -> None:
        self.notes: list[str] = []
        self.short_ones_dropped = False
        self._given = bool(columns)
        self._columns = dict(columns)
        self._most = most

    def __call__(self, row: Row) -> Entry:
        value = row.value()
        if isinstance(value, str):
            value = {"prompt": value}
        if isinstance(value, list):
            return self._messages_entry(row, as_messages(value), {})
        if not isinstance(value, dict):
            raise BadRowError(
                "wrong_type", f"a row is an object, a list of messages or text, not {type(value).__name__}"
            )
        if not self._columns:
            self._find(value)
        if _WHOLE in self._columns:
            return _body_entry(row, value)
        return self._entry(row, value)

    def _entry(self, row: Row, value: dict[str, Any]) -> Entry:
        body = self._cell(value, "body")
        if body is not None:
            return _body_entry(row, _parsed(body, dict, "body"))
        messages = self._cell(value, "messages")
        prompt = self._cell(value, "prompt")
        if messages is None and isinstance(prompt, list):
            messages = prompt
        if messages is not None:
            return self._messages_entry(row, as_messages(_parsed(messages, list, "messages")), value)
        if prompt is None:
            raise self._no_prompt(value)
        text = filled(_text(prompt, "prompt"), self.short_ones_dropped)
        system = self._cell(value, "system")
        if system is None:
            return self._made(row, value, text=text)
        content = [{"role": "system", "content": _text(system, "system")}, {"role": "user", "content": text}]
        return self._made(row, value, messages=content)

    def _messages_entry(self, row: Row, messages: list[Message], value: dict[str, Any]) -> Entry:
        system = self._cell(value, "system")
        if system is not None:
            messages = [{"role": "system", "content": _text(system, "system")}, *messages]
        if self._most is not None:
            entry = _session(row, messages, self._most)
            return msgspec.structs.replace(entry, model=self._model(value))
        answer = None
        if len(messages) > 1 and messages[-1]["role"] == "assistant":
            answer = messages[-1]["content"]
            messages = messages[:-1]
        answer = answer if isinstance(answer, str) and answer else None
        return self._made(row, value, messages=_filled(messages), recorded=answer)

    def _made(
        self,
        row: Row,
        value: Mapping[str, Any],
        *,
        text: str | None = None,
        messages: list[Message] | None = None,
        recorded: str | None = None,
    ) -> Entry:
        output = self._cell(value, "output")
        return Entry(
            row=row.number,
            place=row.known_place,
            text=text,
            messages=messages,
            answer=recorded if output is None else _text(output, "output"),
            answer_tokens=_tokens(self._cell(value, "output_tokens")),
            model=self._model(value),
        )

    def _model(self, value: Mapping[str, Any]) -> str | None:
        model = self._cell(value, "model")
        return None if model is None else _text(model, "model")

    def _cell(self, value: Mapping[str, Any], role: str) -> Any:
        """The value under a role; None where there is none, or an empty one that may be empty."""
        name = self._columns.get(role)
        if name is None or not value:
            return None
        if self._given and name not in value:
            raise BadRowError(
                "no_column",
                f"no column {name!r} in this row (columns: {fields_of(value)})",
                f"correct --column {role}={name}",
            )
        cell = value.get(name)
        return None if cell == "" and role != "prompt" else cell

    def _find(self, value: dict[str, Any]) -> None:
        """Take the usual columns, as the first row has them."""
        if _REQUEST_FIELDS & value.keys() and (value.get("messages") or value.get("prompt")):
            self._columns = {_WHOLE: ""}
            self.notes.append("each row is a whole request; its fields win over those of the command line")
            return
        for role, names in USUAL_COLUMNS.items():
            found = next((name for name in names if value.get(name) is not None), None)
            if found is not None:
                self._columns[role] = found
        payload = next((role for role in ("body", "messages", "prompt") if role in self._columns), None)
        if payload is None:
            self._columns = {}
            raise self._no_prompt(value)
        for other in {"body", "messages", "prompt"} - {payload}:
            self._columns.pop(other, None)
        taken = ", ".join(f"{role} = {name}" for role, name in self._columns.items())
        unused = [name for name in value if name not in self._columns.values()]
        rest = f"; not used: {', '.join(unused[:10])}" if unused else ""
        self.notes.append(f"columns taken: {taken}{rest}")

    def _no_prompt(self, value: Mapping[str, Any]) -> BadRowError:
        return BadRowError(
            "no_prompt",
            f"no prompt in this row (columns: {fields_of(value)})",
            "name its column: --column prompt=NAME, messages=NAME or body=NAME; for one prompt a line use "
            "--dataset line",
        )


def _session(row: Row, messages: list[Message], most: int) -> Entry:
    """Questions with the answers recorded between them, after what the system says first."""
    system, pairs = exchanges(messages)
    if not pairs:
        raise BadRowError("no_prompt", "no message by a user in this conversation")
    (content, answer), *rest = pairs[: most or None]
    first = [*system, {"role": "user", "content": content}]
    later = [Exchange(text, reply or None) for text, reply in rest]
    place = row.known_place
    return Entry(row=row.number, place=place, messages=first, answer=answer or None, later=later)


def _filled(messages: list[Message]) -> list[Message]:
    """The messages themselves; BadRowError when all of them are blank. Parts may be pictures, so they count."""
    contents = [message["content"] for message in messages]
    if not any(isinstance(content, list) and content for content in contents):
        filled("".join(text_of(content) for content in contents))
    return messages


def _body_entry(row: Row, body: dict[str, Any]) -> Entry:
    """A whole request body, in values that JSON has."""
    try:
        body = _in_json(body)
    except RecursionError as error:
        raise BadRowError("broken_json", "brackets are nested too deep") from error
    messages = body.get("messages")
    if messages and not (isinstance(messages, list) and all(isinstance(each, dict) for each in messages)):
        raise BadRowError("no_messages", "the messages of a request are a list of objects")
    if not body.get("messages") and not body.get("prompt"):
        raise BadRowError(
            "no_prompt",
            f"a JSON object without 'messages' or 'prompt' is no request body (fields: {fields_of(body)})",
            "for rows with named columns use --dataset custom",
        )
    tokens = next((body[k] for k in ("max_tokens", "max_completion_tokens") if body.get(k) is not None), None)
    return Entry(row=row.number, place=row.known_place, body=body, answer_tokens=_tokens(tokens))


def _in_json(value: Any) -> Any:
    """A value of a table as JSON has it; BadRowError where it has no such value."""
    if isinstance(value, dict):
        return {str(name): _in_json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_in_json(inner) for inner in value]
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value) < _LONG
        return int(value) if whole else float(value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise BadRowError("wrong_type", f"a request is JSON, which has no {type(value).__name__} {value!r:.40}")


def _json(text: str) -> Any:
    """The value of a text that looks like an array or object; None if it is not JSON."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_messages(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, dict) and "role" in m for m in value)


def _parsed(cell: Any, kind: type, role: str) -> Any:
    """A list or object, which a table holds as JSON text."""
    value = _json(cell) if isinstance(cell, str) else cell
    if not isinstance(value, kind):
        raise BadRowError("wrong_type", f"{role} is a JSON {kind.__name__}, not {type(value).__name__}")
    return value


def _text(cell: Any, role: str) -> str:
    if not isinstance(cell, str):
        raise BadRowError("wrong_type", f"{role} is a text, not {type(cell).__name__}")
    return cell


def _tokens(cell: Any) -> int | None:
    """A positive whole number, which a table may hold as text."""
    if cell is None:
        return None
    try:
        tokens = int(cell) if isinstance(cell, str | int) and not isinstance(cell, bool) else None
        tokens = int(cell) if isinstance(cell, float) and cell.is_integer() else tokens
    except ValueError:
        tokens = None
    if tokens is None or not 0 < tokens < 1 << 31:
        raise BadRowError("wrong_type", f"the tokens of an answer are a whole number from 1 on, not {cell!r}")
    return tokens
