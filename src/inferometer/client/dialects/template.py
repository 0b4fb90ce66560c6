"""A dialect made from a file: any API of JSON over POST, without code."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.capability import OPTIONS, Capability, Payload
from inferometer.client.dialects.dialect import BodyOptions, Delta, Reader, Usage
from inferometer.client.dialects.reading import (
    DONE,
    NOTHING,
    UNREADABLE,
    Growing,
    ended,
    failed,
    number,
    part,
    piece,
    text_of,
    unreadable,
)
from inferometer.client.dialects.template_file import TemplateFile, read_template
from inferometer.errors import UsageError
from inferometer.record.types import ChunkKind
from inferometer.workload.request import Request

# What a body may refer to beside the options.
_VARIABLES = ("prompt", "messages", "token_ids", "model", "stream")
_REPORTS = {"input": "input_tokens", "output": "output_tokens", "reasoning": "reasoning_tokens"}
_REPORTS |= {"cached": "cached_tokens", "accepted_draft": "accepted_draft_tokens"}
_SAMPLE = Request(text='a "prompt"\n')  # with what only a text that is written as JSON survives
# A name that the file uses has to exist; an option that was not asked for is none.
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def open_template(path: str) -> TemplateDialect:
    """The dialect of a file.

    Raises:
        UsageError: the file is wrong; names the line.
    """
    return TemplateDialect(read_template(path))


class TemplateDialect(JsonDialect):
    """Bodies from a Jinja template, answers by paths of fields.

    Args:
        file: what was read.

    Raises:
        UsageError: the body is no template, refers to something unknown, or does not make JSON.
    """

    def __init__(self, file: TemplateFile) -> None:
        self._file = file
        names = self._names()
        super().__init__(_capability(file, names))
        self._template = _environment.from_string(file.body)
        sample = BodyOptions(
            model="model", max_tokens=1, min_tokens=1, temperature=0.0, top_p=1.0, top_k=1, stop=["x"]
        )
        if names & {"prompt", "messages"}:
            self._rendered(_SAMPLE, sample)
            self._rendered(_SAMPLE, BodyOptions(model="model", max_tokens=1, stream=False))
        elif "token_ids" not in names:
            raise file.wrong(
                "body", "it holds neither prompt, messages nor token_ids", "write {{ prompt | tojson }}"
            )

    def _names(self) -> set[str]:
        """The variables that the body refers to."""
        try:
            names = meta.find_undeclared_variables(_environment.parse(self._file.body))
        except TemplateSyntaxError as error:
            raise self._in_body(error.message or "no Jinja template", error.lineno) from None
        strange = sorted(names - {*_VARIABLES, *OPTIONS})
        if strange:
            uses = re.compile(rf"\b{strange[0]}\b")
            line = next(at for at, text in enumerate(self._file.body.splitlines(), 1) if uses.search(text))
            raise self._in_body(
                f"{strange[0]!r} is not known", line, f"known: {', '.join((*_VARIABLES, *OPTIONS))}"
            )
        return names

    def _in_body(
        self, what: str, line: int = 1, step: str = "see jinja.palletsprojects.com/templates"
    ) -> UsageError:
        key = "body text" if "body text" in self._file.lines else "body"
        number_ = self._file.lines.get(key, 1) + line - 1
        return UsageError(f"{self._file.name} line {number_}: body: {what}", step)

    def body(self, request: Request, options: BodyOptions) -> bytes:
        """The rendered template, with what was asked for besides."""
        whole = self._rendered(request, options) if request.body is None else {}
        asked = msgspec.structs.replace(request, body={**whole, **(request.body or {})})
        return super().body(asked, options)

    def asked(self, request: Request, options: BodyOptions) -> dict[str, Any]:
        """Nothing: the template has put it in its place."""
        return {}

    def _rendered(self, request: Request, options: BodyOptions) -> dict[str, Any]:
        known: dict[str, Any] = {name: getattr(options, name) for name in OPTIONS}
        known |= {"max_tokens": options.answer_tokens(request), "stop": options.stop, "model": options.model}
        known |= {"stream": options.stream, "token_ids": request.token_ids, "messages": request.messages}
        if request.token_ids is None:
            known["prompt"] = request.text if request.text is not None else self._flat(request)
            known["messages"] = request.messages or [{"role": "user", "content": request.text}]
        elif "token_ids" not in self.capability.prompt:
            self.prompt(request)  # says what cannot be sent
        try:
            text = self._template.render(known)
        except Exception as error:  # noqa: BLE001 - a template is a program: what goes wrong in it is its own
            raise self._in_body(str(error) or type(error).__name__) from None
        try:
            value = msgspec.json.decode(text)
        except UNREADABLE as error:
            step = "end each value that is a text with | tojson, and leave out what is none: {% if top_p is not none %}"
            raise self._in_body(f"it does not make JSON: {error}: {text.strip()[:200]}", step=step) from None
        if not isinstance(value, dict):
            raise self._in_body("it does not make a JSON object", step="begin it with {")
        return value

    def reader(self, echoed: int = 0) -> Reader:
        """For one answer."""
        return _TemplateReader(self, self._file)

    def meaning(self, value: Any) -> Delta:
        """What an event says; its text is as the server sends it."""
        file = self._file
        if file.error and (error := part(value, *file.error)):
            return failed(error)
        text, reasoning = text_of(part(value, *file.text)), ""
        if file.reasoning:
            reasoning = text_of(part(value, *file.reasoning))
        counts = {_REPORTS[name]: number(part(value, *chain)) for name, chain in file.usage.items()}
        usage = Usage(**counts) if any(count is not None for count in counts.values()) else None
        reason = part(value, *file.finish_reason) if file.finish_reason else None
        finish = ended(reason)
        if reasoning and not text:
            return Delta(ChunkKind.REASONING, reasoning, None, finish, usage)
        return piece(text, finish, usage)

    def ends(self, value: Any) -> bool:
        """Whether an event says that it is the last one."""
        done = self._file.done
        if not done.field:
            return False
        found = part(value, *done.field)
        return bool(found) if done.value is None else _as_text(found) == done.value

    def response_id(self, data: bytes) -> str | None:
        """What stands at ``id``."""
        if not self._file.id:
            return None
        try:
            found = part(msgspec.json.decode(data), *self._file.id)
        except UNREADABLE:
            return None
        return str(found) if found and isinstance(found, (str, int)) else None


class _TemplateReader:
    def __init__(self, dialect: TemplateDialect, file: TemplateFile) -> None:
        self._dialect, self._file = dialect, file
        self._growing = (Growing(), Growing())  # of answer and reasoning
        self._marks = (b"[DONE]", file.done.data.encode())

    def event(self, data: bytes, name: bytes) -> Delta:
        plain = data.strip()
        if not plain:
            return NOTHING
        if plain in self._marks:
            return DONE
        try:
            value = msgspec.json.decode(plain)
            delta = failed(value) if name == b"error" else self._dialect.meaning(value)
        except UNREADABLE as error:
            return unreadable(data, error)
        if delta.error is not None:
            return delta
        ends = self._dialect.ends(value)
        last = ends or delta.finish_reason is not None
        if self._file.cumulative and delta.text:
            text = self._growing[delta.kind == ChunkKind.REASONING].add(delta.text, bool(last))
            delta = delta._replace(text=text, kind=delta.kind if text else ChunkKind.OTHER)
        return delta._replace(last=True) if ends else delta


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _capability(file: TemplateFile, names: set[str]) -> Capability:
    """The line of the table that a file makes."""
    forms: tuple[tuple[Payload, str], ...] = (
        ("text", "prompt"),
        ("messages", "messages"),
        ("token_ids", "token_ids"),
    )
    prompt = {form: name for form, name in forms if name in names}
    marked = bool(file.done.data or file.done.field or file.finish_reason)
    return Capability(
        name="template",
        title="any other API of JSON over HTTP POST, described by a file",
        path=file.path,
        framing=file.framing,
        text="cumulative" if file.cumulative else "delta",
        prompt=prompt,
        asks={name: name for name in OPTIONS if name in names},
        reports={_REPORTS[name]: ".".join(map(str, chain)) for name, chain in file.usage.items()},
        model="",
        end=file.done.data,
        text_at=".".join(map(str, file.text)),
        model_in_body="model" in names,
        end_unmarked=not marked,
        headers=file.headers,
        source=file.name,
    )
