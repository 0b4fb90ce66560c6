"""Anthropic's messages, as Anthropic, vLLM, llama.cpp and gateways serve them."""

from __future__ import annotations

from typing import Any

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.dialect import Delta, Usage
from inferometer.client.dialects.reading import NOTHING, ROLE, ended, failed, number, part, read_id, text_of
from inferometer.record.types import ChunkKind

_OUTPUT = {
    "text_delta": (ChunkKind.CONTENT, "text"),
    "thinking_delta": (ChunkKind.REASONING, "thinking"),
    "input_json_delta": (ChunkKind.TOOL, "partial_json"),
}


class AnthropicDialect(JsonDialect):
    """``/v1/messages``: typed events, usage at the beginning and near the end, where the counts are of all so far.

    Source: Anthropic API reference, "Messages" and "Streaming messages".
    """

    def finished(self, fields: dict[str, Any]) -> dict[str, Any]:
        """System messages have a field of their own."""
        messages = fields.get("messages")
        if not isinstance(messages, list):
            return fields
        system = [text_of(part(one, "content")) for one in messages if part(one, "role") == "system"]
        if not system or "system" in fields:
            return fields
        others = [one for one in messages if part(one, "role") != "system"]
        return {**fields, "system": "\n".join(system), "messages": others}

    def meaning(self, value: Any) -> Delta:
        """What one event says."""
        kind = part(value, "type")
        if kind == "content_block_delta":
            found, name = _OUTPUT.get(text_of(part(value, "delta", "type")), (ChunkKind.OTHER, ""))
            text = text_of(part(value, "delta", name)) if name else ""
            return Delta(found, text) if text else NOTHING
        if kind == "message_start":
            return Delta(ChunkKind.ROLE, usage=_usage(part(value, "message", "usage")))
        if kind == "message_delta":
            usage = _usage(part(value, "usage"))
            return Delta(
                ChunkKind.USAGE, finish_reason=ended(part(value, "delta", "stop_reason")), usage=usage
            )
        if kind == "message_stop":
            return Delta(ChunkKind.DONE)
        if kind == "error" or part(value, "error"):
            return failed(part(value, "error") or value)
        return ROLE if kind == "content_block_start" else NOTHING

    def whole(self, value: Any) -> Delta:
        """What a whole message says."""
        if part(value, "type") == "error" or part(value, "error"):
            return failed(part(value, "error") or value)
        blocks = part(value, "content")
        if not isinstance(blocks, list):
            raise ValueError("reply is JSON, but has no 'content'")
        text = "".join(text_of(part(one, "thinking")) + text_of(part(one, "text")) for one in blocks)
        kind = ChunkKind.CONTENT if text else ChunkKind.TOOL if blocks else ChunkKind.OTHER
        return Delta(kind, text, None, ended(part(value, "stop_reason")), _usage(part(value, "usage")))

    def response_id(self, data: bytes) -> str | None:
        """The ``id`` of the message, which its first event and a whole reply give."""
        return read_id(data, "message", "id") or read_id(data, "id")


def _usage(usage: Any) -> Usage:
    """Counts of tokens. ``input_tokens`` leaves out what was read from a cache or written to it."""
    cached, written = (number(part(usage, f"cache_{what}_input_tokens")) for what in ("read", "creation"))
    fresh = number(part(usage, "input_tokens"))
    total = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return Usage(total, number(part(usage, "output_tokens")), cached_tokens=cached)


ANTHROPIC = AnthropicDialect("anthropic")
