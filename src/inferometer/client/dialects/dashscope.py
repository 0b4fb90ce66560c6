"""DashScope, the API of Alibaba Cloud Model Studio."""

from __future__ import annotations

from typing import Any

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.dialect import Delta, Usage
from inferometer.client.dialects.reading import ROLE, ended, failed, number, part, read_id, text_of, texts_of
from inferometer.record.types import ChunkKind


class DashScopeDialect(JsonDialect):
    """Text generation: each event has a piece of ``output`` and the usage so far.

    Source: Model Studio, "DashScope API reference". ``finish_reason`` is the text "null" until the end.
    """

    def event(self, data: bytes, name: bytes) -> Delta:
        """What one event says; its type is ``result`` or ``error``."""
        delta = super().event(data, name)
        return failed_event(data) if name == b"error" and delta.error is None else delta

    def meaning(self, value: Any) -> Delta:
        """What one event, or a whole reply, says."""
        if part(value, "code"):
            return failed(f"{value['code']}: {text_of(part(value, 'message'))}")
        output = part(value, "output")
        if not isinstance(output, dict):
            raise ValueError("reply is JSON, but has no 'output'")
        choice = part(output, "choices", 0)
        content = part(choice, "message", "content") if choice is not None else part(output, "text")
        text = text_of(content) or texts_of(content)
        reasoning = text_of(part(choice, "message", "reasoning_content"))
        reason = part(output if choice is None else choice, "finish_reason")
        finish = ended(reason)
        usage = _usage(part(value, "usage"))
        if text:
            return Delta(ChunkKind.CONTENT, reasoning + text, None, finish, usage)
        if reasoning:
            return Delta(ChunkKind.REASONING, reasoning, None, finish, usage)
        return ROLE._replace(
            kind=ChunkKind.OTHER if finish else ChunkKind.ROLE, finish_reason=finish, usage=usage
        )

    def response_id(self, data: bytes) -> str | None:
        """The ``request_id``."""
        return read_id(data, "request_id")


def failed_event(data: bytes) -> Delta:
    """The error of an event of type ``error`` in a form that is not known."""
    return failed(data.decode("utf-8", "replace"))


def _usage(usage: Any) -> Usage:
    return Usage(
        number(part(usage, "input_tokens")),
        number(part(usage, "output_tokens")),
        number(part(usage, "output_tokens_details", "reasoning_tokens")),
        number(part(usage, "prompt_tokens_details", "cached_tokens")),
    )


DASHSCOPE = DashScopeDialect("dashscope")
