"""What dialects of JSON APIs have in common: their bodies, made from the table of capabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.client.dialects.capability import OPTIONS, Capability
from inferometer.client.dialects.dialect import BodyOptions, Delta, Reader
from inferometer.client.dialects.reading import DONE, NOTHING, UNREADABLE, unreadable
from inferometer.errors import UsageError
from inferometer.workload.request import Request

_encoder = msgspec.json.Encoder()


class JsonDialect:
    """All of a dialect but what its answers mean: ``event`` (or ``reader``) and ``reply`` are left to do.

    Args:
        capability: the API's line of the table, or the name of that line.
    """

    def __init__(self, capability: Capability | str) -> None:
        self.capability = CAPABILITIES[capability] if isinstance(capability, str) else capability

    def path_for(self, model: str, stream: bool, token_ids: bool = False) -> str:
        """The path below the server's address."""
        found = self.capability
        path = found.path if stream else found.path_whole or found.path
        if token_ids and found.path_token_ids:
            path = found.path_token_ids
        return path.replace("{model}", _in_path(model))

    def body(self, request: Request, options: BodyOptions) -> bytes:
        """The JSON body; ``extra_body`` is merged into it, then the request's own body, object by object.

        A null removes a field. What makes the answer a stream stays ours, and a model that the request names by
        itself wins over that of its body.

        Raises:
            UsageError: the API cannot take this kind of prompt.
        """
        found = self.capability
        fields: dict[str, Any] = {found.model: options.model} if found.model else {}
        if request.body is None:
            put(fields, *self.prompt(request))
        for name, value in found.fixed.items():
            put(fields, name, value)
        for name, value in self.asked(request, options).items():
            put(fields, name, value)
        self._ask_for_stream(fields, options.stream)
        merge(fields, options.extra_body)
        if request.body is not None:
            merge(fields, request.body)
            self._ask_for_stream(fields, options.stream)
            if request.model is not None and found.model:
                fields[found.model] = options.model
        return _encoder.encode(self.finished(fields))

    def asked(self, request: Request, options: BodyOptions) -> dict[str, Any]:
        """The options that this API has a name for and that were asked for, by that name."""
        values: dict[str, Any] = {name: getattr(options, name) or None for name in ("stop", "ignore_eos")}
        values |= {name: getattr(options, name) for name in ("min_tokens", "temperature", "top_p", "top_k")}
        values["max_tokens"] = options.answer_tokens(request)
        asks = self.capability.asks
        return {asks[name]: values[name] for name in OPTIONS if name in asks and values[name] is not None}

    def prompt(self, request: Request) -> tuple[str, Any]:
        """The field of the prompt, and the prompt in a form that this API takes."""
        fields = self.capability.prompt
        if request.token_ids is not None:
            if "token_ids" not in fields:
                raise UsageError(
                    f"the prompts are token ids, which --backend {self.capability.name} cannot send",
                    "give text, or use --backend openai-completions",
                )
            return fields["token_ids"], request.token_ids
        if request.messages is not None and "messages" in fields:
            return fields["messages"], request.messages
        if "text" in fields:
            text = request.text
            return fields["text"], text if text is not None else self._flat(request)
        return fields["messages"], [{"role": "user", "content": request.text}]

    def _flat(self, request: Request) -> str:
        """The messages of a request as one text, for an API without roles."""
        texts = []
        for message in request.messages or []:
            content = message.get("content") or ""
            parts = content if isinstance(content, list) else [{"type": "text", "text": str(content)}]
            for part in parts:
                if "text" not in part:
                    raise UsageError(
                        f"row {request.row} has a part of type {part.get('type')!r}, and --backend "
                        f"{self.capability.name} sends text alone",
                        "use --backend openai-chat",
                    )
                texts.append(str(part["text"]))
        return "\n".join(texts)

    def _ask_for_stream(self, fields: dict[str, Any], stream: bool) -> None:
        found = self.capability
        for name in found.whole if stream else found.streamed:
            put(fields, name, None)
        for name, value in (found.streamed if stream else found.whole).items():
            put(fields, name, value)

    def finished(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The last word on a body, for an API that wants a form of its own."""
        return fields

    def echoed(self, request: Request) -> int:
        """How many characters of the request its answer repeats: none, but for one dialect."""
        return 0

    def reader(self, echoed: int = 0) -> Reader:
        """The dialect itself, which keeps no state."""
        return self

    def event(self, data: bytes, name: bytes) -> Delta:
        """What one event of a stream carries."""
        return read_json(data, self)

    def meaning(self, value: Any) -> Delta:
        """What a JSON value of an answer says."""
        raise NotImplementedError(f"{type(self).__name__} has neither event nor meaning")

    def reply(self, body: bytes) -> Delta:
        """What a whole reply carried: one event that says it all."""
        try:
            return self.whole(msgspec.json.decode(body))
        except UNREADABLE as error:
            raise ValueError(f"reply is not JSON: {error}") from None

    def whole(self, value: Any) -> Delta:
        """What the JSON value of a whole reply says."""
        return self.meaning(value)

    def response_id(self, data: bytes) -> str | None:
        """None: most APIs do not name their answers."""
        return None


def read_json(data: bytes, dialect: JsonDialect) -> Delta:
    """What an event says that is JSON, ``[DONE]`` or nothing."""
    plain = data.strip()
    if not plain:
        return NOTHING
    if plain == b"[DONE]":
        return DONE
    try:
        return dialect.meaning(msgspec.json.decode(data))
    except (*UNREADABLE, ValueError) as error:
        return unreadable(data, error)


def put(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set a field whose dotted name leads through nested objects; None removes it."""
    *parents, last = name.split(".")
    for parent in parents:
        inner = fields.get(parent)
        if not isinstance(inner, dict):
            if value is None:
                return
            inner = fields[parent] = {}
        fields = inner
    if value is None:
        fields.pop(last, None)
    else:
        fields[last] = value


def merge(fields: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Take over the fields of ``more``, object by object; None removes a field."""
    for name, value in more.items():
        old = fields.get(name)
        if value is None:
            fields.pop(name, None)
        elif isinstance(old, dict) and isinstance(value, dict):
            fields[name] = dict(old)
            merge(fields[name], value)
        else:
            fields[name] = value


def _in_path(model: str) -> str:
    """A model's name as one part of a path."""
    return quote(model, safe="")
