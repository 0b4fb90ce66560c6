"""vLLM V1. Defaults: 0.32.0, EngineArgs.get_batch_defaults for the API server, CacheConfig, SchedulerConfig."""

from __future__ import annotations

import json
from typing import Any

from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.flags import Flag
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, drafts, plain_meaning
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_UTILIZATION = 0.92
_LARGE_GIB, _LARGEST_GIB = 70.0, 160.0
_TABLE = FlagTable(
    engine="vllm",
    flags=(
        Flag(field="model", names=("--model",)),
        *VLLM.flags,
        Flag(field="block_tokens", names=("--block-size",), kind="count"),
        Flag(field="kv_blocks", names=("--num-gpu-blocks-override",), kind="count"),
        Flag(field="kv_bytes", names=("--kv-cache-memory-bytes",), kind="human"),
        Flag(field="order", names=("--scheduling-policy",)),
        Flag(field="long_prefill_token_threshold", names=("--long-prefill-token-threshold",), kind="count"),
        Flag(
            field="split_prompts",
            names=("--enable-chunked-prefill",),
            kind="switch",
            off=("--no-enable-chunked-prefill",),
        ),
        Flag(
            field="reserve_full_prompt",
            names=("--scheduler-reserve-full-isl",),
            kind="switch",
            off=("--no-scheduler-reserve-full-isl",),
        ),
        Flag(field="speculative", names=("--speculative-config", "-sc")),
    ),
    programs=VLLM.programs,
    underscores=True,
    takes_model=True,
    automatic=frozenset({"--max-model-len"}),
)
_LIMITS = ("block_tokens", "kv_blocks", "order", "long_prefill_token_threshold", "reserve_full_prompt")


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    """By the device's memory; an A100 counts as a small one (pull request 17885)."""
    tokens, sequences = 2048, 256
    if device is not None and device.memory_gib >= _LARGEST_GIB:
        tokens, sequences = 16384, 1024
    elif device is not None and device.memory_gib >= _LARGE_GIB and "a100" not in device.title.lower():
        tokens, sequences = 8192, 1024
    return EngineLimits(max_num_seqs=sequences, max_num_batched_tokens=tokens, prefix_cache=True)


def _meaning(text: str, situation: Situation) -> Meaning:
    typed = _TABLE.read(text)
    fields = typed.fields
    limits: dict[str, Any] = {name: fields[name] for name in _LIMITS if name in fields}
    if limits.get("order") not in (None, "fcfs", "priority"):
        raise UsageError(
            f"--scheduling-policy {limits['order']} is none of vLLM's", "it has fcfs and priority"
        )
    limits |= _splitting(fields, situation.limits)
    budget = fields.get("max_num_batched_tokens")
    if budget and not situation.measured and "max_num_seqs" not in fields:  # as vLLM cuts its default
        limits["max_num_seqs"] = min(situation.limits.max_num_seqs, budget)
    if "speculative" in fields:
        limits |= drafts(_drafted(fields["speculative"]), situation, "--speculative-config")
    more: dict[str, Any] = {"kv_bytes": float(fields["kv_bytes"])} if "kv_bytes" in fields else {}
    notes = _TABLE.unknown(typed, ["--max-model-len"])  # auto: as long as the cache holds, which is simulated
    return plain_meaning(fields, notes, limits=limits, **more)


def _splitting(fields: dict[str, Any], base: EngineLimits) -> dict[str, Any]:
    """Chunked prefill; switched off, a step has room for the longest prompt unless told otherwise, as in vLLM."""
    if "split_prompts" not in fields or base.scheduler != "chunked":
        return {}
    limits: dict[str, Any] = {"split_prompts": fields["split_prompts"]}
    if not fields["split_prompts"] and fields.get("max_num_batched_tokens") is None:
        longest = fields.get("max_model_len") or base.max_model_len
        limits["max_num_batched_tokens"] = max(longest, base.max_num_batched_tokens)
    return limits


def _drafted(text: str) -> int:
    try:
        config = json.loads(text)
        tokens = config.get("num_speculative_tokens") if isinstance(config, dict) else None
    except ValueError:
        tokens = None
    if not isinstance(tokens, int) or tokens < 0:
        raise UsageError(
            f"--speculative-config {text!r} does not say num_speculative_tokens",
            """write JSON in quotes: --speculative-config '{"method": "ngram", "num_speculative_tokens": 3}\'""",
        )
    return tokens


RULES = Rules(
    name="vllm",
    version="0.32.0",
    memory=lambda device, placement, limits: MemoryRule(whole=_UTILIZATION),
    defaults=_defaults,
    meaning=_meaning,
)
