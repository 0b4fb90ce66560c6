"""TensorRT-LLM: ``trtllm-serve``, and names of its LlmArgs. Defaults: 1.0 (LlmArgs, KvCacheConfig, SchedulerConfig).

Context and generation requests share steps. With GUARANTEED_NO_EVICT, its default, a request starts only if its whole
answer will fit beside those of all that run; with MAX_UTILIZATION, as soon as its prompt does.
"""

from __future__ import annotations

import shlex
from typing import Any

from inferometer.engines.flags import Flag, flag_names
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import FlagTable, Meaning, Rules, Situation, plain_meaning, words_of
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_FREE = 0.9  # free_gpu_memory_fraction
_POLICIES = ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH")
_FILE = "--extra-llm-api-options"
_PROGRAMS = (("trtllm-serve", "serve"), ("trtllm-serve",))
_TABLE = FlagTable(
    engine="tensorrt-llm",
    flags=(
        Flag(field="host", names=("--host",)),
        Flag(field="port", names=("--port",), kind="count"),
        Flag(field="trust_remote_code", names=("--trust-remote-code",), kind="switch"),
        Flag(field="max_num_seqs", names=("--max-batch-size",), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--max-num-tokens",), kind="count"),
        Flag(field="max_model_len", names=("--max-seq-len",), kind="count"),
        Flag(field="tensor_parallel", names=("--tp-size", "--tensor-parallel-size"), kind="count"),
        Flag(field="pipeline_parallel", names=("--pp-size", "--pipeline-parallel-size"), kind="count"),
        Flag(field="ranks", names=("--ep-size", "--moe-expert-parallel-size"), kind="count"),
        Flag(
            field="memory_share",
            names=("--kv-cache-free-gpu-memory-fraction", "--free-gpu-memory-fraction"),
            kind="number",
        ),
        Flag(field="kv_tokens", names=("--max-tokens",), kind="count"),
        Flag(field="block_tokens", names=("--tokens-per-block",), kind="count"),
        Flag(field="prefix_cache", names=("--enable-block-reuse",), kind="switch"),
        Flag(field="chunked", names=("--enable-chunked-prefill", "--enable-chunked-context"), kind="switch"),
        Flag(field="policy", names=("--capacity-scheduler-policy", "--batch-scheduler-policy")),
    ),
    programs=_PROGRAMS,
    underscores=True,
    takes_model=True,
)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    return EngineLimits(
        max_num_seqs=2048,
        max_num_batched_tokens=8192,
        block_tokens=32,
        reserve_answer=True,
        prefix_cache=True,
    )


def _meaning(text: str, situation: Situation) -> Meaning:
    """Flags, and parameters as ``capacity_scheduler_policy=MAX_UTILIZATION``, as YAML of the server has them."""
    typed = _TABLE.read(shlex.join(map(_as_flag, words_of(text))))
    fields = dict(typed.fields)
    notes = list(_TABLE.unknown(typed, [_FILE]))
    if _FILE in flag_names(typed.extra):
        notes.append(
            f"the file of {_FILE} is not read: give what it says as words, kv_cache_config.enable_block_reuse=false"
        )
    limits: dict[str, Any] = {}
    if "block_tokens" in fields:
        limits["block_tokens"] = fields["block_tokens"]
    if "policy" in fields:
        limits |= _capacity(fields["policy"])
    longest = fields.get("max_model_len", situation.limits.max_model_len)
    if not fields.get("chunked", situation.measured):  # off unless asked for
        budget = fields.get("max_num_batched_tokens", situation.limits.max_num_batched_tokens)
        if budget >= longest:
            limits["split_prompts"] = False
        else:
            notes.append(
                f"prompts are split to fill max_num_tokens={budget}; TensorRT-LLM does so with enable_chunked_prefill"
            )
    elif "chunked" in fields:
        limits["split_prompts"] = True
    return plain_meaning(fields, tuple(notes), limits=limits, kv_tokens=fields.get("kv_tokens"))


def _as_flag(word: str) -> str:
    """``max_num_tokens=8192`` as a flag; anything else as it is."""
    name, equals, value = word.partition("=")
    bare = not word.startswith("-") and equals and name.replace(".", "_").isidentifier()
    return f"--{name.rpartition('.')[2]}={value}" if bare else word


def _capacity(policy: str) -> dict[str, Any]:
    if policy.upper() not in _POLICIES:
        raise UsageError(
            f"capacity_scheduler_policy {policy!r} is none of TensorRT-LLM's",
            f"it has {', '.join(_POLICIES)}",
        )
    if policy.upper() == "STATIC_BATCH":
        return {"scheduler": "static", "reserve_answer": False, "prefix_cache": False}
    return {"reserve_answer": policy.upper() == "GUARANTEED_NO_EVICT"}


RULES = Rules(
    name="tensorrt-llm",
    version="1.0",
    memory=lambda device, placement, limits: MemoryRule(free=_FREE, asked="free"),
    defaults=_defaults,
    meaning=_meaning,
)
