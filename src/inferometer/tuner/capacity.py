"""The largest load that meets every limit: which load to measure next, and what was found.

Pure: given the same probes it decides the same, so that a search can be resumed, and its result reckoned again from
what was recorded. First scouts, short load points at loads that grow geometrically, find where trouble begins. Then
load points with as many requests as the percentiles take are placed where the limit should lie, until its interval is
narrow enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inferometer.metrics.capacity import Capacity, Probe, Status
from inferometer.tuner.estimate import Estimate, bracket_of, carried_per_s, estimate_of

FEWEST_AT_LIMIT = 4  # load points of full length before a search may end
_GROWTH_FAR, _GROWTH = 4.0, 2.0
_FAR = 1.0  # margin
SCOUT_REQUESTS = 32
_TURNS = 4  # times that what is in flight is replaced in a load point
MOST_TIMES_NEEDS = 16.0
_MOST_IN_FLIGHT = 16_384
_MOST_RATE = 1e6
_EXCURSIONS = 10
_MOST_EXCESS = 2.0
_FEWEST_TO_DOUBT = 4
# Shares of the estimate at which one looks whether less load is good, too, and more is not; from where to where that
# was done by another load point.
_BESIDE = ((0.65, 0.45, 0.8), (1.3, 1.2, 1.7))
_SURER = 0.8  # of the precision asked for, as the width of an interval is itself known to about a fifth
_SPARE = 1.15  # more requests than the precision seems to need
_SPREAD = (0.0, -1.0, 0.5, -0.5)  # of load points around the estimate, in turn


class Ask(NamedTuple):
    """The next load point: its load, which measurement of that load, and how many requests, or sessions."""

    load: float
    repeat: int
    requests: int


class Stop(NamedTuple):
    """Nothing more is to be measured, and why."""

    status: Status
    why: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a search is given.

    Attributes:
        variable: "request-rate", "session-rate" or "max-concurrency".
        start: the first load.
        lowest: the smallest load that is tried.
        highest: the largest; None = no limit but a technical one.
        needs: requests that the limits take at least.
        fixed: requests of every load point, where the user said so, or time bounds them.
        max_probes: load points in all.
        budget_s: time of the load points together; None = no limit.
        precision: half of the 95 % interval, as a part of the load, at which the search ends.
        repeats: measurements of each load at the limit.
        seed: of what is drawn for intervals.
    """

    variable: str
    start: float
    lowest: float
    highest: float | None
    needs: int
    fixed: int | None
    max_probes: int
    budget_s: float | None
    precision: float
    repeats: int
    seed: int

    @property
    def closed(self) -> bool:
        """Whether loads are whole numbers in flight."""
        return self.variable == "max-concurrency"

    @property
    def top(self) -> float:
        """The largest load that may be tried."""
        if self.highest is not None:
            return self.highest
        return float(_MOST_IN_FLIGHT) if self.closed else _MOST_RATE


def next_step(probes: Sequence[Probe], settings: Settings) -> Ask | Stop:
    """The next load point, or the end, given all probes so far in order."""
    if len(probes) >= settings.max_probes:
        return Stop("bracketed", f"the budget of {settings.max_probes} load points is spent")
    again = _again(probes, settings)
    if again is not None:
        return again
    bracket = bracket_of(probes)
    top = min([settings.top, *_beyond_client(probes)])
    if bracket.failed is None:
        return _upward(probes, settings, top)
    if all(probe.failed for probe in probes if probe.outcome != "client"):
        return _downward(probes, settings, bracket.failed)
    return _near(probes, settings)


def conclude(probes: Sequence[Probe], settings: Settings, stop: Stop | None = None) -> Capacity:
    """What was found by probes in order; ``stop`` is why no more were measured, None = the search was broken off."""
    stop = stop or Stop("unfinished", "the search was ended before it was sure")
    estimate = estimate_of(probes, settings.seed)
    stop = _doubted(probes, estimate, stop)
    load, low, high = bracket_of(probes).good, None, None
    if estimate is not None and stop.status != "unsure":
        load, low, high = estimate.load, estimate.low, estimate.high
    if settings.closed and load is not None:
        load = math.floor(load + 1e-9)
        low = None if low is None else math.floor(low + 1e-9)
        high = None if high is None else math.floor(high + 1e-9)
    limited = _limited_by(probes) if estimate is None else estimate.limited_by
    return Capacity(
        variable=settings.variable,
        status=stop.status,
        load=load,
        low=low,
        high=high,
        limited_by=limited,
        limited_share=None if estimate is None else estimate.share,
        carried_per_s=carried_per_s(probes),
        why=stop.why,
        probes=list(probes),
    )


def _doubted(probes: Sequence[Probe], estimate: Estimate | None, stop: Stop) -> Stop:
    """A result that the probes do not bear is called unsure, however narrow its interval."""
    if stop.status not in ("found", "bracketed"):
        return stop
    judged = sum(1 for probe in probes if probe.enough)
    if estimate is None and judged >= _FEWEST_TO_DOUBT:
        return Stop("unsure", f"over {judged} load points the figures do not get worse as the load grows")
    if estimate is not None and estimate.excess > _MOST_EXCESS:
        return Stop(
            "unsure",
            f"load points differ {estimate.excess:.1f} times as much as chance inside each of them explains: "
            "the service is not the same from one to the next, or its curve is not smooth",
        )
    return stop


def _limited_by(probes: Sequence[Probe]) -> str | None:
    """The limit that the smallest failing load failed by most."""
    failed = min((probe for probe in probes if probe.failed), key=lambda probe: probe.load, default=None)
    known = [] if failed is None else [each for each in failed.readings if each.margin is not None]
    return min(known, key=lambda each: each.margin or 0.0).slo if known else None


def _again(probes: Sequence[Probe], settings: Settings) -> Ask | Stop | None:
    """A load that has to be measured again before anything else: what contradicts, what the client spoilt."""
    if probes and probes[-1].outcome == "client" and _times(probes, probes[-1].load) < 2:
        return _ask(probes, settings, probes[-1].load, probes[-1].arrivals)
    pair = contradiction(probes)
    if pair is not None:
        for probe in pair:
            if _times(probes, probe.load) < 2:
                return _ask(probes, settings, probe.load, probe.arrivals)
        low, high = pair
        return Stop(
            "unsure",
            f"the limits are met at {high.load:g} (measured {_times(probes, high.load)} times), but not at "
            f"{low.load:g} (measured {_times(probes, low.load)} times): more load does not simply make it worse",
        )
    return None


def _beyond_client(probes: Sequence[Probe]) -> list[float]:
    """Loads that the client could not make, however often it tried."""
    loads = {probe.load for probe in probes if probe.outcome == "client"}
    made = {probe.load for probe in probes if probe.outcome != "client"}
    return sorted(loads - made)


def contradiction(probes: Sequence[Probe]) -> tuple[Probe, Probe] | None:
    """A load at which every measurement fails below one at which every measurement is good, both beyond chance."""
    by_load: dict[float, list[Probe]] = {}
    for probe in probes:
        if probe.outcome != "client":
            by_load.setdefault(probe.load, []).append(probe)
    good = [each[0] for each in by_load.values() if all(probe.outcome == "met" for probe in each)]
    failed = [each[0] for each in by_load.values() if all(probe.failed for probe in each)]
    pairs = [(low, high) for low in failed for high in good if low.load < high.load]
    return max(pairs, key=lambda pair: pair[1].load / pair[0].load, default=None)


def _upward(probes: Sequence[Probe], settings: Settings, top: float) -> Ask | Stop:
    if not probes:
        return _scout(probes, settings, min(settings.start, top))
    sound = [probe for probe in probes if probe.outcome != "client"]
    if not sound:
        return Stop(
            "client", "the client could not make even the lowest load: see the conditions of its load points"
        )
    last = max(sound, key=lambda probe: (probe.load, probe.arrivals))
    beside = settings.closed and last.load >= top - 1.0
    if last.load >= top * 0.999 or (top < settings.top and (beside or last.load >= 0.9 * top)):
        if not last.enough and last.arrivals < settings.needs and settings.fixed is None:
            return _ask(probes, settings, last.load, _full(probes, settings, last.load))
        if top < settings.top:
            return Stop(
                "client", f"the client cannot make {top:g}: more workers or another machine would be needed"
            )
        return Stop("at least", f"the limits are still met at the highest load allowed, {top:g}")
    margins = [reading.margin for reading in last.readings if reading.margin is not None]
    growth = _GROWTH_FAR if min(margins, default=0.0) > _FAR else _GROWTH
    load = min(last.load * growth, top)
    if top < settings.top:  # the client fails there: halfway
        load = math.sqrt(last.load * top) if last.load * growth >= top else load
    return _scout(probes, settings, load)


def _downward(probes: Sequence[Probe], settings: Settings, failed: float) -> Ask | Stop:
    if failed <= settings.lowest * 1.001:
        return Stop("none", f"even the lowest load, {settings.lowest:g}, does not meet the limits")
    return _scout(probes, settings, max(settings.lowest, failed / _GROWTH_FAR))


def _near(probes: Sequence[Probe], settings: Settings) -> Ask | Stop:
    """A load point of full length where the limit should be, or the end when that is known well enough."""
    estimate = estimate_of(probes, settings.seed)
    long = [probe for probe in probes if probe.enough]
    near = [probe for probe in long if estimate is not None and abs(probe.load / estimate.load - 1.0) < 0.3]
    if estimate is None:
        return _halve(probes, settings)
    if len(near) >= 2 and (beside := _beside(long, estimate, settings)) is not None:
        return _ask(probes, settings, beside, _full(probes, settings, beside))
    if len(near) >= FEWEST_AT_LIMIT and _narrow(estimate, settings):
        return Stop("found", "")
    load = _placed(estimate, len(near))
    if len(near) % settings.repeats:
        load = near[-1].load
    return _ask(probes, settings, load, _planned(probes, near, estimate, settings))


def _halve(probes: Sequence[Probe], settings: Settings) -> Ask | Stop:
    """No curve can be drawn yet: between the largest good load and the smallest that failed."""
    bracket = bracket_of(probes)
    high = bracket.failed or settings.top
    carried = None if settings.closed else carried_per_s(probes)
    high = high if carried is None else min(high, carried)
    low = high / _GROWTH if bracket.good is None else min(bracket.good, high / math.sqrt(_GROWTH))
    load = math.sqrt(low * high)
    if settings.closed and (high - low <= 1 or round(load) in (low, high)):
        return Stop("bracketed", "the next smaller and the next larger load were measured")
    return _ask(probes, settings, load, _full(probes, settings, load))


def _beside(long: Sequence[Probe], estimate: Estimate, settings: Settings) -> float | None:
    """A load well below the estimate, or well above, that was not judged yet: a dip there would belie the answer."""
    for share, nearest, farthest in _BESIDE:
        load = min(estimate.load * share, settings.top)
        if (
            not any(nearest <= probe.load / estimate.load <= farthest for probe in long)
            and load > settings.lowest
        ):
            return load
    return None


def _narrow(estimate: Estimate, settings: Settings) -> bool:
    if settings.closed and math.floor(estimate.low) == math.floor(estimate.high):
        return True
    return estimate.precision <= _SURER * settings.precision


def _placed(estimate: Estimate, number: int) -> float:
    """Around the estimate: at one load alone the slope would stay unknown."""
    step = min(max(estimate.precision, 0.02), 0.15)
    return min(
        max(estimate.load * (1.0 + step * _SPREAD[number % len(_SPREAD)]), estimate.load * 0.5),
        estimate.load * 1.1,
    )


def _planned(probes: Sequence[Probe], near: Sequence[Probe], estimate: Estimate, settings: Settings) -> int:
    """Requests so that the interval will be narrow enough when the load points are used up."""
    base = _full(probes, settings, estimate.load)
    if settings.fixed is not None or not near:
        return base
    base = min(max(base, _apart(near)), round(MOST_TIMES_NEEDS * base))
    if len(near) < 2:
        return base
    used = sum(probe.arrivals for probe in near)
    wanted = used * (_SPARE * estimate.precision / (_SURER * settings.precision)) ** 2 - used
    left = max(1, min(settings.max_probes - len(probes), 4))
    return round(max(min(wanted / left, MOST_TIMES_NEEDS * settings.needs), base))


def _apart(near: Sequence[Probe]) -> int:
    """Requests of a load point in which slow ones may be expected to come from ten separate causes."""
    most = 0.0
    for slo in {reading.slo for probe in near for reading in probe.readings}:
        counted = [
            (probe.arrivals, each.excursions) for probe in near for each in probe.readings if each.slo == slo
        ]
        known = [(requests, apart) for requests, apart in counted if apart is not None]
        if known:
            most = max(most, _EXCURSIONS * sum(r for r, _ in known) / sum(a for _, a in known))
    return math.ceil(most)


def _full(probes: Sequence[Probe], settings: Settings, load: float) -> int:
    if settings.fixed is not None:
        return settings.fixed
    return max(settings.needs, _TURNS * _in_flight(probes, settings, load))


def _in_flight(probes: Sequence[Probe], settings: Settings, load: float) -> int:
    """How many requests a load has in flight; by Little's law from the latency of the nearest load below."""
    if settings.closed:
        return math.ceil(load)
    below = [probe for probe in probes if probe.load <= load and probe.e2el_ms is not None]
    e2el_ms = max(below, key=lambda probe: probe.load).e2el_ms if below else None
    return 0 if e2el_ms is None else math.ceil(load * e2el_ms / 1e3)


def _scout(probes: Sequence[Probe], settings: Settings, load: float) -> Ask | Stop:
    fewest = SCOUT_REQUESTS * (2 if probes else 1)  # the first one, at the lowest load, takes the longest
    requests = settings.fixed or max(fewest, _TURNS * _in_flight(probes, settings, load))
    return _ask(probes, settings, load, requests)


def _ask(probes: Sequence[Probe], settings: Settings, load: float, requests: int) -> Ask | Stop:
    value = float(max(1, round(load))) if settings.closed else float(f"{load:.3g}")
    value = min(value, settings.top)
    if settings.budget_s is not None:
        spent_s = sum(probe.duration_s for probe in probes)
        if spent_s + expected_s(probes, settings, value, requests) > settings.budget_s:
            return Stop(
                "bracketed",
                f"the budget of {settings.budget_s:g} s is spent, {spent_s:.0f} s of it measuring",
            )
    return Ask(value, _times(probes, value) + 1, requests)


def expected_s(probes: Sequence[Probe], settings: Settings, load: float, requests: int) -> float:
    """How long a load point will take, from what the nearest one showed."""
    known = [probe for probe in probes if probe.e2el_ms is not None]
    if not known:
        return 0.0 if settings.closed else requests / load
    nearest = min(known, key=lambda probe: abs(math.log(probe.load / load)))
    e2el_s = (nearest.e2el_ms or 0.0) / 1e3
    return (requests / load) * (e2el_s if settings.closed else 1.0) + e2el_s


def _times(probes: Sequence[Probe], load: float) -> int:
    return sum(1 for probe in probes if probe.load == load)
