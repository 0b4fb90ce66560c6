"""Settle everything that can fail before the first request."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from inferometer.api.launched import Launched
from inferometer.checks.demand import Need, demand, largest, warning
from inferometer.checks.envelope import Envelope, cache_dir, load_envelope
from inferometer.checks.limits import check_limits, limit_doubts, system_limits
from inferometer.checks.machine import this_machine
from inferometer.client.dialects import Capability
from inferometer.client.dialects.asked import settle, speaking
from inferometer.client.endpoint import target_of
from inferometer.client.prefix_cache import flush_cache
from inferometer.client.probe import Caller, ServerInfo, check_mix, choose_model, find_servers
from inferometer.client.server_tokenizer import open_server_tokenizer
from inferometer.client.target import Target
from inferometer.clock import MonotonicClock
from inferometer.errors import UsageError
from inferometer.loadgen.affinity import usable_cores
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.shards import resolve_workers
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.slo import parse_slos
from inferometer.spec import (
    LoadPoint,
    RunSpec,
    load_points,
    with_warmups,
)
from inferometer.spec.endpoint_rules import SERVER_TOKENIZER
from inferometer.spec.lengths import length_notes
from inferometer.spec.session_rules import model_weights
from inferometer.spec.simulation_rules import refuse_simulation
from inferometer.workload import (
    Dataset,
    DatasetInfo,
    Request,
    RowFeed,
    Tokenizer,
    load_tokenizer,
    open_dataset,
)


def prepare(spec: RunSpec, stop: StopSignal | None = None, launched: Launched | None = None) -> RunPlan:
    """Settle everything that can fail before the first request: lists, data, address, model.

    A server that the run starts itself is started as late as it can be, when all else is known to be right.

    Args:
        spec: what to do.
        stop: ends the wait for a server that is silent.
        launched: the server of ``spec.launch``, where it has one.

    Raises:
        UsageError, DataError, EndpointError, EngineError: what is wrong and what to do.
        InterruptedEarlyError: ``stop`` was asked for while the server was silent.
    """
    stop = stop or StopSignal()
    refuse_simulation(spec, "run" if spec.search.target is None else "search")
    load_points(spec)
    spec, _, spoken = settle(spec)
    points = load_points(spec)
    check_limits(shared(points, spec), system_limits())
    parse_slos(spec.measure.slo)
    # Else the data is looked at first, which takes no network.
    reached = _reach(spec, stop, launched) if spec.workload.tokenizer == SERVER_TOKENIZER else None
    tokenizer = load_tokenizer(spec.workload.tokenizer) if reached is None else _server_tokenizer(reached)
    data = ready_data(spec, points, tokenizer)
    feed, points = data.feed, data.points
    reached = reached or _reach(spec, stop, launched)
    spec = reached.spec
    excess = warning(needed(spec, points, load_envelope(cache_dir(os.environ), this_machine()).envelope))
    found = limit_doubts(shared(points, spec), system_limits())
    doubts = [f"{doubt.message}; {doubt.next_step}" for doubt in found]
    odd = length_notes(spec.workload)
    notes = (*reached.notes, *spoken, *odd, *doubts, *([] if excess is None else [excess]))
    everything = with_warmups(spec, points)
    plan = RunPlan(
        spec, reached.target, reached.server, reached.model, everything, tokenizer, feed, notes, data.info
    )
    return plan if launched is None else replace(plan, engine=launched.record, housed=launched.housed)


class ReadyData(NamedTuple):
    """Data that was looked at.

    Attributes:
        feed: hands it out, load point by load point.
        points: with the number of requests of those that replay a trace.
        info: identity of the data, as the longest load point sees it.
        first: the first request of that.
    """

    feed: RowFeed
    points: tuple[LoadPoint, ...]
    info: DatasetInfo | None
    first: Request | None


def ready_data(spec: RunSpec, points: Sequence[LoadPoint], tokenizer: Tokenizer) -> ReadyData:
    """Open the data of a run, and draw its longest load point once.

    A file that is too short fails so before anything was sent.

    Raises:
        UsageError, DataError: what is wrong and what to do.
    """

    def opened(point: LoadPoint) -> Dataset:
        return open_dataset(spec, point, tokenizer)

    feed = RowFeed(opened, spec.workload.oversample, spec.sweep.same_prompts)
    settled = tuple(feed.settle(point) for point in points)
    longest = max(settled, key=lambda point: point.num_prompts or 0)
    # A trace, which may be long, is not read again.
    looked = feed if longest.trace else RowFeed(opened, spec.workload.oversample)
    first = next(looked.take(longest, "check"), None)
    return ReadyData(feed, settled, looked.info(), first)


class _Reached(NamedTuple):
    """Servers that answered."""

    spec: RunSpec  # with the address of a server that was started
    target: Target
    server: ServerInfo
    model: str
    notes: tuple[str, ...]


def _reach(spec: RunSpec, stop: StopSignal, launched: Launched | None) -> _Reached:
    """Ask every server what it serves, and whether it does what the run will ask of it between load points.

    Raises:
        UsageError, EndpointError, EngineError, InterruptedEarlyError: as ``prepare``.
    """
    told: tuple[str, ...] = ()
    if launched is not None:
        spec, told = launched.started(spec), launched.notes
    if not spec.endpoint.url:
        raise UsageError("the server of --launch is started by run and search alone", "give --url, too")
    spec, dialect, _ = settle(spec)  # a server without a chat template is spoken to in another dialect
    capability = dialect.capability
    clock, stopped = MonotonicClock(), lambda: stop.level > 0
    found = target_of(spec.endpoint, os.environ)
    asked = speaking(found.target, spec.endpoint, capability, spec.sampling.stream)
    target, server = find_servers(asked, clock, stopped, capability.lists_models)
    model = _model(spec, capability, server, target)
    for one in target.servers if spec.prefix.flush_cache else ():
        with closing(Caller(one, clock, stopped)) as caller:
            flush_cache(caller)
    return _Reached(spec, target, server, model, (*told, *found.notes))


def _server_tokenizer(reached: _Reached) -> Tokenizer:
    return open_server_tokenizer(Caller(reached.target, MonotonicClock()), reached.model)


def _model(spec: RunSpec, capability: Capability, server: ServerInfo, target: Target) -> str:
    """The model that the run is named after; the dialect's name where no request names one and no server does."""
    mix = list(model_weights(spec.workload.model_mix))
    if not mix:
        if not (capability.names_model or spec.endpoint.model or server.models):
            return capability.name
        return choose_model(spec.endpoint, server, target)
    check_mix(mix, server, target)
    return spec.endpoint.model or mix[0]


def open_data(spec: RunSpec) -> tuple[Dataset, Tokenizer]:
    """The data of a spec's first load point, and what counts its tokens; no server is asked.

    Raises:
        UsageError, DataError: what is wrong and what to do.
    """
    tokenizer = load_tokenizer(spec.workload.tokenizer)
    return open_dataset(spec, load_points(spec)[0], tokenizer), tokenizer


def shared(points: Sequence[LoadPoint], spec: RunSpec) -> list[tuple[LoadPoint, int]]:
    """Each load point with the number of our workers that will share it; none where other machines send the load."""
    if spec.cluster.nodes is not None:
        return []
    return [(point, resolve_workers(spec.load.workers, point, usable_cores())) for point in points]


def needed(spec: RunSpec, points: Sequence[LoadPoint], envelope: Envelope | None) -> Need | None:
    """How much of the envelope a plan needs; None without an envelope."""
    return (
        None
        if envelope is None or spec.cluster.nodes is not None
        else largest(envelope, demand(shared(points, spec), spec))
    )
