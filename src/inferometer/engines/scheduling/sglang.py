"""SGLang. Defaults: 0.5.6, server_args.py and model_runner.py.

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
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

_PREFILL_TOKENS = 16384  # --max-prefill-tokens
_SEQUENCES = 2048  # the least of what it derives from the size of its cache
_CHUNKS = ((35.0, 2048), (60.0, 4096), (160.0, 8192), (float("inf"), 16384))  # GiB of the device, tokens
_GRAPHS = ((20.0, 8, 8), (35.0, 24, 80), (60.0, 32, 160), (160.0, 256, 512), (float("inf"), 512, 512))
"""Largest batch of its CUDA graphs: GiB of the device, below 4 devices that share layers, from 4 on."""
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
        Flag(field="attention_ranks", names=("--enable-dp-attention",), kind="switch"),
        Flag(field="max_prefill_seqs", names=("--prefill-max-requests",), kind="count"),
    ),
    programs=SGLang.programs,
    underscores=True,
    automatic=frozenset({"--chunked-prefill-size"}),
)
_WITH_STEPS = ("--speculative-algorithm", "--speculative-draft-model-path", "--speculative-num-draft-tokens")


def _share(device: Device, placement: Placement, limits: EngineLimits) -> MemoryRule:
    """The share that its ``_handle_gpu_memory_settings`` reckons, in MiB: chunk, graphs and devices are kept free."""
    devices = placement.tensor_parallel
    graphs = next(many if devices >= 4 else few for most, few, many in _GRAPHS if device.memory_gib < most)
    kept = 512 + 1.5 * max(limits.max_num_batched_tokens, 2048) + 2 * graphs
    kept += devices * placement.pipeline_parallel / 8 * 1024
    memory = device.memory_gib * 1024
    if memory > 60 * 1024:
        kept = max(kept, 10 * 1024)
    return MemoryRule(whole=max(round((memory - kept) / memory, 3), 0.01), static=True)


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
    whole = (
        "--chunked-prefill-size" in typed.extra
    )  # -1: prompts are not split, so only the prefill tokens count
    said_with_steps = _WITH_STEPS if "drafts" in fields else ()
    notes = list(_TABLE.unknown(typed, (*said_with_steps, "--chunked-prefill-size")))
    limits: dict[str, Any] = {}
    if fields.get("mixed"):
        limits["scheduler"] = "chunked"
    budget = fields.get("max_num_batched_tokens", situation.limits.max_num_batched_tokens)
    if whole:
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
    more: dict[str, Any] = {"replicas": not fields.get("attention_ranks")}
    if fields.get("attention_ranks"):
        more["tensor_parallel"] = _of_each_rank(fields)
        notes.append(
            "--enable-dp-attention is simulated as data-parallel ranks that share the devices; what they gather for "
            "their dense layers is not"
        )
    return plain_meaning(fields, tuple(notes), limits=limits, kv_tokens=fields.get("kv_tokens"), **more)


def _of_each_rank(fields: dict[str, Any]) -> int:
    """With attention by data-parallel ranks ``--tp-size`` counts the devices of all of them."""
    devices, ranks = fields.get("tensor_parallel", 1), fields.get("data_parallel", 1)
    if devices % ranks:
        raise UsageError(
            f"--enable-dp-attention: --tp-size {devices} is no multiple of --dp-size {ranks}",
            "SGLang spreads its ranks over the devices of --tp-size: give a multiple",
        )
    return int(devices // ranks)


RULES = Rules(name="sglang", version="0.5.6", memory=_share, defaults=_defaults, meaning=_meaning)
