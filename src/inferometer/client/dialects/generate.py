"""The ``/generate`` of vLLM's plain server, SGLang and LMDeploy: one path, three languages."""

from __future__ import annotations

from typing import Any

from inferometer.client.dialects.base import JsonDialect, read_json
from inferometer.client.dialects.dialect import Delta, Reader, Usage
from inferometer.client.dialects.reading import Growing, failed, number, part, piece, read_id, text_of
from inferometer.workload.request import Request


class _GrowingReader:
    """Events of one answer whose texts repeat all that came before."""

    def __init__(self, dialect: GenerateDialect | VllmGenerateDialect, skip: int) -> None:
        self._dialect = dialect
        self._growing = Growing(skip)

    def event(self, data: bytes, name: bytes) -> Delta:
        delta = read_json(data, self._dialect)
        if not delta.text:
            return delta
        text = self._growing.add(delta.text, last=delta.finish_reason is not None)
        return piece(text, delta.finish_reason, delta.usage)


class VllmGenerateDialect(JsonDialect):
    """vLLM's plain server: objects of one field, ``text``, a list that holds prompt and output; no usage, no end.

    Source: vllm/entrypoints/api_server.py of vLLM 0.6 and 0.10.
    """

    def echoed(self, request: Request) -> int:
        """The server repeats the prompt."""
        prompt = part(request.body, "prompt") if request.body is not None else self.prompt(request)[1]
        return len(text_of(prompt))

    def reader(self, echoed: int = 0) -> Reader:
        """Takes the prompt and what was said before off each text."""
        return _GrowingReader(self, echoed)

    def meaning(self, value: Any) -> Delta:
        """What one object says; its text is the whole one."""
        if part(value, "error") or part(value, "detail"):
            return failed(value)
        text = part(value, "text")
        if not isinstance(text, list):
            raise ValueError("reply is JSON, but has no list 'text'")
        return piece(text_of(part(text, 0)))


class GenerateDialect(JsonDialect):
    """SGLang's and LMDeploy's own API: ``text`` and ``meta_info``.

    Source: docs.sglang.io "Native APIs" (text of all so far); LMDeploy serve/openai/api_server.py (pieces).
    """

    def reader(self, echoed: int = 0) -> Reader:
        """Takes off what was said before, where the server repeats it."""
        return _GrowingReader(self, 0) if self.capability.text == "cumulative" else self

    def meaning(self, value: Any) -> Delta:
        """What one object says; its text is as the server sends it."""
        if part(value, "error"):
            return failed(part(value, "error"))
        meta, text = part(value, "meta_info"), part(value, "text")
        if not isinstance(meta, dict) and not isinstance(text, str):
            raise ValueError("reply is JSON, but has no 'text' and no 'meta_info'")
        reason = part(meta, "finish_reason")
        finish = text_of(part(reason, "type") if isinstance(reason, dict) else reason) or None
        if finish in ("abort", "error"):
            return failed(part(reason, "message") or f"the server ended the answer: {finish}")
        return piece(text_of(text), finish, _usage(meta))

    def response_id(self, data: bytes) -> str | None:
        """The ``id`` in ``meta_info``."""
        return read_id(data, "meta_info", "id")


def _usage(meta: Any) -> Usage:
    """Counts of tokens, each of all so far."""
    return Usage(
        number(part(meta, "prompt_tokens")),
        number(part(meta, "completion_tokens")),
        number(part(meta, "reasoning_tokens")),
        number(part(meta, "cached_tokens")),
        _accepted(meta),
    )


def _accepted(meta: Any) -> int | None:
    """Accepted draft tokens, under the names of SGLang 0.5.9 and before it.

    Still older servers give only the number of verifying steps, each of which adds one token that is not from the
    draft: SGLang's own acceptance length is tokens / steps.
    """
    for name in ("spec_accept_token_num", "spec_accepted_tokens"):
        if (count := number(part(meta, name))) is not None:
            return count
    steps, tokens = number(part(meta, "spec_verify_ct")), number(part(meta, "completion_tokens"))
    return max(0, tokens - steps) if steps and tokens is not None else None


VLLM_GENERATE = VllmGenerateDialect("vllm-generate")
SGLANG = GenerateDialect("sglang")
LMDEPLOY_GENERATE = GenerateDialect("lmdeploy-generate")
