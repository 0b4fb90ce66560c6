"""How each API is spoken: builds the body, names the events of the stream."""

from __future__ import annotations

from inferometer.client.dialects.base import JsonDialect
from inferometer.client.dialects.capability import Capability
from inferometer.client.dialects.dialect import (
    BodyOptions,
    Delta,
    Deltas,
    Dialect,
    Reader,
    Usage,
    path_of,
    understand,
)
from inferometer.registry import Registry

_HERE = "inferometer.client.dialects"
TEMPLATE = "template"

DIALECTS = Registry(
    "backend",
    {
        "openai-chat": f"{_HERE}.openai:OPENAI_CHAT",
        "openai-completions": f"{_HERE}.openai:OPENAI_COMPLETIONS",
        "openai-responses": f"{_HERE}.responses:OPENAI_RESPONSES",
        "openai-embeddings": f"{_HERE}.responses:OPENAI_EMBEDDINGS",
        "vllm": f"{_HERE}.openai:VLLM",
        "vllm-chat": f"{_HERE}.openai:VLLM_CHAT",
        "vllm-generate": f"{_HERE}.generate:VLLM_GENERATE",
        "sglang": f"{_HERE}.generate:SGLANG",
        "lmdeploy": f"{_HERE}.openai:LMDEPLOY",
        "lmdeploy-chat": f"{_HERE}.openai:LMDEPLOY_CHAT",
        "lmdeploy-generate": f"{_HERE}.generate:LMDEPLOY_GENERATE",
        "tgi": f"{_HERE}.token_events:TGI",
        "mindie": f"{_HERE}.token_events:MINDIE",
        "mindspore": f"{_HERE}.token_events:MINDSPORE",
        "triton": f"{_HERE}.triton:TRITON",
        "trtllm": f"{_HERE}.triton:TRTLLM",
        "anthropic": f"{_HERE}.anthropic:ANTHROPIC",
        "dashscope": f"{_HERE}.dashscope:DASHSCOPE",
        TEMPLATE: f"{_HERE}.template:open_template",
    },
    group="inferometer.dialects",
)


def open_dialect(name: str, template: str | None = None) -> Dialect:
    """The dialect of a name; ``template`` is the file of the one that needs it.

    Raises:
        UsageError: there is no such dialect, or its file is wrong.
    """
    found = DIALECTS.get(name)
    dialect: Dialect = found(template or "") if name == TEMPLATE else found
    return dialect


__all__ = [
    "DIALECTS",
    "TEMPLATE",
    "BodyOptions",
    "Capability",
    "Delta",
    "Deltas",
    "Dialect",
    "JsonDialect",
    "Reader",
    "Usage",
    "open_dialect",
    "path_of",
    "understand",
]
