"""SGLang. Defaults: 0.5, server_args.py and model_runner.py; share of the memory: 0.4, where it is a table.

SGLang computes prompts before decodes, several in one step, unless ``--enable-mixed-chunk`` mixes them. It differs from
the simulation: a prompt longer than ``--chunked-prefill-size`` takes several steps of its own, not one; a request is
admitted by an estimate of the lengths of answers, not by its prompt alone.
"""

from __future__ import annotations

from typing import Any

from inferometer.engines.adapters.sglang import SGLang
from inferometer.engines.flags import Flag
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, drafts, plain_meaning
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_PREFILL_TOKENS = 16384  # --max-prefill-tokens
_SEQUENCES = 2048  # the least of what it derives from the size of its cache
_CHUNKS = ((35.0, 2048), (60.0, 4096), (160.0, 8192), (float("inf"), 16384))  # GiB of the device, tokens
_SHARES = ((16, 0.79), (8, 0.81), (4, 0.85), (2, 0.87), (1, 0.88))  # by devices
_PAGE = 16
_TABLE = FlagTable(
    engine="sglang",
    flags=(
        Flag(field="model", names=SGLang.model_flag),
        *SGLang.flags,
        Flag(field="block_tokens", names=("--page-size",), kind="count"),
        Flag(field="kv_tokens", names=("--max-total-tokens",), kind="count"),
        Flag(field="prefill_tokens", names=("--max-prefill-tokens",), kind="count"),
        Flag(field="policy", names=("--schedule-policy",)),
        Flag(field="mixed", names=("--enable-mixed-chunk",), kind="switch"),
        Flag(field="ranks", names=SGLang.expert_flag, kind="count"),
        Flag(field="drafts", names=("--speculative-num-steps",), kind="count"),
        Flag(field="max_prefill_seqs", names=("--prefill-max-requests",), kind="count"),
    ),
    programs=SGLang.programs,
    underscores=True,
)


def _share(placement: Placement) -> MemoryRule:
    devices = placement.tensor_parallel
    return MemoryRule(whole=next(share for least, share in _SHARES if devices >= least), static=True)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    memory = device.memory_gib if device is not None else 80.0
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=_SEQUENCES,
        max_num_batched_tokens=next(tokens for most, tokens in _CHUNKS if memory < most),
        block_tokens=_PAGE,
        prefix_cache=True,
    )


def _meaning(text: str, situation: Situation) -> Meaning:
    typed = _TABLE.read(text)
    fields = typed.fields
    notes = list(_TABLE.unknown(typed))
    limits: dict[str, Any] = {}
    if fields.get("mixed"):
        limits["scheduler"] = "chunked"
    budget = fields.get("max_num_batched_tokens", situation.limits.max_num_batched_tokens)
    if "--chunked-prefill-size" in typed.extra:  # -1: prompts are not split, so only the prefill tokens count
        notes.remove("not simulated: --chunked-prefill-size")
        budget = fields.get("prefill_tokens", _PREFILL_TOKENS)
    elif "prefill_tokens" in fields:
        budget = min(budget, fields["prefill_tokens"])
    limits["max_num_batched_tokens"] = budget
    if fields.get("block_tokens") == 1:
        notes.append(f"--page-size 1 is simulated as {_PAGE}")
    elif "block_tokens" in fields:
        limits["block_tokens"] = fields["block_tokens"]
    if fields.get("policy", "fcfs") != "fcfs":
        notes.append(f"--schedule-policy {fields['policy']} is simulated as fcfs")
    if "max_prefill_seqs" in fields:
        limits["max_prefill_seqs"] = fields["max_prefill_seqs"]
    if "drafts" in fields:
        limits |= drafts(fields["drafts"], situation, "--speculative-num-steps")
    more: dict[str, Any] = {"expert_parallel": fields["ranks"] > 1} if "ranks" in fields else {}
    return plain_meaning(fields, tuple(notes), limits=limits, kv_tokens=fields.get("kv_tokens"), **more)


RULES = Rules(name="sglang", version="0.5", memory=_share, defaults=_defaults, meaning=_meaning)
