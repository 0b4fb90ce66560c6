"""What the probes of a search say together: where the largest good load lies, how surely, and which limit sets it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.capacity import Probe
from inferometer.metrics.latency import Floats
from inferometer.spec import derive_seed
from inferometer.tuner.crossing import Crossing, Sample, crossing

_SATURATED_ERROR = 0.15  # of the margin -1 that a latency has where the server is just full
_BEYOND_DOUBT = 3.5  # standard errors
_NEARBY = 0.2  # relative distance of loads whose errors are alike
_BESIDE = 0.9  # a bracket is taken to be wrong by at most so much


class Bracket(NamedTuple):
    """The largest load without a sign of trouble below the smallest that failed; None where there is none."""

    good: float | None
    failed: float | None


class Estimate(NamedTuple):
    """Where the largest good load lies.

    Attributes:
        load: the estimate.
        low: 95 % interval.
        limited_by: the limit that is crossed first, and the share of draws in which it is.
        excess: how many times as far as chance explains the probes lie off a smooth curve.
    """

    load: float
    low: float
    high: float
    limited_by: str
    share: float
    excess: float

    @property
    def precision(self) -> float:
        """Half of the interval as a part of the load."""
        return (self.high - self.low) / 2.0 / self.load


def bracket_of(probes: Iterable[Probe]) -> Bracket:
    """Between which loads the limit was seen."""
    listed = [probe for probe in probes if probe.outcome != "client"]
    failed = min((probe.load for probe in listed if probe.failed), default=None)
    good = [probe.load for probe in listed if not probe.failed and (failed is None or probe.load < failed)]
    return Bracket(max(good, default=None), failed)


def carried_per_s(probes: Iterable[Probe]) -> float | None:
    """What the server carried at most, from load points that were too much for it; None where there were none."""
    return max((probe.carried_per_s for probe in probes if probe.carried_per_s is not None), default=None)


def estimate_of(probes: Sequence[Probe], seed: int) -> Estimate | None:
    """The crossing of each limit, and the smallest of them; None while too little is known."""
    failed = bracket_of(probes).failed
    if failed is None or all(probe.failed or probe.outcome == "client" for probe in probes):
        return None
    bounds = _bounds(probes, failed)
    slos = list(dict.fromkeys(reading.slo for probe in probes for reading in probe.readings))
    found: dict[str, Crossing] = {}
    for number, slo in enumerate(slos):
        one = crossing(_samples(probes, slo), bounds, derive_seed(seed, f"crossing {number}"))
        if one is not None and one.load < bounds[1]:
            found[slo] = one
    if not found:
        return None
    first = min(found, key=lambda slo: found[slo].load)
    draws: Floats = np.stack([one.draws for one in found.values()])
    low, high = np.percentile(draws.min(0), (2.5, 97.5))
    share = float((draws.argmin(0) == list(found).index(first)).mean())
    return Estimate(found[first].load, float(low), float(high), first, share, found[first].excess)


def _bounds(probes: Sequence[Probe], failed: float) -> tuple[float, float]:
    """Between which loads the crossing must lie. A load that failed may have been good, if chance would have it."""
    near = [probe.load for probe in probes if probe.outcome == "not met" and probe.enough]
    tops = [max(near) / _BESIDE if near else failed / _BESIDE]
    tops += [probe.load for probe in probes if probe.outcome == "overload"]
    tops += [probe.load / _BESIDE for probe in _failed_beyond_doubt(probes)]
    carried = carried_per_s(probes)
    tops += [] if carried is None else [carried]
    lowest = min(probe.load for probe in probes)
    return min(lowest, failed * _BESIDE) / 4.0, min(tops)


def _failed_beyond_doubt(probes: Sequence[Probe]) -> list[Probe]:
    """Load points that failed beyond doubt: no limit is crossed well above them."""
    return [
        probe
        for probe in probes
        if any(
            reading.enough and reading.margin is not None and reading.margin < -_BEYOND_DOUBT * reading.error
            for reading in probe.readings
        )
    ]


def _samples(probes: Sequence[Probe], slo: str) -> list[Sample]:
    """The readings of one limit; a server that was outrun shows where a latency grows beyond bounds."""
    samples, requests = [], []
    for probe in probes:
        reading = next((each for each in probe.readings if each.slo == slo), None)
        if reading is None or reading.margin is None:
            continue
        if probe.outcome != "overload":
            samples.append(Sample(probe.load, reading.margin, max(reading.error, 1e-3)))
            requests.append(probe.requests if reading.enough else 0)
        elif probe.carried_per_s is not None and reading.excursions is not None:
            samples.append(Sample(probe.carried_per_s, -1.0, _SATURATED_ERROR))
            requests.append(0)
    return _smoothed(samples, requests)


def _smoothed(samples: Sequence[Sample], requests: Sequence[int]) -> list[Sample]:
    """Errors per root of requests averaged over loads nearby.

    A load point that was fast by chance has a small error by the same chance: weighted by it, the fast ones would win.
    """
    known = [
        (np.log(sample.load), np.log(sample.error * np.sqrt(count)))
        for sample, count in zip(samples, requests, strict=True)
        if count
    ]
    if not known:
        return list(samples)
    loads, errors = np.array(known).T
    smoothed = []
    for sample, count in zip(samples, requests, strict=True):
        if not count:
            smoothed.append(sample)
            continue
        weight = np.exp(-np.abs(loads - np.log(sample.load)) / _NEARBY)
        error = float(np.exp((weight * errors).sum() / weight.sum()) / np.sqrt(count))
        smoothed.append(sample._replace(error=error))
    return smoothed
