"""Triton's generate extension, with its vLLM backend or TensorRT-LLM."""

from __future__ import annotations

from typing import Any

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.dialect import Delta
from inferometer.client.dialects.reading import failed, part, piece, text_of


class TritonDialect(JsonDialect):
    """``/v2/models/MODEL/generate_stream``: each event has a piece of ``text_output``; no usage, no end.

    Source: Triton's "Generate extension".
    """

    def meaning(self, value: Any) -> Delta:
        """What one event, or a whole reply, says."""
        if part(value, "error"):
            return failed(part(value, "error"))
        if "text_output" not in (value if isinstance(value, dict) else {}):
            raise ValueError("reply is JSON, but has no 'text_output'")
        text = value["text_output"]
        return piece(text_of(part(text, 0) if isinstance(text, list) else text))


TRITON = TritonDialect("triton")
TRTLLM = TritonDialect("trtllm")
