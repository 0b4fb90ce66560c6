"""The simulated service that a spec describes: instances of a calibrated engine, or of a device and a model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.api.simulated_engine import SimulatedEngine, engine_under
from inferometer.errors import UsageError
from inferometer.simulator.cluster.service import Service, Transfer
from inferometer.simulator.instance.simulate import HANDLING_S, Overheads
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile
from inferometer.spec.launch_rules import shown_command
from inferometer.spec.model import RunSpec
from inferometer.spec.points import derive_seed
from inferometer.spec.simulation import Simulation

_AUTO_MOST = 64
_RATIO = re.compile(r"\s*([0-9]+)\s*:\s*([0-9]+)\s*")
_AUTO = re.compile(r"\s*auto\s*:\s*([0-9]+)\s*")


class Variant(NamedTuple):
    """One of the services that are compared; None = the spec's own.

    Attributes:
        engine_args: flags of the engine.
        instances: behind one address.
        ratio: instances that prefill, and that decode.
        label: for people, and for the run folder; empty where nothing is compared.
    """

    engine_args: str | None = None
    instances: int | None = None
    ratio: tuple[int, int] | None = None
    label: str = ""


class Simulated(NamedTuple):
    """What is simulated.

    Attributes:
        service: with the best coefficients.
        members: the same with those of each member of the profile's ensemble; empty without one, or if the spec wants
            no intervals.
        profile: of one instance, with limits as the engine's flags changed them.
        model: what is served, by name.
        notes: what a reader of the numbers has to know: flags that are not simulated, what was assumed.
        what: one line for people.
    """

    service: Service
    members: tuple[Service, ...]
    profile: Profile
    model: str
    notes: tuple[str, ...]
    what: str


def is_question(spec: RunSpec) -> bool:
    """Whether several services have to be simulated to answer the spec: variants to compare, or a number to find."""
    return len(variants(spec)) > 1 or most_instances(spec) is not None


def most_instances(spec: RunSpec) -> int | None:
    """The most instances of ``--instances auto``; None when numbers are given.

    Raises:
        UsageError: ``auto`` beside numbers.
    """
    asked = spec.simulation.instances
    words = [one for one in asked if isinstance(one, str)]
    if not words:
        return None
    if len(asked) > 1:
        raise UsageError(
            f"--instances {' '.join(map(str, asked))} mixes auto with further numbers",
            "give numbers to compare, or auto alone to find the fewest that meet --slo",
        )
    return int(words[0].partition(":")[2] or _AUTO_MOST)


def variants(spec: RunSpec) -> list[Variant]:
    """What is compared, in the order asked for; one without a label if nothing is.

    Flags cross with numbers of instances, or with ratios. ``--instances auto`` gives variants of one instance.

    Raises:
        UsageError: a ratio that is none, or instances beside ratios.
    """
    part = spec.simulation
    found = most_instances(spec) is not None
    ratios = [ratio for text in part.prefill_decode for ratio in _ratios(text)]
    if ratios and part.instances != Simulation().instances:
        raise UsageError(
            "--instances beside --prefill-decode: the ratio says how many instances there are",
            "leave out one of them",
        )
    counts = [1] if found else [one for one in part.instances if isinstance(one, int)]
    rest: list[tuple[int | None, tuple[int, int] | None]] = (
        [(None, ratio) for ratio in ratios] if ratios else [(count, None) for count in counts]
    )
    flags: list[str | None] = list(dict.fromkeys(map(_shown, part.engine_args))) or [None]
    rest = list(dict.fromkeys(rest))
    return [
        Variant(text, count, ratio, _label(text if len(flags) > 1 else None, (count, ratio), len(rest) > 1))
        for text in flags
        for count, ratio in rest
    ]


def service_of(spec: RunSpec, variant: Variant | None = None) -> Simulated:
    """The service of one variant; without one, the only one of the spec.

    Raises:
        UsageError: neither a profile nor device and model, flags that contradict each other or the model, a model that
            does not fit the device, or prefill instances whose KV entries have no known size.
        DataError: a profile or config.json that cannot be understood.
    """
    if variant is None:
        variant = variants(spec)[0]
    engine = engine_under(spec, variant.engine_args)
    profile = engine.profile
    plain = _service(spec, engine, variant)
    members = [_with(plain, profile, member) for member in range(len(profile.ensemble))]
    return Simulated(
        service=plain,
        members=tuple(members) if spec.simulation.intervals else (),
        profile=profile,
        model=_model_name(spec),
        notes=engine.notes,
        what=_what(engine, plain),
    )


def _service(spec: RunSpec, engine: SimulatedEngine, variant: Variant) -> Service:
    part, profile = spec.simulation, engine.profile
    prefill, decode = variant.ratio or (0, variant.instances or 1)
    if engine.data_parallel > 1 and (prefill or decode > 1):
        raise UsageError(
            f"{engine.data_parallel} data-parallel ranks in each of {decode + prefill} instances are not simulated",
            "leave out the flag of data parallelism, and give --instances the number of all ranks",
        )
    return Service(
        limits=profile.limits,
        model=profile.step_model(),
        overheads=_overheads(profile.coefficients),
        instances=decode * engine.data_parallel,
        lockstep=engine.lockstep,
        router=part.router,
        prefill=prefill,
        transfer=_transfer(part, profile) if prefill else None,
        seed=derive_seed(spec.load.seed, "simulated service"),
    )


def _with(service: Service, profile: Profile, member: int) -> Service:
    """The service of a member of the ensemble."""
    coefficients = profile.ensemble[member]
    return msgspec.structs.replace(
        service,
        limits=profile.limits_of(member),
        model=profile.step_model(coefficients),
        overheads=_overheads(coefficients),
    )


def _overheads(coefficients: Coefficients) -> Overheads:
    return Overheads(
        arrival_s=coefficients.arrival_s, reply_s=coefficients.first_token_s, handling_s=HANDLING_S
    )


def _transfer(part: Simulation, profile: Profile) -> Transfer:
    if profile.model is None:
        raise UsageError(
            "--prefill-decode: the profile does not say how large the model's KV entries are",
            "name the model: --model-config PATH",
        )
    return Transfer(
        bytes_per_token=float(profile.model.kv_bytes_per_token),
        bytes_per_s=part.transfer_gb_s * 1e9,
        latency_s=part.transfer_latency_s,
    )


def _model_name(spec: RunSpec) -> str:
    if spec.endpoint.model:
        return spec.endpoint.model
    file = spec.simulation.model_config_file
    if file is not None:
        path = Path(file)
        return (path.parent if path.suffix == ".json" else path).resolve().name
    return Path(spec.simulation.profile or "simulated").stem


def _what(engine: SimulatedEngine, service: Service) -> str:
    limits = service.limits
    many = (
        f"{service.prefill} instance{'s' if service.prefill > 1 else ''} to prefill and {service.instances} to decode"
        if service.prefill
        else f"{service.instances} instance{'s' if service.instances > 1 else ''}"
    )
    return (
        f"{many} of {engine.what}: {limits.max_num_seqs} sequences, {limits.max_num_batched_tokens} tokens a step, "
        f"{limits.kv_blocks * limits.block_tokens:,} tokens of KV cache"
    )


def _shown(flags: str) -> str:
    """Flags without secrets, which no time depends on: they become labels, and names of folders."""
    try:
        shlex.split(flags)
    except ValueError:
        return flags  # which their engine refuses, in its words
    return shown_command(flags)


def _ratios(text: str) -> list[tuple[int, int]]:
    if (auto := _AUTO.fullmatch(text)) and int(auto[1]) > _AUTO_MOST:
        raise UsageError(
            f"--prefill-decode {text.strip()}: its splits are more than {_AUTO_MOST - 1} services to simulate",
            f"name the ratios to compare, or split at most {_AUTO_MOST} instances",
        )
    if auto and int(auto[1]) > 1:
        return [(prefill, int(auto[1]) - prefill) for prefill in range(1, int(auto[1]))]
    found = _RATIO.fullmatch(text)
    if found is None or not int(found[1]) or not int(found[2]):
        raise UsageError(
            f"--prefill-decode {text!r} is no ratio of instances that prefill to instances that decode",
            "write 1:3, several of them, or auto:4 for all splits of 4 instances",
        )
    return [(int(found[1]), int(found[2]))]


def _label(flags: str | None, place: tuple[int | None, tuple[int, int] | None], several: bool) -> str:
    count, ratio = place
    words = [] if flags is None else [flags.strip() or "no further flags"]
    if several:
        words.append(f"{ratio[0]}:{ratio[1]}" if ratio else f"{count} instance{'s' if count != 1 else ''}")
    return ", ".join(words)
