"""Text Generation Inference. Defaults: 3.x, launcher.md of its documentation, and TGI_WIGGLE_ROOM of its server.

Prompt and longest answer have their blocks from the admission on, so nobody is preempted. Waiting requests interrupt
decoding when there are enough of them (``--waiting-served-ratio``) or after ``--max-waiting-tokens`` steps.
"""

from __future__ import annotations

from typing import Any

from inferometer.engines.adapters.tgi import TGI
from inferometer.engines.flags import Flag
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, plain_meaning
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_WIGGLE = 0.9  # of the free memory
_SEQUENCES = 128  # no limit of its own: as many as --max-concurrent-requests lets in
_TABLE = FlagTable(
    engine="tgi",
    flags=(
        Flag(field="model", names=TGI.model_flag),
        *TGI.flags,
        Flag(field="kv_tokens", names=("--max-batch-total-tokens",), kind="count"),
        Flag(field="concurrent", names=("--max-concurrent-requests",), kind="count"),
        Flag(field="input_tokens", names=("--max-input-tokens", "--max-input-length"), kind="count"),
        Flag(field="ratio", names=("--waiting-served-ratio",), kind="number"),
        Flag(field="waiting_steps", names=("--max-waiting-tokens",), kind="count"),
    ),
    programs=TGI.programs,
)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=_SEQUENCES,
        max_num_batched_tokens=4096,
        reserve_answer=True,
        select_batch=True,
        prefill_time_s=1.0,
        decode_time_s=0.3,
        select_steps=20,
        prefix_cache=True,
    )


def _meaning(text: str, situation: Situation) -> Meaning:
    typed = _TABLE.read(text)
    fields = typed.fields
    notes = list(_TABLE.unknown(typed))
    limits: dict[str, Any] = {}
    if "concurrent" in fields:
        limits["max_num_seqs"] = min(fields.get("max_num_seqs", fields["concurrent"]), fields["concurrent"])
        notes.append("--max-concurrent-requests: requests beyond it wait in the simulation; TGI refuses them")
    if "ratio" in fields:
        limits |= {"select_batch": True, "prefill_time_s": 1.0, "decode_time_s": fields["ratio"]}
    if "waiting_steps" in fields:
        limits |= {"select_batch": True, "select_steps": fields["waiting_steps"] or None}
    if "input_tokens" in fields:
        longest = fields.get("max_model_len", situation.limits.max_model_len)
        if fields["input_tokens"] >= longest:
            raise UsageError(
                f"--max-input-tokens {fields['input_tokens']} must be below --max-total-tokens {longest}",
                "lower the one or raise the other",
            )
        if fields.get("max_num_batched_tokens", fields["input_tokens"]) < fields["input_tokens"]:
            raise UsageError(
                f"--max-batch-prefill-tokens {fields['max_num_batched_tokens']} must not be below --max-input-tokens "
                f"{fields['input_tokens']}",
                "lower the one or raise the other",
            )
        limits["max_num_batched_tokens"] = fields["input_tokens"] + 50
        notes.append("--max-input-tokens: a longer prompt is refused by TGI, and taken in the simulation")
    if "max_num_batched_tokens" in fields:
        limits["max_num_batched_tokens"] = fields["max_num_batched_tokens"]
    return plain_meaning(fields, tuple(notes), limits=limits, kv_tokens=fields.get("kv_tokens"))


RULES = Rules(
    name="tgi",
    version="3.x",
    memory=lambda device, placement, limits: MemoryRule(free=_WIGGLE),
    defaults=_defaults,
    meaning=_meaning,
)
