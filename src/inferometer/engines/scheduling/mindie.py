"""MindIE: parameters of its config.json, from the file or as NAME=VALUE. Defaults: the file as 2.x installs it.

Sources: Configuration Parameters of MindIE 2.0 (hiascend.com); the share of the memory is NPU_MEMORY_FRACTION.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inferometer.engines.adapters.mindie_config import changed
from inferometer.engines.engine import Settings
from inferometer.engines.kv_memory import MemoryRule
from inferometer.engines.limits import Meaning, Rules, Situation, drafts, words_of
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import GIB, Device
from inferometer.simulator.latency.roofline import Placement

_FRACTION = 0.8
_SHARE = "NPU_MEMORY_FRACTION"
_INSTALLED: dict[str, Any] = {
    "ServerConfig": {},
    "BackendConfig": {
        "ModelDeployConfig": {
            "maxSeqLen": 2560,
            "maxInputTokenLen": 2048,
            "truncation": False,
            "ModelConfig": [{"worldSize": 1, "cpuMemSize": 5, "npuMemSize": -1, "plugin_params": ""}],
        },
        "ScheduleConfig": {
            "maxPrefillBatchSize": 50,
            "maxPrefillTokens": 8192,
            "prefillTimeMsPerReq": 150,
            "prefillPolicyType": 0,
            "decodeTimeMsPerReq": 50,
            "decodePolicyType": 0,
            "maxBatchSize": 200,
            "maxIterTimes": 512,
            "maxPreemptCount": 0,
            "supportSelectBatch": False,
            "maxQueueDelayMicroseconds": 5000,
            "cacheBlockSize": 128,
        },
    },
}
# Parameters that are fields of EngineLimits: name there, and what its unit is divided by.
_PLAIN = {
    "maxPrefillBatchSize": "max_prefill_seqs",
    "maxPrefillTokens": "max_num_batched_tokens",
    "maxBatchSize": "max_num_seqs",
    "cacheBlockSize": "block_tokens",
    "maxSeqLen": "max_model_len",
}
_TIMES = {
    "prefillTimeMsPerReq": ("prefill_time_s", 1e3),
    "decodeTimeMsPerReq": ("decode_time_s", 1e3),
    "maxQueueDelayMicroseconds": ("prefill_delay_s", 1e6),
}
_OTHERS = frozenset(
    (
        "supportSelectBatch",
        "maxPreemptCount",
        "npuMemSize",
        "plugin_params",
        "worldSize",
        "tp",
        "dp",
        "moe_ep",
    )
)
_NO_TIME = frozenset(
    ("modelName", "modelWeightPath", "maxIterTimes", "truncation", "cpuMemSize", "trustRemoteCode")
)


def _defaults(device: Device | None, placement: Placement) -> EngineLimits:
    limits = {"scheduler": "prefill-first", **_limits(_values(_INSTALLED), EngineLimits())[0]}
    return EngineLimits(**limits)


def _meaning(text: str, situation: Situation) -> Meaning:
    """Of an engine that was measured only what is said counts; else all of the file, and the rest as installed."""
    words = words_of(text)
    shares = [word for word in words if word.startswith(_SHARE + "=")]
    words = [word for word in words if word not in shares]
    config = changed(dict(situation.config or _INSTALLED), Settings(model="", extra=tuple(words)))
    said = _named(words) | (_values(situation.config).keys() if situation.config is not None else set())
    values = _values(config)
    if situation.measured:
        values = {name: value for name, value in values.items() if name in said}
    limits, notes = _limits(values, situation.limits)
    limits |= _plugins(values, situation)
    notes += [
        f"not simulated: {name}"
        for name in sorted(_named(words) - _PLAIN.keys() - _TIMES.keys() - _OTHERS - _NO_TIME)
    ]
    world, ranks = values.get("worldSize"), values.get("dp")
    memory = values.get("npuMemSize", -1)
    return Meaning(
        limits=limits,
        kv_bytes=float(memory) * GIB if memory > 0 else None,
        memory_share=_share(shares[-1]) if shares else None,
        tensor_parallel=values.get("tp") or (None if world is None else world // (ranks or 1)),
        data_parallel=ranks,
        notes=tuple(notes),
    )


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of all sections that matter, by name."""
    backend = config.get("BackendConfig", {})
    deploy = backend.get("ModelDeployConfig", {})
    models = deploy.get("ModelConfig") or [{}]
    found = {**models[0], **deploy, **backend.get("ScheduleConfig", {})}
    for name in (*_PLAIN, *_TIMES):
        if name in found and (isinstance(found[name], bool) or not isinstance(found[name], int | float)):
            raise UsageError(f"MindIE's {name}={found[name]!r} is no number", "give it a number")
    return found


def _named(words: list[str]) -> set[str]:
    return {word.lstrip("-").partition("=")[0].rpartition(".")[2] for word in words}


def _limits(values: Mapping[str, Any], base: EngineLimits) -> tuple[dict[str, Any], list[str]]:
    limits: dict[str, Any] = {ours: values[name] for name, ours in _PLAIN.items() if name in values}
    limits |= {ours: values[name] / unit for name, (ours, unit) in _TIMES.items() if name in values}
    notes = []
    if limits.get("max_prefill_seqs") == 0:
        limits["max_prefill_seqs"] = None  # MindIE: 0 = limited by the tokens alone
    if "supportSelectBatch" in values:
        limits["select_batch"] = bool(values["supportSelectBatch"])
    if values.get("maxPreemptCount"):
        limits["max_preempt"] = values["maxPreemptCount"]
    elif "maxPreemptCount" in values:
        limits["max_preempt"] = None
    if values.get("prefillPolicyType") or values.get("decodePolicyType"):
        notes.append("prefillPolicyType and decodePolicyType are simulated as 0, first come first served")
    return limits, notes


def _plugins(values: Mapping[str, Any], situation: Situation) -> dict[str, Any]:
    """Prefix cache and speculation, which are plugins: JSON in a text."""
    if "plugin_params" not in values and "enablePrefixCache" not in values:
        return {}
    params = values.get("plugin_params") or "{}"
    try:
        found = json.loads(params) if isinstance(params, str) else params
    except ValueError:
        raise UsageError(f"MindIE's plugin_params {params!r} are no JSON", "repair them") from None
    kinds = str(found.get("plugin_type", "")).split(",")
    limits: dict[str, Any] = {
        "prefix_cache": "prefix_cache" in kinds or bool(values.get("enablePrefixCache"))
    }
    if "mtp" in kinds:
        limits |= drafts(int(found.get("num_speculative_tokens", 1)), situation, "plugin_params mtp")
    return limits


def _share(word: str) -> float:
    try:
        return float(word.partition("=")[2])
    except ValueError:
        raise UsageError(f"{word} is no share of the memory", f"write {_SHARE}=0.9") from None


RULES = Rules(
    name="mindie",
    version="2.x",
    memory=lambda device, placement, limits: MemoryRule(whole=_FRACTION),
    length_of_model=False,
    defaults=_defaults,
    meaning=_meaning,
)
