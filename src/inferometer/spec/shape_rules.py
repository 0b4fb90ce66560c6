"""Rules of load shapes: what contradicts itself, with a next step each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from inferometer.spec.data import TRACES
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem
from inferometer.spec.shape import RAMP_STEPS

MOST_STEPS = 10_000
MOST_TIMES = 1000  # what was asked for, at the beginning of a ramp


def shape_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in ``--ramp``, ``--spike`` and their kin."""
    yield from _alone(spec)
    yield from _without_curve(spec)
    yield from _ramp(spec)
    yield from _begin(spec)
    yield from _size(spec)
    yield from _spike(spec)
    yield from _burst(spec)
    yield from _waves(spec)
    yield from _ends(spec)
    yield from _given_up(spec)


def _open(spec: RunSpec) -> bool:
    """Whether a finite rate decides when requests are sent."""
    return any(math.isfinite(rate) for rate in spec.load.request_rate or ())


def _at_once(spec: RunSpec) -> bool:
    """Whether a load point sends all its requests at once."""
    rates = spec.load.request_rate or ()
    return any(math.isinf(rate) for rate in rates) and spec.load.max_concurrency is None


def _replayed(spec: RunSpec) -> bool:
    asked = spec.load.max_concurrency, spec.load.request_rate
    return spec.workload.dataset in TRACES and asked == (None, None)


def _alone(spec: RunSpec) -> Iterator[Problem]:
    """Parts of a shape whose other parts are missing."""
    shape = spec.shape
    if shape.ramp_from is not None and not shape.ramped:
        yield Problem(
            "--ramp-from says where a ramp begins, and none is asked for", "add --ramp linear or --climb N"
        )
    if shape.ramp_steps is not None and shape.ramp != "step":
        yield Problem(f"--ramp-steps {shape.ramp_steps} is for --ramp step", "add --ramp step, or drop it")
    if shape.climb_every_s is not None and shape.climb is None:
        yield Problem("--climb-every is the time between steps of --climb, which is missing", "add --climb N")
    if shape.climb is not None and (shape.ramp is not None or shape.ramp_time_s is not None):
        yield Problem(
            "--climb is a ramp of its own, and --ramp or --ramp-time asks for another", "keep one of them"
        )
    parts = {"--spike": shape.spike, "--spike-at": shape.spike_at_s, "--spike-time": shape.spike_time_s}
    missing = [flag for flag, value in parts.items() if value is None]
    if 0 < len(missing) < len(parts):
        given = next(flag for flag, value in parts.items() if value is not None)
        verb = "are" if len(missing) > 1 else "is"
        yield Problem(
            f"{given} is one part of a spike, and {' and '.join(missing)} {verb} missing",
            "write --spike 3 --spike-at 60s --spike-time 10s",
        )
    if shape.cancel_within_s is not None and not shape.cancel_share:
        yield Problem(
            "--cancel-within says when requests are given up, and none are to be", "add --cancel-share 0.1"
        )


def _without_curve(spec: RunSpec) -> Iterator[Problem]:
    """Loads that have no rate and no number of permits that could change."""
    shape = spec.shape
    asked = {"--ramp": shape.ramped, "--spike": shape.spike is not None, "--burst": shape.burst > 1}
    flags = [flag for flag, wanted in asked.items() if wanted]
    if not flags:
        return
    if _replayed(spec):
        yield Problem(
            f"{flags[0]} shapes arrivals, and --dataset {spec.workload.dataset} brings its own",
            "give --request-rate R or --max-concurrency N, which use the trace's lengths and order only",
        )
    elif _at_once(spec):
        yield Problem(
            f"{flags[0]} has no meaning where all requests are sent at once", "give a finite --request-rate"
        )
    elif _open(spec) and any(math.isinf(rate) for rate in spec.load.request_rate or ()):
        yield Problem(
            f"{flags[0]} beside --request-rate inf would shape a rate at one load point and permits at another",
            "measure them in runs of their own",
        )


def _ramp(spec: RunSpec) -> Iterator[Problem]:
    shape, limit_s = spec.shape, spec.load.duration_s
    if not shape.ramped or shape.climb is not None:
        return
    permits = not (_open(spec) or _replayed(spec) or _at_once(spec))
    if permits and shape.ramp_time_s is None and limit_s is None:
        yield Problem(
            "a ramp of concurrency has no length: how long requests take is the server's doing",
            "give --ramp-time 60s, or --duration",
        )
    if shape.ramp_time_s is not None and limit_s is not None and shape.ramp_time_s > limit_s:
        yield Problem(
            f"--ramp-time {shape.ramp_time_s:g}s is longer than --duration {limit_s:g}s",
            "give a longer --duration, or leave out --ramp-time: then the ramp takes all of it",
        )
    if shape.ramp == "step" and (shape.ramp_steps or RAMP_STEPS) == 1:
        yield Problem("--ramp-steps 1 is no ramp", "give 2 or more")


def _begin(spec: RunSpec) -> Iterator[Problem]:
    """Where a ramp begins has to be possible."""
    shape, begin = spec.shape, spec.shape.ramp_from
    if not _open(spec):
        if begin is not None and begin < 1:
            yield Problem(f"--ramp-from {begin:g} leaves nothing in flight to begin with", "give 1 or more")
        if shape.climb is not None and shape.climb < 1:
            yield Problem(f"--climb {shape.climb:g} adds less than one request in flight", "give 1 or more")
        return
    timed = shape.ramp_time_s is not None or spec.load.duration_s is not None
    if begin == 0 and (shape.ramp in ("exponential", "step") or shape.climb is not None or not timed):
        yield Problem(
            "--ramp-from 0 never gets anywhere: only a linear ramp with a length in time can begin at a rate of 0",
            "give a rate above 0, or --ramp linear --ramp-time 60s",
        )
    lowest = min(rate for rate in spec.load.request_rate or () if math.isfinite(rate))
    if shape.climb is not None and begin is not None and begin > lowest:
        yield Problem(f"--climb begins at {begin:g}, above --request-rate {lowest:g}", "lower --ramp-from")


def _size(spec: RunSpec) -> Iterator[Problem]:
    """A curve is made before anything is sent, so it cannot have any number of pieces, nor of permits."""
    shape, load = spec.shape, spec.load
    asked = [float(each) for each in load.request_rate or load.max_concurrency or () if math.isfinite(each)]
    if not asked:
        return
    if shape.ramp_from is not None and shape.ramp_from > MOST_TIMES * max(asked):
        yield Problem(
            f"--ramp-from {shape.ramp_from:g} is more than {MOST_TIMES:,} times what is asked for, {max(asked):g}",
            "begin lower",
        )
    steps = (max(asked) - (shape.ramp_from or 0.0)) / shape.climb if shape.climb is not None else 0.0
    steps = max(steps, float(shape.ramp_steps or 0))
    if steps > MOST_STEPS:
        flag = f"--climb {shape.climb:g}" if shape.climb is not None else f"--ramp-steps {shape.ramp_steps}"
        yield Problem(
            f"{flag} makes {steps:,.0f} steps, and {MOST_STEPS:,} are the most",
            "take larger steps, or --ramp linear, which has none",
        )


def _spike(spec: RunSpec) -> Iterator[Problem]:
    shape, limit_s = spec.shape, spec.load.duration_s
    if shape.spike is None or shape.spike_at_s is None or shape.spike_time_s is None:
        return
    end_s = shape.spike_at_s + shape.spike_time_s
    if limit_s is not None and end_s >= limit_s:
        yield Problem(
            f"the spike ends after {end_s:g} s, and --duration {limit_s:g}s leaves no time to see the recovery",
            f"give --duration {end_s + shape.spike_time_s:g}s or more",
        )
    if shape.ramped and shape.climb is None and (shape.ramp_time_s or math.inf) > shape.spike_at_s:
        yield Problem(
            "the spike begins before the ramp has ended, so nothing could be compared with it",
            "give a --ramp-time that is shorter than --spike-at",
        )


def _burst(spec: RunSpec) -> Iterator[Problem]:
    if spec.shape.burst > 1 and not _open(spec) and not _replayed(spec) and not _at_once(spec):
        yield Problem(
            f"--burst {spec.shape.burst} makes requests arrive together, and without a finite --request-rate each is "
            "sent when one before it has ended",
            "give --request-rate R, or --waves to begin all requests of a round together",
        )


def _waves(spec: RunSpec) -> Iterator[Problem]:
    shape, workers = spec.shape, spec.load.workers
    if not shape.waves:
        return
    if _open(spec) or _at_once(spec) or _replayed(spec):
        yield Problem(
            "--waves begins a round when the round before has ended, and here arrivals have times of their own",
            "give --max-concurrency N without --request-rate",
        )
    if shape.ramped or shape.spike is not None:
        yield Problem(
            "--waves keeps its rounds equal, and a ramp or a spike would change them", "keep one of them"
        )
    if workers != "auto" and workers > 1:
        yield Problem(
            f"--workers {workers}: no worker knows when the others' part of a round has ended, so --waves takes one",
            "drop --workers",
        )


def _ends(spec: RunSpec) -> Iterator[Problem]:
    shape = spec.shape
    stops = spec.load.duration_s is not None or shape.stop_on_errors is not None or shape.stop_on_saturation
    if shape.drain == "cut" and not stops:
        yield Problem(
            "--drain cut is for what is in flight when time is up, and there is no time limit",
            "add --duration 60s",
        )
    if not shape.stop_on_saturation:
        return
    if not _open(spec) and not _replayed(spec):
        yield Problem(
            "--stop-on-saturation looks for a server that falls behind the arrivals, and a closed loop waits for it",
            "give a finite --request-rate, or drop it",
        )
    elif spec.load.max_concurrency is not None:
        yield Problem(
            "--stop-on-saturation looks for requests that pile up, and --max-concurrency does not let them",
            "drop --max-concurrency",
        )


def _given_up(spec: RunSpec) -> Iterator[Problem]:
    shape = spec.shape
    if shape.cancel_share and shape.cancel_within_s is None and not spec.sampling.stream:
        yield Problem(
            "--cancel-share gives requests up after a part of the answer, and --no-stream has answers in one piece",
            "give --cancel-within 2s",
        )
