"""Anthropic's messages, as vLLM serves them too.

Source: Anthropic API reference, "Messages", "Streaming messages", "Errors"; vLLM 0.32, entrypoints/anthropic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.dialects.openai import Message, Part, chat_messages
from inferometer.simulator.server.generation import ApiError, Body, Intake, Wanted, check_sampling, texts
from inferometer.simulator.server.wire import BROKEN, Asked, Form, typed_sse

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class _Body(Body):
    model: str | None = None
    messages: list[Message] | None = None
    system: str | list[Part] | None = None
    max_tokens: int | None = None
    stop_sequences: Any = None
    stream: bool | None = None
    ignore_eos: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class AnthropicWire:
    """``/v1/messages``."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        if body.model is None:
            raise ApiError(400, "model: Field required", "model")
        intake.check_model(body.model)
        if body.max_tokens is None:
            raise ApiError(400, "max_tokens: Field required", "max_tokens")
        check_sampling(body, 1)
        messages = chat_messages(body.messages)
        if body.system:
            messages = [*chat_messages([Message(role="system", content=body.system)]), *messages]
        wanted = Wanted(
            max_tokens=body.max_tokens,
            ignore_eos=bool(body.ignore_eos),
            stop=texts(body.stop_sequences, "stop_sequences"),
        )
        one = intake.generation(intake.messages(messages, body.model), wanted, None)
        one = msgspec.structs.replace(one, model=body.model, stream=bool(body.stream), fault=fault)
        return Asked([one], AnthropicForm)

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, _error(_ERRORS.get(status, "api_error"), message)


class AnthropicForm(Form):
    """Typed events: start of message and block, pieces of text, ends of both."""

    def opening(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        message: dict[str, object] = {
            **self._about(),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        if self.counts:
            message["usage"] = self._usage(0)
        block = {"type": "text", "text": ""}
        return (
            _event("message_start", message=message),
            _event("content_block_start", index=0, content_block=block),
        )

    def around(self) -> tuple[bytes, bytes] | None:
        """See :class:`Form`."""
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"',
            b'"}}\n\n',
        )

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        before, after = self.around() or (b"", b"")
        reason, sequence = self._reason()
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        counted = {"usage": self._usage(self.generated)} if self.counts else {}
        return (
            before + self.text(first, count) + after,
            _event("content_block_stop", index=0),
            _event("message_delta", delta=delta, **counted),
        )

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (_event("message_stop"),) if done else ()

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (b"event: error\ndata: %b\n\n" % _error("api_error", BROKEN),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        reason, sequence = self._reason()
        block = {"type": "text", "text": self.whole_text()}
        body: dict[str, object] = {
            **self._about(),
            "content": [block],
            "stop_reason": reason,
            "stop_sequence": sequence,
        }
        if self.counts:
            body["usage"] = self._usage(self.generated)
        return msgspec.json.encode(body)

    def _about(self) -> dict[str, object]:
        identity = f"msg_sim{self.subject.number:08x}"
        return {"id": identity, "type": "message", "role": "assistant", "model": self.subject.model}

    def _reason(self) -> tuple[str, str | None]:
        stopped = self.subject.stopped_by
        if stopped is not None:
            return "stop_sequence", stopped
        return ("max_tokens" if self.subject.finish_reason == "length" else "end_turn"), None

    def _usage(self, generated: int) -> dict[str, int]:
        """What was read from the cache is not among the input tokens."""
        return {
            "input_tokens": self.prompt_tokens - self.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": self.cached_tokens,
            "output_tokens": generated,
        }


def _event(kind: str, **fields: object) -> bytes:
    return typed_sse(kind, fields)


def _error(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
