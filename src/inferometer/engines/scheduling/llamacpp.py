"""llama.cpp's server: slots decode together and prompts join them, at most ``--batch-size`` tokens a step.

The KV cache is the context (``--ctx-size``). Slots share it, so that one may fill it, where their number is left to the
server; with ``--parallel`` each has its part. Defaults: builds from the end of 2025 on, tools/server/server.cpp.
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
    typed = _TABLE.read(text)
    fields = typed.fields
    slots = situation.limits.max_num_seqs if situation.measured else 1
    limits: dict[str, Any] = {}
    if context := fields.get("context"):
        limits["max_model_len"] = max(1, context // fields.get("max_num_seqs", slots))
    return plain_meaning(
        fields, _TABLE.unknown(typed), limits=limits, kv_tokens=fields.get("context") or None
    )


RULES = Rules(
    name="llamacpp",
    version="builds from the end of 2025 on",
    memory=None,
    length_of_model=False,
    defaults=_defaults,
    meaning=_meaning,
)
