"""LMDeploy with turbomind. Defaults: 0.9, lmdeploy/messages.py and utils.get_max_batch_size."""

from __future__ import annotations

from typing import Any

from inferometer.engines.adapters.lmdeploy import LMDeploy
from inferometer.engines.flags import Flag
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, plain_meaning
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_SEQUENCES = (("a100", 384), ("h100", 1024), ("h200", 1024), ("h20", 1024), ("ascend", 256))
_FREE = 0.8  # --cache-max-entry-count: of what is free beside the weights
_TABLE = FlagTable(
    engine="lmdeploy",
    flags=(
        Flag(field="model", names=("--model",)),
        *LMDeploy.flags,
        Flag(field="block_tokens", names=("--cache-block-seq-len",), kind="count"),
        Flag(field="ranks", names=LMDeploy.expert_flag, kind="count"),
    ),
    programs=LMDeploy.programs,
    takes_model=True,
)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    title = device.title.lower() if device is not None else ""
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=next((most for name, most in _SEQUENCES if name in title), 128),
        max_num_batched_tokens=8192,
        block_tokens=64,
    )


def _meaning(text: str, situation: Situation) -> Meaning:
    typed = _TABLE.read(text)
    fields = typed.fields
    limits: dict[str, Any] = {}
    if "block_tokens" in fields:
        limits["block_tokens"] = fields["block_tokens"]
    return plain_meaning(fields, _TABLE.unknown(typed), limits=limits)


RULES = Rules(
    name="lmdeploy",
    version="0.9",
    memory=lambda device, placement, limits: MemoryRule(free=_FREE, asked="free"),
    defaults=_defaults,
    meaning=_meaning,
)
