"""How each API is spoken: builds the body, names the events of the stream."""

from inferometer.client.dialects.dialect import BodyOptions, Delta, Deltas, Dialect, Usage, understand
from inferometer.registry import Registry

DIALECTS = Registry(
    "backend",
    {
        "openai-chat": "inferometer.client.dialects.openai:OPENAI_CHAT",
        "openai-completions": "inferometer.client.dialects.openai:OPENAI_COMPLETIONS",
    },
    group="inferometer.dialects",
)

__all__ = ["DIALECTS", "BodyOptions", "Delta", "Deltas", "Dialect", "Usage", "understand"]
