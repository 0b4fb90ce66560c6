"""Simulate: a run, a sweep or a search against a simulated service, in virtual time, into the same run folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from inferometer.api.measuring import RunResult, judged
from inferometer.api.preparing import ready_data
from inferometer.api.searching import Conductor, SearchResult, Tell, check, found, planned
from inferometer.api.simulated import Simulated, Variant, service_of, variants
from inferometer.client.probe import ServerInfo
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.loadgen.conduct import Conduct
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.run import execute
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal
from inferometer.loadgen.virtual_asks import check_lengths, length_notes
from inferometer.loadgen.virtual_service import Virtual
from inferometer.metrics.slo import parse_slos
from inferometer.record.prediction import Prediction
from inferometer.spec import RunSpec, load_points, with_warmups
from inferometer.spec.search_rules import settled
from inferometer.spec.simulation_rules import timeless
from inferometer.tuner.outlook import first_wanted
from inferometer.tuner.points import spec_of
from inferometer.version import __version__
from inferometer.workload import load_tokenizer

NO_ENSEMBLE = "the profile has no ensemble"
NOT_WANTED = "--no-intervals"


def simulate(
    spec: RunSpec,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    variant: Variant | None = None,
) -> RunResult:
    """Carry out the load points of a spec against a simulated service.

    Args:
        spec: as for ``run``, but for its server; ``spec.simulation`` says what is simulated.
        observer: told how far it is, in virtual time.
        stop: asked for, it ends the run early with what was simulated.
        variant: which of several services that are compared; None = the only one.

    Raises:
        InferometerError: something a person can act on; see ``inferometer.errors``.
    """
    observer, stop = observer or NullObserver(), stop or StopSignal()
    return judged(_executed(prepare_simulated(spec, variant), observer, stop), stop)


def simulate_search(
    spec: RunSpec,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    tell: Tell = lambda probe: None,
    variant: Variant | None = None,
) -> SearchResult:
    """Simulate loads, one after the other, until what ``spec.search.target`` names is known.

    Args:
        spec: what to do; without ``search.target`` it is the largest load within limits.
        observer: told how far it is.
        stop: asked for, it ends the search early.
        tell: told of each load point once it is judged; of a search for the largest load within limits.
        variant: as in ``simulate``.

    Raises:
        InferometerError: something a person can act on; see ``inferometer.errors``.
    """
    observer, stop, spec = observer or NullObserver(), stop or StopSignal(), settled(spec)
    service_of(spec, variant)  # else the first complaint would be that no server is named
    check(spec)
    plan = planned(spec, prepare_simulated(spec_of(spec, first_wanted(spec)), variant))
    return found(_executed(plan, observer, stop, Conductor(plan.spec, tell).conduct(plan)), stop)


def prepare_simulated(spec: RunSpec, variant: Variant | None = None) -> RunPlan:
    """Settle everything that can fail before the first request: service, lists, data, lengths.

    Raises:
        UsageError, DataError: what is wrong and what to do.
    """
    simulated = service_of(spec, variant)
    points = load_points(spec)
    parse_slos(spec.measure.slo)
    tokenizer = load_tokenizer(spec.workload.tokenizer)
    data = ready_data(spec, points, tokenizer)
    check_lengths(spec, data.points, data.first)
    notes = [*simulated.notes, *length_notes(spec, data.points[0], data.first)]
    if flags := timeless(spec):
        notes.append(f"without effect on simulated times: {', '.join(flags)}")
    if variant is not None and variant.label:
        output = spec.output.model_copy(update={"label": (*spec.output.label, _word(variant.label))})
        spec = spec.model_copy(update={"output": output})
    return RunPlan(
        spec=spec,
        target=None,
        server=ServerInfo(
            models=[simulated.model],
            server=f"inferometer simulate {__version__}",
            max_model_len=simulated.service.limits.max_model_len,
            simulated=True,
        ),
        model=simulated.model,
        points=with_warmups(spec, data.points),
        tokenizer=tokenizer,
        feed=data.feed,
        notes=tuple(notes),
        data=data.info,
        virtual=Virtual(
            simulated.service,
            simulated.members,
            simulated.profile,
            _prediction(spec, simulated, variant, notes),
        ),
    )


def _executed(plan: RunPlan, observer: Observer, stop: StopSignal, conduct: Conduct | None = None) -> Path:
    for text in plan.notes:
        observer.on_notice(text)
    if stop.level:
        raise InterruptedEarlyError("interrupted before the first request was simulated")
    return execute(plan, observer, stop, conduct)


def _prediction(spec: RunSpec, simulated: Simulated, variant: Variant | None, notes: list[str]) -> Prediction:
    """What is simulated, without load points yet."""
    part, service, profile = spec.simulation, simulated.service, simulated.profile
    calibrated: dict[str, Any] = {
        "schema": profile.schema,
        "file": part.profile,
        "sha256": None if part.profile is None else _sha256(part.profile),
        "device": profile.device,
        "method": profile.provenance.method,
        "members": len(profile.ensemble),
        "coefficients": msgspec.to_builtins(profile.coefficients),
    }
    no_interval = None
    if not simulated.members:
        no_interval = NO_ENSEMBLE if part.intervals else NOT_WANTED
    flags = [one.engine_args for one in variants(spec)[:1]] if variant is None else [variant.engine_args]
    return Prediction(
        what=simulated.what,
        label="" if variant is None else variant.label,
        profile=calibrated,
        limits=msgspec.to_builtins(service.limits),
        service={
            "instances": service.instances,
            "prefill": service.prefill,
            "router": service.router,
            "lockstep": service.lockstep,
            "transfer": None if service.transfer is None else msgspec.to_builtins(service.transfer),
        },
        engine={
            "name": part.engine or profile.engine,
            "flags": [text for text in flags if text is not None],
            "config": part.engine_config,
        },
        notes=notes,
        no_interval=no_interval,
    )


def _sha256(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"profile {path} cannot be read: {error.strerror}", "make one: inferometer simulate calibrate RUN"
        ) from None


def _word(label: str) -> str:
    """A label as a word of a folder's name: no "=", which would make it a pair."""
    return "-".join("".join(sign if sign.isalnum() or sign in "._" else " " for sign in label).split())
