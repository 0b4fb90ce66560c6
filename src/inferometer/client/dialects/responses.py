"""OpenAI responses and embeddings."""

from __future__ import annotations

from typing import Any

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.dialect import Delta, Usage
from inferometer.client.dialects.reading import (
    NOTHING,
    ROLE,
    ended,
    failed,
    number,
    part,
    read_id,
    text_of,
    texts_of,
)
from inferometer.record.types import ChunkKind

_OUTPUT = {
    "response.output_text.delta": ChunkKind.CONTENT,
    "response.refusal.delta": ChunkKind.CONTENT,
    "response.reasoning_text.delta": ChunkKind.REASONING,
    "response.reasoning_summary_text.delta": ChunkKind.REASONING,
    "response.function_call_arguments.delta": ChunkKind.TOOL,
}
_ENDS = ("response.completed", "response.incomplete")
_FAILURES = ("error", "response.failed")


class ResponsesDialect(JsonDialect):
    """``/v1/responses``: typed events; the last one repeats the whole answer with its usage.

    Source: OpenAI API reference, "Responses", "Streaming events".
    """

    def meaning(self, value: Any) -> Delta:
        """What one event says."""
        kind = text_of(part(value, "type"))
        if kind in _OUTPUT:
            text = text_of(part(value, "delta"))
            return Delta(_OUTPUT[kind], text) if text else ROLE
        if kind in _ENDS:
            delta = self.whole(part(value, "response"))
            return delta if delta.error else Delta(ChunkKind.DONE, "", None, delta.finish_reason, delta.usage)
        if kind in _FAILURES or part(value, "error"):
            said = part(value, "response", "error") or part(value, "error") or value
            return failed(said)
        return ROLE if kind == "response.created" else NOTHING

    def whole(self, value: Any) -> Delta:
        """What a response object says."""
        status = part(value, "status")
        if part(value, "error") or status == "failed":
            return failed(part(value, "error") or value)
        if not isinstance(part(value, "output"), list):
            raise ValueError("reply is JSON, but has no 'output'")
        texts = [texts_of(part(item, "content")) for item in value["output"]]
        texts += [text_of(part(item, "arguments")) for item in value["output"]]
        reason = part(value, "incomplete_details", "reason")
        finish = ended(reason) or "stop"
        usage = part(value, "usage")
        text = "".join(texts)
        counted = None if usage is None else _usage(usage)
        return Delta(ChunkKind.CONTENT if text else ChunkKind.OTHER, text, None, finish, counted)

    def response_id(self, data: bytes) -> str | None:
        """The ``id`` of the response, which its first event and a whole reply give."""
        return read_id(data, "response", "id") or read_id(data, "id")


def _usage(usage: Any) -> Usage:
    return Usage(
        number(part(usage, "input_tokens")),
        number(part(usage, "output_tokens")),
        number(part(usage, "output_tokens_details", "reasoning_tokens")),
        number(part(usage, "input_tokens_details", "cached_tokens")),
    )


class EmbeddingsDialect(JsonDialect):
    """``/v1/embeddings``: one whole reply, whose output is vectors and no tokens.

    Source: OpenAI API reference, "Embeddings".
    """

    def meaning(self, value: Any) -> Delta:
        """What a reply says."""
        if part(value, "error") or part(value, "object") == "error":
            return failed(part(value, "error") or value)
        if part(value, "data", 0, "embedding") is None:
            raise ValueError("reply is JSON, but has no 'data' with an 'embedding'")
        return Delta(
            ChunkKind.CONTENT,
            "",
            None,
            None,
            Usage(input_tokens=number(part(value, "usage", "prompt_tokens"))),
        )

    def response_id(self, data: bytes) -> str | None:
        """The ``id`` of a reply; vLLM gives one."""
        return read_id(data, "id")


OPENAI_RESPONSES = ResponsesDialect("openai-responses")
OPENAI_EMBEDDINGS = EmbeddingsDialect("openai-embeddings")
