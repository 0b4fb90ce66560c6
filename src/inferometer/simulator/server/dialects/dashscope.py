"""DashScope, the API of Alibaba Cloud Model Studio.

Source: Model Studio, "DashScope API reference".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.dialects.openai import Message, chat_messages
from inferometer.simulator.server.generation import Body, Intake, Wanted, check_sampling, texts
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject

_CODES = {401: "InvalidApiKey", 404: "ModelNotFound", 429: "Throttling"}


class _Input(msgspec.Struct):
    messages: list[Message] | None = None
    prompt: str | None = None


class _Parameters(msgspec.Struct):
    result_format: str | None = None
    incremental_output: bool | None = None
    max_tokens: int | None = None
    stop: Any = None
    ignore_eos: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Body(Body):
    model: str | None = None
    input: _Input | None = None
    parameters: _Parameters | None = None


class DashScopeWire:
    """Text generation.

    Args:
        stream: what the header ``X-DashScope-SSE`` or ``Accept`` of the request says.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        intake.check_model(body.model)
        given, asked = body.input or _Input(), body.parameters or _Parameters()
        check_sampling(asked, 2)
        if given.messages is None and given.prompt:
            prompt = intake.text(given.prompt, body.model)
        else:
            prompt = intake.messages(chat_messages(given.messages), body.model)
        wanted = Wanted(
            max_tokens=asked.max_tokens, stop=texts(asked.stop), ignore_eos=bool(asked.ignore_eos)
        )
        one = intake.generation(prompt, wanted, None)
        one = msgspec.structs.replace(one, model=body.model, stream=self._stream, fault=fault)
        return Asked([one], lambda subject, voice: _DashScopeForm(subject, voice, asked))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, _error(
            _CODES.get(status, "InvalidParameter" if status < 500 else "InternalError"), message
        )


class _DashScopeForm(Form):
    """Events with a number, a type and a status; all text so far, unless it was asked for in pieces."""

    def __init__(self, subject: Subject, voice: Voice, asked: _Parameters) -> None:
        super().__init__(subject, voice)
        self._pieces = bool(asked.incremental_output)
        self._as_message = asked.result_format == "message"  # "text" unless it is said
        self._said = ""
        self._number = 0

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        return self._event(first, count, "null")

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (self._event(first, count, self.subject.finish_reason),)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (b"event:error\ndata:%b\n\n" % _error("InternalError", BROKEN),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        return self._body(self.whole_text(), self.subject.finish_reason)

    def _event(self, first: int, count: int, reason: str) -> bytes:
        text = self.text(first, count).decode()
        self._said += text
        self._number += 1
        body = self._body(text if self._pieces else self._said, reason)
        return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (self._number, body)

    def _body(self, text: str, reason: str) -> bytes:
        output: dict[str, object] = {"text": text, "finish_reason": reason}
        if self._as_message:
            choice = {"message": {"content": text, "role": "assistant"}, "finish_reason": reason}
            output = {"choices": [choice]}
        body: dict[str, object] = {"output": output}
        if self.counts:
            body["usage"] = {
                "total_tokens": self.prompt_tokens + self.generated,
                "input_tokens": self.prompt_tokens,
                "output_tokens": self.generated,
                "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            }
        return msgspec.json.encode({**body, "request_id": f"sim-{self.subject.number:08x}"})


def _error(code: str, message: str) -> bytes:
    return msgspec.json.encode({"code": code, "message": message, "request_id": "sim"})
