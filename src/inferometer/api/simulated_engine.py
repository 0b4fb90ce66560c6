"""One simulated instance: a calibrated profile, or a device and a model, under the engine's own flags."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.api.simulated_memory import Cache, Hardware, kv_cache
from inferometer.clock import MonotonicClock
from inferometer.engines.limits import Meaning, Rules, Situation, known, rules_of
from inferometer.errors import UsageError
from inferometer.models.asked import Asked
from inferometer.models.config import ModelConfig, read_model
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.carry import carried
from inferometer.simulator.latency.devices import CPU, Device, device, measure_cpu
from inferometer.simulator.latency.facts import ModelFacts, facts_of
from inferometer.simulator.latency.profile import Profile, read_profile
from inferometer.simulator.latency.published import published_model
from inferometer.simulator.latency.roofline import Placement
from inferometer.simulator.latency.uncalibrated import uncalibrated
from inferometer.spec.model import RunSpec
from inferometer.spec.points import derive_seed
from inferometer.spec.simulation import Simulation

_LENGTH = 32768  # of a model whose files do not say it
_UNCALIBRATED = (
    "not calibrated: reckoned from the sizes of the model and the device sheet; for 16 published configurations at up "
    "to 8 streams the time per output token so reckoned was off by 6 to 26 % on average"
)


class SimulatedEngine(NamedTuple):
    """One instance.

    Attributes:
        profile: with limits as the flags changed them.
        data_parallel: ranks, each an instance of its own.
        lockstep: whether their steps wait for each other.
        what: engine, model and device, for people.
        notes: flags that are not simulated, and what was assumed.
    """

    profile: Profile
    data_parallel: int
    lockstep: bool
    what: str
    notes: tuple[str, ...]


def engine_under(spec: RunSpec, flags: str | None) -> SimulatedEngine:
    """The instance of a spec with these flags of its engine.

    Raises:
        UsageError: neither a profile nor device and model; flags that contradict each other; a model that does not fit.
        DataError: a profile, config.json or device sheet that cannot be understood.
    """
    part = spec.simulation
    seed = derive_seed(spec.load.seed, "simulated ensemble")
    if part.profile is not None:
        return _measured(part, flags, read_profile(part.profile), seed)
    model = part.model_config_file or spec.endpoint.model
    if part.device is None or model is None:
        raise UsageError(
            "nothing says what is to be simulated"
            if part.device is None and part.model_config_file is None
            else "--device and --model-config belong together, and one of them is missing",
            "give --profile FILE (made by inferometer simulate calibrate), or --device NAME and --model-config PATH",
        )
    return _reckoned(part, flags, _Sheets(_device(part.device), _model(model)), seed)


class _Sheets(NamedTuple):
    device: Device
    model: ModelConfig


def _measured(part: Simulation, flags: str | None, profile: Profile, seed: int) -> SimulatedEngine:
    """A calibrated engine, whose limits stay as they were where no flag says otherwise."""
    name = part.engine or profile.engine
    meaning, rules = Meaning(), None
    if flags is not None or part.engine_config is not None:
        rules = _rules(part, name, profile)
        meaning = rules.meaning(flags or "", _situation(part, profile.limits, measured=True))
    elif known(name):
        rules = rules_of(name or "")
    place = _placement(meaning, profile.placement)
    hardware = Hardware(
        *_hardware(part, profile, meaning),
        placement=place,
        rule=rules.memory if rules is not None else None,
        was=_sheet(profile.device),
    )
    cache = kv_cache(profile, meaning, hardware)
    limits = _limits(profile.limits, meaning, cache)
    notes = [*_not_measured(profile), *meaning.notes, *cache.notes, *limits.notes]
    if formats := [text for text in (meaning.dtype, meaning.kv_cache_dtype, meaning.quantization) if text]:
        notes.append(
            f"number formats are those that were measured, whatever the flags say: {', '.join(formats)}"
        )
    if part.device is not None and hardware.was is None:
        notes.append(
            f"the profile names no device that has a sheet: {part.device} is taken to be the one it is of"
        )
    if place != profile.placement or hardware.moved:
        profile = _carried(profile, hardware, seed)
        notes.append(
            f"carried over to {profile.device}, {_spread_over(place)}, by the roofline: it was not measured there"
        )
    pools = profile.ensemble_pools if limits.limits.kv_blocks == profile.limits.kv_blocks else ()
    profile = msgspec.structs.replace(profile, limits=limits.limits, ensemble_pools=pools)
    return _instance(profile, meaning, name, tuple(notes))


def _reckoned(part: Simulation, flags: str | None, sheets: _Sheets, seed: int) -> SimulatedEngine:
    """An engine that nobody measured."""
    rules = _rules(part, part.engine, None)
    where, config = sheets
    plain = rules.defaults(where, Placement())
    longest = config.max_positions or _LENGTH
    if rules.length_of_model:
        plain = msgspec.structs.replace(
            plain, max_model_len=longest, kv_blocks=-(-longest // plain.block_tokens)
        )
    meaning = rules.meaning(flags or "", _situation(part, plain, measured=False))
    place = _placement(meaning, Placement())
    facts = _shared_experts(
        facts_of(config, _asked(meaning)), 1 if meaning.replicas else meaning.data_parallel or 1
    )
    base = msgspec.structs.replace(_without_length(plain), **_plain_changes(meaning))
    hardware = Hardware(where, facts, placement=place, rule=rules.memory)
    cache = kv_cache(None, meaning, hardware, base)
    limits = _limits(plain, meaning, cache)
    profile = uncalibrated(facts, where, placement=place, limits=limits.limits, utilization=None, seed=seed)
    profile = msgspec.structs.replace(profile, engine=rules.name)
    assumed = f"defaults of {rules.name} {rules.version}"
    if rules.length_of_model and config.max_positions is None and "max_model_len" not in meaning.limits:
        assumed += f"; longest sequence {longest:,} tokens, as the model's sizes do not say it"
    notes = (_UNCALIBRATED, assumed, *meaning.notes, *cache.notes, *limits.notes)
    return _instance(profile, meaning, rules.name, notes)


class _Limits(NamedTuple):
    limits: EngineLimits
    notes: tuple[str, ...]


def _limits(base: EngineLimits, meaning: Meaning, cache: Cache) -> _Limits:
    """``base`` as flags and memory change it; a length that nobody asked for is cut to what the cache holds."""
    changes = {**meaning.limits, "kv_blocks": cache.blocks}
    block_tokens = changes.get("block_tokens", base.block_tokens)
    holds = cache.blocks * block_tokens
    notes: tuple[str, ...] = ()
    if "max_model_len" not in changes and holds < base.max_model_len:
        changes["max_model_len"] = holds
        notes = (f"max_model_len is cut from {base.max_model_len:,} to the {holds:,} tokens of the KV cache",)
    return _Limits(msgspec.structs.replace(base, **changes), notes)


def _plain_changes(meaning: Meaning) -> dict[str, Any]:
    """What of the flags counts for memory."""
    names = ("max_num_seqs", "max_num_batched_tokens", "block_tokens")
    return {name: meaning.limits[name] for name in names if name in meaning.limits}


def _without_length(limits: EngineLimits) -> EngineLimits:
    """The same limits for steps and blocks, without what depends on the longest sequence."""
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=limits.max_num_seqs,
        max_num_batched_tokens=limits.max_num_batched_tokens,
        block_tokens=limits.block_tokens,
        kv_blocks=1,
        max_model_len=1,
    )


def _rules(part: Simulation, name: str | None, profile: Profile | None) -> Rules:
    if profile is not None and part.engine and known(profile.engine):
        theirs = rules_of(profile.engine or "").name
        if rules_of(part.engine).name != theirs:
            raise UsageError(
                f"the profile is of {theirs}, so flags of {part.engine} say nothing about it",
                f"leave out --engine, or simulate {part.engine} with --device and --model-config",
            )
    if name is None and part.engine_config is not None:
        name = "mindie"
    if name is None and profile is None:
        name = "vllm"
    if name is None or not (part.engine or known(name) or profile is None):
        raise UsageError(
            f"--engine-args: the profile {'does not say whose it is' if name is None else f'is of {name}'}, "
            "whose flags are not known",
            "say whose flags these are: --engine vllm",
        )
    rules = rules_of(name)
    if part.engine_config is not None and rules.name != "mindie":
        raise UsageError(
            f"--engine-config is MindIE's config.json, and the engine is {rules.name}",
            "leave it out, or say --engine mindie",
        )
    return rules


def _situation(part: Simulation, limits: EngineLimits, *, measured: bool) -> Situation:
    return Situation(
        limits=limits,
        acceptance=tuple(part.draft_acceptance),
        config=None if part.engine_config is None else _config(Path(part.engine_config)),
        measured=measured,
    )


def _config(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise UsageError(f"--engine-config {file} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise UsageError(f"--engine-config {file} is no JSON object: {error}", "repair the file") from error


def _placement(meaning: Meaning, plain: Placement) -> Placement:
    return Placement(
        tensor_parallel=meaning.tensor_parallel or plain.tensor_parallel,
        pipeline_parallel=meaning.pipeline_parallel or plain.pipeline_parallel,
    )


def _hardware(
    part: Simulation, profile: Profile, meaning: Meaning
) -> tuple[Device | None, ModelFacts | None]:
    """Device and model of a profile, or those that the spec adds."""
    facts = profile.model
    if part.model_config_file is not None:
        named = facts_of(_model(part.model_config_file), _asked(meaning))
        if facts is not None and (facts.layers, facts.hidden) != (named.layers, named.hidden):
            raise UsageError(
                f"--model-config {part.model_config_file} has {named.layers} layers of width {named.hidden}, and the "
                f"profile was measured with {facts.layers} of {facts.hidden}: it says nothing about another model",
                "leave out --model-config, or simulate that model with --device alone",
            )
        facts = facts or named
    return (_sheet(profile.device) if part.device is None else _device(part.device)), facts


def _sheet(name: str | None) -> Device | None:
    """The sheet of a device that was measured; None if it has none."""
    try:
        return None if name is None else _device(name)
    except UsageError:
        return None


def _carried(profile: Profile, hardware: Hardware, seed: int) -> Profile:
    here = hardware.was or hardware.device
    if hardware.device is None or hardware.model is None or here is None:
        raise UsageError(
            f"the profile was measured {_spread_over(profile.placement)}; to simulate it "
            f"{_spread_over(hardware.placement)} its device and model have to be known",
            "give --device and --model-config beside --profile, or calibrate with a run of that placement",
        )
    return carried(profile, hardware.model, (here, hardware.device), hardware.placement, seed=seed)


def _spread_over(place: Placement) -> str:
    return f"tensor parallel {place.tensor_parallel}, pipeline parallel {place.pipeline_parallel}"


@functools.cache
def _device(name: str) -> Device:
    return measure_cpu(MonotonicClock()) if name == CPU else device(name)


def _model(path: str) -> ModelConfig:
    folder = Path(path)
    config = read_model(folder.parent if folder.name == "config.json" else folder)
    config = config or published_model(path)
    if config is None:
        raise UsageError(
            f"--model-config {path}: there is no config.json, and no published model of that name is known here",
            "name the model's directory, or the file in it",
        )
    return config


def _asked(meaning: Meaning) -> Asked:
    return Asked(
        dtype=meaning.dtype, kv_cache_dtype=meaning.kv_cache_dtype, quantization=meaning.quantization
    )


def _shared_experts(facts: ModelFacts, ranks: int) -> ModelFacts:
    """A mixture whose experts data-parallel ranks share: each keeps its part of them."""
    if ranks == 1 or not facts.routed_bytes:
        return facts
    kept = facts.routed_bytes // ranks
    return msgspec.structs.replace(
        facts, weight_bytes=facts.weight_bytes - facts.routed_bytes + kept, routed_bytes=kept
    )


def _not_measured(profile: Profile) -> tuple[str, ...]:
    return (_UNCALIBRATED,) if profile.provenance.method == "priors" else ()


def _instance(
    profile: Profile, meaning: Meaning, name: str | None, notes: tuple[str, ...]
) -> SimulatedEngine:
    ranks = meaning.data_parallel or 1
    lockstep = ranks > 1 and profile.experts is not None and not meaning.replicas
    if lockstep:
        notes = (*notes, "what data-parallel ranks send each other for their experts is not simulated")
    words = [name or "an engine"]
    if profile.device:
        words.append(f"on {profile.device}")
    if profile.placement != Placement():
        words.append(f"({_spread_over(profile.placement)})")
    return SimulatedEngine(profile, ranks, lockstep, " ".join(words), notes)
