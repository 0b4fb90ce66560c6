"""llama.cpp's server: slots decode together and prompts join them, at most ``--batch-size`` tokens a step.

The KV cache is the context, which all slots share (``--ctx-size``). Defaults: builds of 2025, common/arg.cpp.
"""

from __future__ import annotations

from typing import Any

from inferometer.engines.adapters.llamacpp import LlamaCpp
from inferometer.engines.flags import Flag
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, plain_meaning
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_TABLE = FlagTable(
    engine="llamacpp",
    flags=(
        Flag(field="model", names=LlamaCpp.model_flag),
        *LlamaCpp.flags,
        Flag(field="context", names=("--ctx-size", "-c"), kind="count"),
    ),
    programs=LlamaCpp.programs,
)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    return EngineLimits(
        max_num_seqs=4, max_num_batched_tokens=2048, block_tokens=1, kv_blocks=4096, max_model_len=1024
    )


def _meaning(text: str, situation: Situation) -> Meaning:
    """A slot has its share of the context, so all answers fit that fit a slot."""
    typed = _TABLE.read(text)
    fields = typed.fields
    slots = fields.get("max_num_seqs", situation.limits.max_num_seqs)
    limits: dict[str, Any] = {}
    if fields.get("context"):
        limits["max_model_len"] = fields["context"] // slots
    return plain_meaning(
        fields, _TABLE.unknown(typed), limits=limits, kv_tokens=fields.get("context") or None
    )


RULES = Rules(
    name="llamacpp",
    version="builds of 2025",
    memory=None,
    length_of_model=False,
    defaults=_defaults,
    meaning=_meaning,
)
