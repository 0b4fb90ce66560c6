"""The engine behind a measured run: limits, KV cache and placement, by what the run and its user say of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.api.calibration_sources import RunFacts, with_facts
from inferometer.engines.kv_memory import kv_blocks_left
from inferometer.engines.limits import Meaning, Rules, Situation, known, rules_of
from inferometer.errors import UsageError
from inferometer.models.asked import Asked
from inferometer.models.config import read_model
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device, device
from inferometer.simulator.latency.facts import ModelFacts, facts_of
from inferometer.simulator.latency.roofline import Placement

_PLAIN = "vllm"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says of the engine that was measured; None = nothing.

    Attributes:
        engine: its name.
        flags: it was started with, in its own words.
        device: its kind.
        model_config: config.json of its model, or a directory that has it.
        kv_tokens: that its KV cache holds.
    """

    engine: str | None = None
    flags: str | None = None
    device: str | None = None
    model_config: str | None = None
    kv_tokens: int | None = None

    def __post_init__(self) -> None:
        if (self.device is None) != (self.model_config is None):
            raise UsageError(
                "--device and --model-config belong together: priors need what is computed, and on what",
                "give both, or neither",
            )
        if self.kv_tokens is not None and self.kv_tokens < 1:
            raise UsageError(f"--kv-tokens {self.kv_tokens} must be at least 1")


class MeasuredEngine(NamedTuple):
    """An engine as it was measured.

    Attributes:
        name: of the engine; None = nobody says.
        limits: of one instance.
        placement: of one instance.
        kv_source: where the size of its KV cache comes from; empty = it is not known.
        kv_planned: blocks that would fit beside the weights; None = model or device are not known.
        notes: what is not simulated, and what was assumed.
    """

    name: str | None
    limits: EngineLimits
    placement: Placement
    kv_source: str
    kv_planned: int | None
    notes: tuple[str, ...]


class Hardware(NamedTuple):
    """Model and device, where the user names them."""

    model: ModelFacts
    device: Device


def hardware_of(told: Told, meaning: Meaning) -> Hardware | None:
    """Sizes of the model and the sheet of the device; None where they are not named.

    Raises:
        UsageError: no such device or file, or a config.json that leaves out a size.
    """
    if told.device is None or told.model_config is None:
        return None
    path = Path(told.model_config)
    config = read_model(path.parent if path.name == "config.json" else path)
    if config is None:
        raise UsageError(
            f"--model-config {told.model_config} has no config.json", "name it, or a directory that has it"
        )
    asked = Asked(
        dtype=meaning.dtype, kv_cache_dtype=meaning.kv_cache_dtype, quantization=meaning.quantization
    )
    return Hardware(facts_of(config, asked), device(told.device))


def measured_engine(
    facts: RunFacts, command: str | None, told: Told
) -> tuple[MeasuredEngine, Hardware | None]:
    """The engine of one run, or of step records and tables where ``facts`` are empty.

    Args:
        facts: what the run says of it.
        command: that the run started it with; None = it did not.
        told: by the user, who knows better.

    Raises:
        UsageError: flags that contradict each other or are none of the engine's, ranks that share one address, or a
            device or model that cannot be found.
    """
    named = told.engine or facts.engine
    notes: list[str] = []
    if told.engine is None and not known(named):
        notes.append(
            f"{'nothing says which engine it was' if named is None else f'the scheduler of {named} is not known'}: "
            "taken to schedule as vLLM does (--engine NAME says otherwise)"
        )
    rules = rules_of(told.engine or (named if named and known(named) else _PLAIN))
    base = rules.defaults(None if told.device is None else device(told.device), Placement())
    meaning = _meaning(rules, base, told.flags if told.flags is not None else command, notes, told)
    if (meaning.data_parallel or 1) > 1:
        raise UsageError(
            f"{meaning.data_parallel} data-parallel ranks answered at one address: nobody knows which had what",
            "calibrate from a run against one rank; simulate several with --instances",
        )
    placement = Placement(
        tensor_parallel=meaning.tensor_parallel or 1, pipeline_parallel=meaning.pipeline_parallel or 1
    )
    kv_tokens = told.kv_tokens or meaning.kv_tokens
    source = "--kv-tokens" if told.kv_tokens else "the engine's flags" if meaning.kv_tokens else facts.source
    if "kv_blocks" in meaning.limits and not told.kv_tokens:
        size = meaning.limits.get("block_tokens", base.block_tokens)
        kv_tokens, source = meaning.limits["kv_blocks"] * size, "the engine's flags"
    limits = _joined(base, meaning, facts, kv_tokens)
    hardware = hardware_of(told, meaning)
    planned = None
    if hardware is not None and rules.memory is not None:
        rule = rules.memory(hardware.device, placement, limits).with_share(meaning.memory_share)
        planned = kv_blocks_left(rule, hardware.model, hardware.device, placement, limits)
    notes += meaning.notes
    return MeasuredEngine(named, limits, placement, source, planned, tuple(notes)), hardware


def _meaning(rules: Rules, base: EngineLimits, flags: str | None, notes: list[str], told: Told) -> Meaning:
    """What flags say; those of a command line of the run's own are left out where they are not understood."""
    try:
        return rules.meaning(flags or "", Situation(limits=base))
    except UsageError as error:
        if told.flags is not None:
            raise
        notes.append(f"the flags that the run started {rules.name} with are not simulated: {error.message}")
        return Meaning()


def _joined(base: EngineLimits, meaning: Meaning, facts: RunFacts, kv_tokens: int | None) -> EngineLimits:
    """Limits by flags, which win, and by what the engine said."""
    said = facts._replace(
        max_num_seqs=None if "max_num_seqs" in meaning.limits else facts.max_num_seqs,
        max_model_len=None if "max_model_len" in meaning.limits else facts.max_model_len,
        block_tokens=None if "block_tokens" in meaning.limits else facts.block_tokens,
    )
    flags = {name: value for name, value in meaning.limits.items() if name != "kv_blocks"}
    length, block = (
        flags.get("max_model_len", base.max_model_len),
        flags.get("block_tokens", base.block_tokens),
    )
    flags["kv_blocks"] = max(base.kv_blocks, -(-length // block))
    limits = msgspec.structs.replace(base, **flags)
    known_length = meaning.limits.get("max_model_len") or said.max_model_len
    return with_facts(limits, said._replace(max_model_len=known_length), kv_tokens)
