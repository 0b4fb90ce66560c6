"""What a calibration is made from: load points as they were measured, each on one instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.record.tables import PointTable
from inferometer.simulator.calibration.replay import Floats, Load, Times
from inferometer.simulator.calibration.requests import RunTimes
from inferometer.simulator.calibration.runs import run_times
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.trust import Where, shown
from inferometer.spec import load_title

_NOT_SERVED: Final = ("http_error", "connect_error")
_CUT_OFF: Final = ("truncated", "timeout", "cancelled", "aborted", "stream_error")
_NOT_PLAIN: Final = ("ramp", "spike", "waves", "sessions", "trace", "cancel_share")
_AT_ONCE_S: Final = 2e-3
_TELLING: Final = 0.01
"""From this share of the requests on a peculiarity is told."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One load point as one instance had it.

    Attributes:
        name: for people: run and load point.
        configuration: what was asked for; points that agree in it are repeats of each other.
        run: the load and its times.
        used: by request, whether its times count; the others are load only.
        limits: of the engine then.
        warnings: what a replay of it leaves out.
    """

    name: str
    configuration: str
    run: RunTimes
    used: NDArray[np.bool_]
    limits: EngineLimits
    warnings: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Requests whose times count."""
        return int(self.used.sum())


def observed_of(table: PointTable, name: str, limits: EngineLimits, most: int) -> list[Observed]:
    """A measured load point, split by the servers that took turns in it, since each is an instance of its own.

    Requests that were refused, or never connected, were no load for the engine. Of a long load point the first
    requests count, and load that arrived after the last of them had ended is left out.

    Args:
        table: the load point.
        name: of it.
        limits: of the engine.
        most: requests that count, of all its servers.

    Raises:
        UsageError: no request can be replayed.
    """
    served = ~np.isin(table.text("status"), _NOT_SERVED)
    servers = table.number("server")
    found = []
    groups = np.unique(servers[served]) if served.any() else servers[:1]
    for server in groups:
        part = _rows(table, served & (servers == server))
        run = run_times(part, cached=limits.scheduler == "chunked")
        used = np.isfinite(run.times.first_s) & np.isfinite(run.times.last_s)
        run, used = _first(run, used, max(1, most // len(groups)))
        if len(groups) == 1:
            run = in_closed_loop(run, _clients(table.point.load))
        found.append(
            Observed(
                name=name if len(groups) == 1 else f"{name}, server {server:.0f}",
                configuration=load_title(table.point.load, lengths=True),
                run=run,
                used=used,
                limits=limits,
                warnings=tuple(f"{name}: {text}" for text in _peculiarities(part, limits)),
            )
        )
    return [each for each in found if each.requests] or _refuse(name)


def _refuse(name: str) -> list[Observed]:
    raise UsageError(
        f"{name}: no request has times of its first and last token",
        "calibrate from a run with streamed answers that succeeded",
    )


def _rows(table: PointTable, chosen: NDArray[np.bool_]) -> PointTable:
    requests = {column: values[chosen] for column, values in table.requests.items()}
    return PointTable(point=table.point, requests=requests, chunks=table.chunks)


def _first(run: RunTimes, used: NDArray[np.bool_], most: int) -> tuple[RunTimes, NDArray[np.bool_]]:
    """The first ``most`` of the requests that count, with what arrived until the last of them had ended."""
    if used.sum() <= most:
        return run, used
    counted = used & (np.cumsum(used) <= most)
    kept = int(np.searchsorted(run.times.arrival_s, run.times.last_s[counted].max(), side="right"))
    times = Times(run.times.arrival_s[:kept], run.times.first_s[:kept], run.times.last_s[:kept])
    load = Load(jobs=run.load.jobs[:kept], concurrency=run.load.concurrency)
    return RunTimes(load, times), counted[:kept]


def _clients(load: Mapping[str, Any]) -> int | None:
    """Clients of a load point that is a closed loop and nothing else."""
    if any(load.get(name) for name in _NOT_PLAIN) or load.get("request_rate") is not None:
        return None
    clients = load.get("max_concurrency")
    return clients if isinstance(clients, int) else None


def in_closed_loop(run: RunTimes, clients: int | None) -> RunTimes:
    """The run with requests that wait for answers, as they did, where its times show that they did.

    A client that waited sends at a step's end, so how long its request waits for the next step is no accident. Replayed
    at the times of the run, a model whose steps are off by a thousandth would soon meet it anywhere in a step.
    """
    count = len(run.load.jobs)
    ends = np.sort(run.times.last_s)
    if clients is None or count <= clients or not np.isfinite(ends).all():
        return run
    lag = run.times.arrival_s[clients:] - ends[: count - clients]
    if not -_AT_ONCE_S <= np.median(lag) <= _AT_ONCE_S:
        return run
    jobs = [
        msgspec.structs.replace(job, arrival_ns=job.arrival_ns if place < clients else 0)
        for place, job in enumerate(run.load.jobs)
    ]
    return RunTimes(Load(jobs=tuple(jobs), concurrency=clients), run.times)


def _peculiarities(table: PointTable, limits: EngineLimits) -> list[str]:
    """What happened in a load point that a replay does not know of."""
    count = len(table.text("status"))
    inputs = np.nansum(table.number("input_tokens_server"))
    cached = np.nansum(_column(table.requests, "cached_tokens", count))
    drafted = np.nansum(_column(table.requests, "accepted_draft_tokens", count))
    cut = np.isin(table.text("status"), _CUT_OFF).sum()
    lines = []
    if inputs > 0 and cached > _TELLING * inputs:
        replayed = (
            "and are replayed as found there, though each request holds them by itself"
            if limits.scheduler == "chunked"
            else "but are replayed as computed"
        )
        lines.append(
            f"{cached / inputs:.0%} of the prompt tokens came from a prefix cache, {replayed}: "
            "prompts that share nothing (or --flush-cache) calibrate better"
        )
    if drafted > 0:
        lines.append("tokens came from drafts: the calibrated decode is that with this load's acceptance")
    if cut > _TELLING * count:
        lines.append(f"{cut} of {count} answers were cut off, and are replayed whole")
    return lines


def _column(
    requests: Mapping[str, NDArray[np.float64] | NDArray[np.object_]], name: str, count: int
) -> Floats:
    found: Floats = np.asarray(requests.get(name, np.full(count, np.nan)), dtype=np.float64)
    return found


def shown_of(seen: Observed) -> tuple[Where, ...]:
    """What the load point has shown of the engine: the part of the trust region that it stands for."""
    chosen = np.isfinite(seen.run.times.first_s) & np.isfinite(seen.run.times.last_s)
    tokens = seen.run.load.inputs()[chosen], seen.run.load.outputs()[chosen]
    times = seen.run.times.first_s[chosen], seen.run.times.last_s[chosen]
    return shown(tokens, times, seen.limits.max_num_batched_tokens)
