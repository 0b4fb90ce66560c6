"""The peak of throughput: the smallest load that carries it, found by varying one load and nothing else.

1. Climb from the lowest load, four times as far each step, until throughput no longer rises. Single streams come first
   because their latency E gives the start of what follows: with X requests per second at the best load so far, Little's
   law says that X * E are in flight even if latency does not grow under load, so no smaller load can carry X.
2. Narrow: around the best load until its neighbours are a factor of two away, then towards the smallest load that is
   within the tolerance of the peak. Loads below X * E are never measured.
3. Verify: that load and one step beyond it are measured again, turn by turn, until the difference between them is known
   to the tolerance. If the step beyond is better, the search goes on from there.

Raising concurrency and request rate together shows the peak of neither (a case is known where that lost 15 % of it);
so the other one stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.metrics.load_curve import OBJECTIVES, Curve, Gain, read_curve_probe, signed
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import CurveProbe, PeakResult
from inferometer.tuner.ledger import STEP, Bounds, Ledger, Measure, NoMoreProbes

_CLIMB = 4.0
_NEAR = 2.0
_FOR_VERIFICATION = 3  # load points kept back
_ENOUGH_REPEATS = 4


@dataclass(frozen=True, slots=True)
class PeakOptions:
    """What is looked for.

    Attributes:
        bounds: of the load that is varied.
        objective: one of ``OBJECTIVES``.
        closed: whether the load is a number in flight; else it is a request rate.
        permits: the limit in flight that stays fixed while the rate is varied; None without one.
        tolerance: share of the peak that counts as none.
        max_probes: load points that may be measured.
    """

    bounds: Bounds
    objective: str = "output-throughput"
    closed: bool = True
    permits: int | None = None
    tolerance: float = 0.01
    max_probes: int = 12


def find_peak(measure: Measure, options: PeakOptions) -> PeakResult:
    """The smallest load whose throughput is within the tolerance of the peak.

    Deterministic given what ``measure`` returns. ``measure`` may raise ``NoMoreProbes``; then the result says what is
    known until there.
    """
    search = _PeakSearch(measure, options)
    ended = None
    try:
        search.climb()
        search.narrow()
        search.verify()
    except NoMoreProbes as end:
        ended = end.reason
    return _result(search, ended)


class _PeakSearch:
    def __init__(self, measure: Measure, options: PeakOptions) -> None:
        self.options = options
        self.bounds = options.bounds
        self.ledger = Ledger(measure, self._read, options.max_probes)
        self.verified: Gain | None = None
        self.beyond: float | None = None

    def _read(self, summary: PointSummary, load: float, repeat: int) -> CurveProbe:
        return read_curve_probe(summary, load, repeat, self.options.objective)

    @property
    def curve(self) -> Curve:
        return Curve(self.ledger.entries)

    @property
    def upper(self) -> float:
        """The largest load that makes sense: with N permits and latency E no rate above N / E is carried."""
        e2el_ms = _least_latency(self.curve)
        if self.options.closed or self.options.permits is None or not e2el_ms:
            return self.bounds.upper
        return self.bounds.snap(self.options.permits / (e2el_ms / 1e3))

    def climb(self) -> None:
        load = self.bounds.lower
        while True:
            before = self.curve.best
            probe = self.ledger.probe(load)
            rose = before is None or self._within(before, self.curve.means.get(load)) is False
            if probe.state != "ok" or not rose or load >= self.upper:
                return
            load = min(self.bounds.snap(load * _CLIMB), self.upper)

    def narrow(self) -> None:
        while self.ledger.left > _FOR_VERIFICATION and (load := self._in_a_gap()) is not None:
            self.ledger.probe(load)

    def verify(self) -> None:
        """Measure the answer and a step beyond until their difference is known, or the answer moves."""
        while (answer := candidate(self.curve, self.options.tolerance)) is not None:
            self.beyond = self._step_beyond(answer)
            fewest = min((load for load in (answer, self.beyond) if load is not None), key=self._times)
            if self._times(fewest) < 2:
                self.ledger.probe(fewest)
                continue
            if self.beyond is None or self.beyond not in self.curve.means:
                return
            self.verified = self.curve.gain(answer, self.beyond)
            if _no_better(self.verified, self.options.tolerance) or self._times(fewest) >= _ENOUGH_REPEATS:
                return
            self.ledger.probe(fewest)

    def _times(self, load: float) -> int:
        return len(self.ledger.of(load))

    def _within(self, load: float, throughput: float | None) -> bool | None:
        """Whether ``throughput`` is no more than the tolerance above that of ``load``; None when it is not known."""
        if throughput is None:
            return None
        return throughput <= self.curve.means[load] * (1.0 + self.options.tolerance)

    def _in_a_gap(self) -> float | None:
        """The load to measure next, where one of the gaps that matter is still wide."""
        curve = self.curve
        best = curve.best
        if best is None:
            return None
        left, right = curve.below(best), curve.above(best) or curve.ceiling
        if left is not None and right is not None and right / best > max(_NEAR, best / left):
            return self.bounds.between(best, right)
        if (
            left is not None
            and best / left > _NEAR
            and not _as_good(curve, left, best, self.options.tolerance)
        ):
            return self.bounds.between(max(left, self._floor(curve)), best)
        answer = candidate(curve, self.options.tolerance)
        left = None if answer is None else curve.below(answer)
        if answer is None or left is None:
            return None
        left = max(left, self._floor(curve))
        return self.bounds.between(left, answer) if answer / left > STEP else None

    def _floor(self, curve: Curve) -> float:
        return least_load(curve, self.options.closed) or self.bounds.lower

    def _step_beyond(self, answer: float) -> float | None:
        """A load beyond the answer: one that is measured already if it is about a step away."""
        near = self.curve.above(answer)
        if near is not None and near <= max(answer * STEP**2, answer + 1.0):
            return near
        step = self.bounds.above(answer)
        return None if step is None or step > self.upper else step


def candidate(curve: Curve, tolerance: float) -> float | None:
    """The smallest load that is as good as the best: within ``tolerance`` of it, or within the noise that was seen."""
    best = curve.best
    if best is None:
        return None
    return next(load for load in curve.loads if _as_good(curve, load, best, tolerance))


def _as_good(curve: Curve, load: float, best: float, tolerance: float) -> bool:
    gain = curve.gain(load, best)
    return gain.share <= max(tolerance, gain.half if curve.noise.seen else 0.0)


def _no_better(gain: Gain, tolerance: float) -> bool:
    """The answer may be ``tolerance`` below the peak; what noise leaves open may be as much again."""
    return gain.share + gain.half <= 2.0 * tolerance


def least_load(curve: Curve, closed: bool) -> float | None:
    """No load below it carries as many requests as the best one does.

    In a closed loop X * E, by Little's law with the least latency that was seen; a request rate below X cannot carry X.
    """
    best, e2el_ms = curve.best, _least_latency(curve)
    requests_per_s = None if best is None else curve.requests_per_s(best)
    if requests_per_s is None:
        return None
    if not closed:
        return requests_per_s
    return None if e2el_ms is None else requests_per_s * e2el_ms / 1e3


def _least_latency(curve: Curve) -> float | None:
    known = [e2el_ms for load in curve.loads if (e2el_ms := curve.e2el_ms(load)) is not None]
    return min(known, default=None)


def _result(search: _PeakSearch, ended: str | None) -> PeakResult:
    curve, options = search.curve, search.options
    answer, best = candidate(curve, options.tolerance), curve.best
    doubts = _doubts(search, curve, answer, ended)
    low, high = curve.interval(answer) if answer is not None else (None, None)
    return PeakResult(
        objective=options.objective,
        unit=OBJECTIVES[options.objective],
        load=answer,
        throughput=None if answer is None else curve.means[answer],
        low=low,
        high=high,
        requests_per_s=None if answer is None else curve.requests_per_s(answer),
        latency_ms=None if answer is None else curve.e2el_ms(answer),
        tolerance=options.tolerance,
        peak_load=best,
        peak_throughput=None if best is None else curve.means[best],
        reached=_reached(search, curve, answer),
        decline=_decline(curve, answer, options.tolerance),
        least_load=least_load(curve, options.closed),
        limited_by=_limited_by(search, curve, answer),
        sure=not doubts,
        why=_why(search, curve, answer),
        doubts=doubts,
        curve=curve.points(),
        probes=list(search.ledger.entries),
    )


def _reached(search: _PeakSearch, curve: Curve, answer: float | None) -> bool:
    """Whether a load beyond the answer was carried and brought no more than the tolerance."""
    return answer is not None and any(load > answer for load in curve.loads)


def _decline(curve: Curve, answer: float | None, tolerance: float) -> float | None:
    """The share of the answer's throughput that is lost at the worst load beyond it, if it is more than chance."""
    if answer is None:
        return None
    beyond = [curve.gain(answer, load) for load in curve.loads if load > answer]
    worst = min(beyond, key=lambda gain: gain.share, default=None)
    if worst is None or worst.share + worst.half > -tolerance:
        return None
    return -worst.share


def _limited_by(search: _PeakSearch, curve: Curve, answer: float | None) -> str:
    ceiling = curve.ceiling
    if answer is None:
        first = curve.remark(search.bounds.lower) if search.ledger.entries else None
        return f"not even the lowest load, {search.bounds.lower:g}, was carried: {first or 'nothing was measured'}"
    decline = _decline(curve, answer, search.options.tolerance)
    if decline is not None:
        return f"the server: throughput falls beyond the peak, by up to {_percent(decline)}"
    if _reached(search, curve, answer):
        return "the server: more load brings no more throughput"
    if ceiling is not None:
        who = "the server" if curve.states[ceiling] == "failed" else "the load generator"
        return f"{who}: at load {ceiling:g} {curve.remark(ceiling)}"
    if search.upper < search.bounds.upper and answer >= search.upper:
        return f"the limit of {search.options.permits} in flight: by Little's law it carries no rate above {answer:g}"
    return f"the largest load that was allowed, {search.bounds.upper:g}: throughput was still rising"


def _why(search: _PeakSearch, curve: Curve, answer: float | None) -> list[str]:
    best = curve.best
    if answer is None or best is None:
        return []
    unit = OBJECTIVES[search.options.objective]
    said = [f"the most that was measured is {curve.means[best]:,.4g} {unit}, at load {best:g}"]
    if answer != best:
        gain = curve.gain(answer, best)
        near = (
            f"within {_percent(search.options.tolerance)}"
            if gain.share <= search.options.tolerance
            else "inside the noise"
        )
        said.append(
            f"load {answer:g} is the smallest that is {near} of it: {_percent(gain.share)} less ({_about(gain.half)})"
        )
    least = least_load(curve, search.options.closed)
    if least is not None and search.options.closed:
        said.append(
            f"Little's law: X * E of the least loaded point is {least:,.3g}; no load below it carries this"
        )
    if search.verified is not None and search.beyond is not None:
        gain = search.verified
        said.append(
            f"one step beyond, load {search.beyond:g} brings {signed(gain.share)} (95 % interval {_about(gain.half)})"
        )
    return said


def _doubts(search: _PeakSearch, curve: Curve, answer: float | None, ended: str | None) -> list[str]:
    if answer is None:
        return [ended or "no load was carried"]
    tolerance, found = search.options.tolerance, []
    if ended is not None and not _settled(search):
        found.append(f"the search ended early: {ended}")
    if not _reached(search, curve, answer):
        found.append(f"the peak may lie beyond: {_limited_by(search, curve, answer)}")
    elif search.verified is None:
        found.append("the step beyond the peak was not measured twice")
    elif not _no_better(search.verified, tolerance):
        most = search.verified.share + search.verified.half
        found.append(f"repeats differ too much to rule out that the step beyond brings {_percent(most)} more")
    ceiling = curve.ceiling
    if ceiling is not None and curve.states[ceiling] == "no evidence":
        found.append(f"the load generator could not make load {ceiling:g}: {curve.remark(ceiling)}")
    # Beyond saturation an open loop has no steady window, and needs none: it works off its backlog at full speed.
    if (
        search.options.closed
        and len({curve.steady(load) for load in curve.loads if load >= answer / _NEAR}) > 1
    ):
        found.append(
            "some loads about the peak have a steady window and others none: their figures compare badly"
        )
    remark = curve.remark(answer)
    return [*found, *([f"load {answer:g}: {remark}"] if remark else [])]


def _settled(search: _PeakSearch) -> bool:
    """Whether the last comparison had already said enough when the budget ended."""
    return search.verified is not None and _no_better(search.verified, search.options.tolerance)


def _about(half: float) -> str:
    """Half of an interval: ``+-1.6 %``."""
    return f"+-{half * 100:.1f} %"


def _percent(share: float) -> str:
    """``2.5 %``, without zeros at the end."""
    return f"{round(share * 100, 1):g} %"
