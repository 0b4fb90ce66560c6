"""OpenAI's responses.

Source: OpenAI API reference, "Responses", "Streaming events"; vLLM 0.32, entrypoints/openai/responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.dialects.errors import openai_error
from inferometer.simulator.server.dialects.openai import Message, chat_messages
from inferometer.simulator.server.generation import Body, Intake, Wanted, check_sampling
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, typed_sse


class _Body(Body):
    model: str | None = None
    input: str | list[Message] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    stream: bool | None = None
    ignore_eos: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class ResponsesWire:
    """``/v1/responses``."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        intake.check_model(body.model)
        check_sampling(body, 2)
        given = [Message("user", body.input)] if isinstance(body.input, str) else body.input
        messages = chat_messages(given)
        if body.instructions:
            messages = [("system", [body.instructions]), *messages]
        wanted = Wanted(
            max_tokens=body.max_output_tokens,
            ignore_eos=bool(body.ignore_eos),
            max_name="max_output_tokens",
        )
        one = intake.generation(intake.messages(messages, body.model), wanted, None)
        one = msgspec.structs.replace(one, model=body.model, stream=bool(body.stream), fault=fault)
        return Asked([one], _ResponsesForm)

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, openai_error(status, message, param)


class _ResponsesForm(Form):
    """Typed events with running numbers; the last one repeats the whole answer with its usage."""

    def __init__(self, subject: Subject, voice: Voice) -> None:
        super().__init__(subject, voice)
        self._identity = f"resp_sim{subject.number:08x}"
        self._item = f"msg_sim{subject.number:08x}"
        self._number = 0
        self._status = "incomplete" if subject.finish_reason == "length" else "completed"

    def opening(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        begun = self._response("in_progress", [], None)
        item = {
            "id": self._item,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        part: dict[str, object] = {
            "type": "output_text",
            "text": "",
            "annotations": [],
            "logprobs": [],
        }
        return (
            self._event("response.created", response=begun),
            self._event("response.in_progress", response=begun),
            self._event("response.output_item.added", output_index=0, item=item),
            self._event("response.content_part.added", **self._place(), part=part),
        )

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        text = self.text(first, count).decode()
        return self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        delta = self.event(first, count)
        (item,) = self._output()
        (part,) = item["content"]
        text = part["text"]
        done = self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
        part_done = self._event("response.content_part.done", **self._place(), part=part)
        return delta, done, part_done, self._event("response.output_item.done", output_index=0, item=item)

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """See :class:`Form`."""
        if not done:
            return ()
        response = self._ended()
        return (self._event(f"response.{response['status']}", response=response),)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (self._event("error", code="server_error", message=BROKEN, param=None),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        return msgspec.json.encode(self._ended())

    def _ended(self) -> dict[str, Any]:
        reason = "max_output_tokens" if self._status == "incomplete" else None
        response = self._response(self._status, self._output(), reason)
        if self.counts:
            response["usage"] = {
                "input_tokens": self.prompt_tokens,
                "input_tokens_details": {"cached_tokens": self.cached_tokens, "cache_write_tokens": 0},
                "output_tokens": self.generated,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.prompt_tokens + self.generated,
            }
        return response

    def _output(self) -> list[dict[str, Any]]:
        part: dict[str, Any] = {
            "type": "output_text",
            "text": self.whole_text(),
            "annotations": [],
            "logprobs": None,
        }
        return [
            {
                "id": self._item,
                "type": "message",
                "status": self._status,
                "role": "assistant",
                "content": [part],
            }
        ]

    def _response(self, status: str, output: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        return {
            "id": self._identity,
            "object": "response",
            "created_at": self.subject.created_s,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "instructions": None,
            "max_output_tokens": self.subject.request.max_tokens,
            "metadata": {},
            "model": self.subject.model,
            "output": output,
            "parallel_tool_calls": True,
            "service_tier": "auto",
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
        }

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: object) -> bytes:
        event = typed_sse(kind, {"sequence_number": self._number, **fields})
        self._number += 1
        return event
