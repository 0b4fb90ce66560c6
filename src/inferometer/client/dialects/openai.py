"""The OpenAI API as vLLM, SGLang, LMDeploy, TGI, MindIE and gateways serve it: chat and legacy completions."""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.client.dialects.alike import find_run
from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.dialect import Delta, Deltas, Usage
from inferometer.client.dialects.reading import UNREADABLE, unreadable
from inferometer.record.types import ChunkKind

# The structs hold no cycles (gc=False), and their fields stand in the order in which servers send them: both make
# decoding cheaper.


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def public(self) -> Usage:
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            self.prompt_tokens,
            self.completion_tokens,
            completion.reasoning_tokens if completion else None,
            prompt.cached_tokens if prompt else None,
            completion.accepted_prediction_tokens if completion else None,
        )


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    message: _Message | None = None


class _Event(msgspec.Struct, gc=False):
    object: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    message: str | None = None


class _Id(msgspec.Struct, gc=False):
    id: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_decode_id = msgspec.json.Decoder(_Id).decode
_encoder = msgspec.json.Encoder()
_NO_OUTPUT = ChunkKind.ROLE, ""
_DONE, _NOTHING = Delta(ChunkKind.DONE), Delta(ChunkKind.OTHER)


class OpenAIDialect(JsonDialect):
    """Chat and legacy completions, as OpenAI, vLLM, SGLang, LMDeploy, TGI, MindIE and gateways serve them.

    Source: OpenAI API reference, "Chat" and "Completions"; ``reasoning_content`` is vLLM's and SGLang's addition.
    """

    def event(self, data: bytes, name: bytes) -> Delta:
        """Classify one event: output moves a latency clock; role, usage, keep-alive and error frames do not."""
        if not data.startswith(b"{"):
            plain = data.strip()
            if plain == b"[DONE]":
                return _DONE
            if not plain:
                return _NOTHING
        try:
            event = _decode(data)
        except UNREADABLE as error:
            return unreadable(data, error)
        return _meaning(event, name, data)

    def events(self, data: list[bytes]) -> Deltas:
        """Classify events without a type; one that is only a piece of one choice's text needs no ``Delta``."""
        deltas = Deltas([], bytearray(), {})
        run = find_run(data, _piece)
        if run is None:
            self._add(data, deltas)
            return deltas
        if run.first:
            self._add(data[: run.first], deltas)
        deltas.texts.extend(run.texts)
        deltas.kinds.extend(run.kinds)
        if run.end < len(data):
            self._add(data[run.end :], deltas)
        return deltas

    def _add(self, data: list[bytes], deltas: Deltas) -> None:
        texts, kinds, more = deltas
        kinds.extend(bytes(len(data)))  # CONTENT, until found otherwise
        for place, one in enumerate(data, len(texts)):
            try:
                event = _decode(one) if one != b"[DONE]" else None
            except UNREADABLE:
                event = None
            choice = _only_choice(event) if event else None
            if choice:
                message = choice.delta
                if message and message.content and not message.reasoning_content:
                    texts.append(message.content)  # as _output() says, without the call
                    continue
                kinds[place], text = _output(choice)
            else:
                delta = more[place] = _meaning(event, b"", one) if event else self.event(one, b"")
                kinds[place], text = delta.kind, delta.text
            texts.append(text)

    def reply(self, body: bytes) -> Delta:
        """What a whole reply carried."""
        try:
            event = _decode(body)
        except UNREADABLE as error:
            raise ValueError(f"reply is not JSON of this API: {error}") from None
        if event.error or event.object == "error":
            return Delta(ChunkKind.ERROR, error=_error_message(event, body))
        if event.choices is None:
            raise ValueError("reply is JSON, but has no 'choices'")
        return _choices(event.choices, event.usage.public() if event.usage else None)

    def response_id(self, data: bytes) -> str | None:
        """The ``id`` of an event or a whole reply."""
        try:
            return _decode_id(data).id or None
        except UNREADABLE:
            return None


def _meaning(event: _Event, name: bytes, data: bytes) -> Delta:
    if event.error or name == b"error" or event.object == "error":
        return Delta(ChunkKind.ERROR, error=_error_message(event, data))
    usage = event.usage.public() if event.usage else None
    if not event.choices:
        return Delta(ChunkKind.USAGE if usage else ChunkKind.OTHER, "", None, None, usage)
    return _choices(event.choices, usage)


def _only_choice(event: _Event) -> _Choice | None:
    """The choice of an event that carries a piece of one choice's text and nothing else."""
    choices = event.choices
    if not choices or len(choices) > 1 or event.usage or event.error or event.object == "error":
        return None
    choice = choices[0]
    return None if choice.finish_reason or choice.token_ids else choice


def _piece(data: bytes) -> tuple[ChunkKind, str] | None:
    try:
        choice = _only_choice(_decode(data))
    except UNREADABLE:
        return None
    return _output(choice) if choice else None


def _choices(choices: list[_Choice], usage: Usage | None) -> Delta:
    """Join all choices of one event: whatever carries output decides the kind."""
    if len(choices) == 1 and choices[0].finish_reason is None and choices[0].token_ids is None:
        kind, text = _output(choices[0])
        return Delta(kind, text, None, None, usage)
    kind = ChunkKind.ROLE
    texts: list[str] = []
    finish: str | None = None
    token_ids: int | None = None
    for choice in choices:
        found, text = _output(choice)
        if text:
            texts.append(text)
            kind = min(kind, found)
        finish = choice.finish_reason or finish
        if choice.token_ids:
            token_ids = (token_ids or 0) + len(choice.token_ids)
    if kind is ChunkKind.ROLE and finish is not None:
        kind = ChunkKind.OTHER
    return Delta(kind, "".join(texts), token_ids, finish, usage)


def _output(choice: _Choice) -> tuple[ChunkKind, str]:
    """Kind and text of one choice; without output it is a ``ROLE``."""
    message = choice.delta or choice.message
    if message is None:
        return (ChunkKind.CONTENT, choice.text) if choice.text else _NO_OUTPUT
    if message.content or message.refusal:
        return ChunkKind.CONTENT, (message.reasoning_content or "") + (
            message.content or message.refusal or ""
        )
    reasoning = message.reasoning_content or message.reasoning
    if reasoning:
        return ChunkKind.REASONING, reasoning
    calls = [call.function for call in message.tool_calls or [] if call.function]
    text = "".join(f"{call.name or ''}{_text(call.arguments)}" for call in calls)
    return (ChunkKind.TOOL, text) if text else _NO_OUTPUT


def _text(arguments: Any) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return _encoder.encode(arguments).decode()


def _error_message(event: _Event, data: bytes) -> str:
    error = event.error
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail")
        return str(message) if message else data.decode("utf-8", "replace")
    if isinstance(error, str):
        return error
    return event.message or data.decode("utf-8", "replace")


OPENAI_CHAT = OpenAIDialect("openai-chat")
OPENAI_COMPLETIONS = OpenAIDialect("openai-completions")
VLLM = OpenAIDialect("vllm")
VLLM_CHAT = OpenAIDialect("vllm-chat")
LMDEPLOY = OpenAIDialect("lmdeploy")
LMDEPLOY_CHAT = OpenAIDialect("lmdeploy-chat")
