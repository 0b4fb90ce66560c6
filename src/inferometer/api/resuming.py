"""Go on with a run that ended early, or whose list has changed: what is finished stays, what is missing is measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.api import stored as runs
from inferometer.api.launched import Launched, as_the_engine_speaks
from inferometer.api.measuring import RunResult, carried_out, judged
from inferometer.api.preparing import prepare
from inferometer.client.dialects.asked import settle
from inferometer.client.probe import ServerInfo
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.resume import Past, stored_point, taken_up
from inferometer.loadgen.run import environment
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal
from inferometer.record.engine import EngineRecord
from inferometer.record.folder import read_meta, write_meta
from inferometer.record.lock import writing
from inferometer.record.store import stored_points
from inferometer.record.types import PointRecord, RunMeta
from inferometer.spec import LoadPoint, RunSpec, load_points, load_title, merge, public_dict, with_warmups
from inferometer.spec.stored import check_kind, check_secrets, differences, shown_value, stored_layer

INVALID = "invalid"
_SERVER = ("server", "max_model_len", "simulated")
# Of an engine. How many KV blocks fit depends on what else is in the device's memory, and differs from start to start.
_ENGINE = ("version", "max_num_seqs", "max_model_len", "kv_block_tokens")
_CLIENT = (
    "inferometer",
    "machine",
    "cpus",
)  # of the environment; the rest may change with an update of the system


@dataclass(frozen=True, slots=True)
class Resumption:
    """How to go on with a run.

    Attributes:
        redo: which finished load points to measure again: numbers ("3", "3,5", "3-5"), titles ("concurrency 16") or
            "invalid"; empty = all of them, None = none.
        force: go on although spec, server, data or client are not what they were.
    """

    redo: tuple[str, ...] | None = None
    force: bool = False


class Outline(NamedTuple):
    """What going on would do, told without asking the server and without changing the folder.

    Attributes:
        kept: load points that are there.
        missing: those that would be measured, with what became of them before, in words.
        left_out: those that are not measured, as the server fell behind at a lower rate.
        others: finished ones that the list does not have, which are kept too.
        changed: what is not as it was.
    """

    kept: tuple[LoadPoint, ...]
    missing: tuple[tuple[LoadPoint, str], ...]
    left_out: tuple[LoadPoint, ...]
    others: tuple[PointRecord, ...]
    changed: tuple[str, ...]


def resume(
    folder: Path,
    spec: RunSpec | None = None,
    how: Resumption | None = None,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Measure what a run lacks, into its own folder.

    Where nothing is lacking nothing is measured, and the result is that of the run.

    Args:
        folder: the run.
        spec: what to do; its list of load points may be another than the stored one. None = as stored, which holds no
            secret.
        how: what to measure again, and whether to go on in spite of differences.
        observer: told how far it is.
        stop: asked for, it ends the run early with what was measured.
        tell: told what is there already, in a sentence.

    Raises:
        UsageError: something is not as it was and ``force`` is not set, each thing named; or ``redo`` names nothing.
            Or it is that of a search.
        RunFolderError: no run, one that is still going on, or one that this version cannot read.
        InferometerError: as ``run``.
    """
    stop, observer, how = stop or StopSignal(), observer or NullObserver(), how or Resumption()
    check_kind(read_meta(folder).spec, folder.name, "run")
    with going_on(folder, spec, how) as (past, asked):
        past.ask(load_points(asked))
        past.redo = chosen(past, how.redo)
        if past.missing:
            with Launched(asked, observer, stop, folder.parent) as launched:
                plan = plan_on(past, asked, how, stop, launched)
                tell(told(past))
                todo = with_warmups(plan.spec, past.missing)
                carried_out(replace(plan, points=todo), observer, stop, past=past)
        else:
            _take_up(past, asked)
            tell(told(past))
    return judged(folder, stop)


@contextmanager
def going_on(folder: Path, spec: RunSpec | None, how: Resumption) -> Iterator[tuple[Past, RunSpec]]:
    """Hold a run folder, closed if it was not, with what it has and the settled spec to go on with.

    Raises:
        UsageError, RunFolderError: as ``resume``, but for what only the server knows.
    """
    read_meta(folder)
    with writing(folder, runs.KILLED_WORKER_S) as lock:
        meta = runs.close_killed(folder)
        spec = settle(_spec(meta, spec)).spec
        changed = (*differences(meta.spec, spec), *_client_differences(meta))
        _refuse(meta, changed, how)
        yield Past(folder, lock, meta, stored_points(folder, meta), changed), spec


def plan_on(past: Past, spec: RunSpec, how: Resumption, stop: StopSignal, launched: Launched) -> RunPlan:
    """The plan of what comes next in a run that goes on, its server and its data held against those of before.

    A server that the run started itself is started again.

    Raises:
        UsageError, InferometerError: as ``resume``.
    """
    plan = prepare(spec, stop, launched)
    if stop.level:
        raise InterruptedEarlyError("interrupted before anything was measured; the run is as it was")
    past.changed += (
        *_server_differences(past.meta, plan),
        *_engine_differences(past.meta.engine, plan.engine),
        *_data_differences(past.meta, plan),
    )
    _refuse(past.meta, past.changed, how)
    if past.asked:
        past.ask(plan.points)  # those of a trace know by now how many requests they have
    return replace(plan, numbered=past.highest)


def outline(folder: Path, spec: RunSpec, how: Resumption) -> Outline:
    """What ``resume`` would do; of a search, what it has: what is missing follows from what it finds.

    Raises:
        UsageError, RunFolderError: as ``resume``, but for what only the server knows.
    """
    meta = read_meta(folder)
    spec = settle(_spec(meta, spec)).spec
    verb = "run" if spec.search.target is None else "search"
    check_kind(meta.spec, meta.run_id, verb)
    found = [*differences(meta.spec, spec), *_client_differences(meta)]
    past = Past(folder, -1, meta, stored_points(folder, meta))
    past.ask(load_points(spec) if verb == "run" else ())
    past.redo = chosen(past, how.redo)
    missing = tuple((point, _before(past, point)) for point in past.missing)
    kept = tuple(point for point in past.asked if past.finished(point.index) is not None)
    return Outline(kept, missing, past.left_out, past.others, tuple(found))


def told(past: Past) -> str:
    """How much is there, in a sentence."""
    left_out, total = past.left_out, len(past.asked)
    there = total - len(past.missing) - len(left_out)
    points = f"load point{'s' if total != 1 else ''}"
    verb = "is" if 1 in (there, total) else "are"
    text = f"{there} of {total} {points} {verb} there already"
    if not past.missing:
        text += ": nothing is left to measure"
    if left_out:
        titles = ", ".join(load_title(point.to_dict()) for point in left_out)
        text += f"; left out, as the server fell behind at a lower rate: {titles}"
    if past.others:
        titles = ", ".join(load_title(point.load) for point in past.others)
        text += f"; kept beside the list: {titles}"
    return text


def _spec(meta: RunMeta, spec: RunSpec | None) -> RunSpec:
    """The spec to go on with, its secrets there."""
    spec = merge([stored_layer(meta.spec, meta.run_id)]).spec if spec is None else spec
    check_secrets(meta.spec, spec)
    return as_the_engine_speaks(spec)


def _take_up(past: Past, spec: RunSpec) -> None:
    """Nothing is missing: the run is complete, and how it is asked for and shown may have changed."""
    as_asked = past.meta.spec if past.changed else public_dict(spec)
    notes = past.meta.notes if past.meta.state == "complete" else []
    now = msgspec.structs.replace(
        past.meta, spec=as_asked, points=[], verdict=None, notes=notes, state="complete"
    )
    write_meta(past.folder, taken_up(past, now))


def _refuse(meta: RunMeta, found: Sequence[str], how: Resumption) -> None:
    if found and not how.force:
        raise UsageError(
            f"run {meta.run_id} was measured otherwise:\n  " + "\n  ".join(found),
            "measure as before, start a new run (without --resume), or accept the differences with --force",
        )


def _server_differences(meta: RunMeta, plan: RunPlan) -> list[str]:
    then: dict[str, Any] = msgspec.to_builtins(msgspec.convert(meta.server, ServerInfo))
    now: dict[str, Any] = msgspec.to_builtins(plan.server)
    found = [] if meta.model == plan.model else [f"model: {meta.model} -> {plan.model}"]
    for place, (before, after) in enumerate(zip(_each(then), _each(now), strict=False)):
        name = "server" if place == 0 else f"server {place + 1}"
        models = [sorted(said["models"]) for said in (before, after)]
        if models[0] != models[1]:
            found.append(f"models of {name}: {' -> '.join(', '.join(each) or 'none' for each in models)}")
        found += _changes({"server": f"{name} header"}, _SERVER, before, after, prefix=name)
    return found


def _engine_differences(then: EngineRecord | None, now: EngineRecord | None) -> list[str]:
    """How the server that was started differs from the one that the run started before, by its own word."""
    if then is None or now is None:
        return []
    before, after = ({"version": one.version, **one.facts} for one in (then, now))
    return _changes({}, [name for name in _ENGINE if name in before], before, after, prefix=now.name)


def _each(server: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [server, *server["others"]]


def _changes(
    labels: Mapping[str, str],
    names: Sequence[str],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    prefix: str,
) -> list[str]:
    return [
        f"{labels.get(name, f'{prefix} {name}')}: {shown_value(before.get(name))} -> {shown_value(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _data_differences(meta: RunMeta, plan: RunPlan) -> list[str]:
    """The content of the data set file, where it is the same file by name."""
    hashes = [str(point.dataset["sha256"]) for point in meta.points if point.dataset.get("sha256")]
    now = None if plan.data is None else plan.data.sha256
    if not hashes or now is None or hashes[-1] == now:
        return []
    return [
        f"content of {plan.data.path if plan.data else 'the data'}: sha256 {hashes[-1][:12]} -> {now[:12]}"
    ]


def _client_differences(meta: RunMeta) -> list[str]:
    return _changes(
        {"inferometer": "inferometer version"}, _CLIENT, meta.environment, environment(), prefix="client"
    )


def _invalid(folder: Path) -> set[int]:
    """Numbers of the load points that are INVALID by themselves."""
    summary = runs.report(folder)
    return {point.index for point in summary.points if point.verdict.word == "INVALID"}


def chosen(past: Past, redo: Sequence[str] | None) -> frozenset[int]:
    """The numbers of the load points that ``--redo`` names: of the list, or of the run where there is no list.

    Raises:
        UsageError: a word names none of them.
    """
    stored = [stored_point(point.load) for point in past.stored.points if point.kind == "measure"]
    known = {point.index: point for point in past.asked or stored}
    if redo is None:
        return frozenset()
    numbers: set[int] = set() if redo else set(known)
    for word in redo:
        found = _invalid(past.folder) & set(known) if word == INVALID else _named(word, known)
        if not found and word != INVALID:
            listed = "".join(f"\n  {index}  {load_title(point.to_dict())}" for index, point in known.items())
            raise UsageError(
                f"--redo {word}: no such load point; there are{listed}", "give numbers, titles, or invalid"
            )
        numbers |= found
    return frozenset(numbers)


def _named(word: str, asked: Mapping[int, LoadPoint]) -> set[int]:
    if re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", word):
        spans = [tuple(int(number) for number in span.split("-")) for span in word.split(",")]
        numbers = {number for span in spans for number in range(span[0], span[-1] + 1)}
        return numbers if numbers <= set(asked) else set()
    loads = {index: point.to_dict() for index, point in asked.items()}
    titles = {index: {load_title(load), load_title(load, lengths=True)} for index, load in loads.items()}
    return {
        index
        for index, names in titles.items()
        if word in names | {f"{name}, repeat {loads[index]['repeat']}" for name in names}
    }


def _before(past: Past, point: LoadPoint) -> str:
    """What became of a load point that is to be measured, in words."""
    found = next((each for each in past.stored.points if each.index == point.index), None)
    if found is None:
        return "not in the run so far"
    if point.index in past.redo or found.redo:
        return "measured before, again by --redo"
    if found.epoch_ns is None:
        return "never begun"
    if found.stop_reason in ("complete", "duration", "errors", "saturated"):
        return "measured before, none of its requests succeeded"
    return f"cut short: {found.stop_reason or 'killed'}"
