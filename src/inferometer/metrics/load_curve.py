"""Throughput over load as far as it is measured, and which differences on it are more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from inferometer.metrics.bootstrap import t_quantile
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.steady import Rate
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import CurvePoint, CurveProbe, State
from inferometer.metrics.verdict import Condition

OBJECTIVES = {"output-throughput": "tok/s", "total-throughput": "tok/s", "request-throughput": "req/s"}

_Z = 1.96
# Conditions without which the load, and so the throughput, was not what was asked for.
_LOAD_CONDITIONS = ("workers", "send lag", "client CPU", "achieved rate", "concurrency")
# These bend latencies by milliseconds, and a throughput not at all.
_OF_SINGLE_CHUNKS = ("send lag", "receive clock", "receive lag", "chunk times", "clock error")
_FAILURES = ("errors", "records")
_FELT = 0.05


class Noise:
    """By how much measurements of the same load differ, as a share of their mean.

    The variance is pooled over all loads that were measured more than once. Two imaginary repeats that differ by
    ``expected`` are added (a scaled inverse chi-square prior), so that two real ones that agree by chance make nobody
    certain and the first pair says something at all. Until two pairs have shown what repeats do, the intervals inside
    load points stand in where they are wider; then the repeats speak, as they hold that spread, too.

    Args:
        groups: the measurements of each load.
        inside: relative standard errors inside single load points, as far as they are known.
        expected: relative standard deviation that is assumed before anything is known.

    Attributes:
        seen: whether repeats, and not only assumptions, speak.
    """

    def __init__(
        self, groups: Iterable[Sequence[float]], inside: Sequence[float] = (), expected: float = 0.005
    ):
        squares, freedom = 0.0, 0
        for group in groups:
            if len(group) > 1:
                values = np.asarray(group, dtype=np.float64)
                squares += float(((values / values.mean() - 1.0) ** 2).sum())
                freedom += len(group) - 1
        self.seen = freedom >= _PAIRS
        total = freedom + _IMAGINARY
        self._half = _t(total) * math.sqrt((squares + _IMAGINARY * expected**2) / total)
        if inside and not self.seen:
            self._half = max(self._half, _Z * math.sqrt(float(np.median(np.square(inside)))))

    def half_width(self, repeats: int) -> float:
        """Half of the 95 % interval of a mean of ``repeats`` measurements, as a share of the mean."""
        return self._half / math.sqrt(repeats)

    def of_difference(self, repeats: int, others: int) -> float:
        """The same for the ratio of two such means."""
        return math.hypot(self.half_width(repeats), self.half_width(others))


_IMAGINARY = 2
_PAIRS = 2


@lru_cache(maxsize=64)
def _t(freedom: int) -> float:
    return t_quantile(0.975, freedom)


class Gain(NamedTuple):
    """How much more one load brings than another: a share, and half of its 95 % interval."""

    share: float
    half: float

    @property
    def least(self) -> float:
        """The lower end."""
        return self.share - self.half


class Curve:
    """One figure over load, repeats put together; loads in rising order.

    Args:
        probes: what was measured.
        figure: what the curve shows of a probe (its throughput, unless told otherwise); None = nothing.
        expected: see ``Noise``.
    """

    def __init__(
        self,
        probes: Sequence[CurveProbe],
        figure: Callable[[CurveProbe], float | None] = lambda probe: probe.throughput,
        expected: float = 0.005,
    ) -> None:
        self._probes: dict[float, list[CurveProbe]] = {}
        for probe in sorted(probes, key=lambda probe: probe.load):
            self._probes.setdefault(probe.load, []).append(probe)
        self.states = {load: _state(own) for load, own in self._probes.items()}
        self._values = {
            load: [value for probe in own if probe.state == "ok" and (value := figure(probe)) is not None]
            for load, own in self._probes.items()
            if self.states[load] == "ok"
        }
        self._values = {load: values for load, values in self._values.items() if values}
        self.means = {load: float(np.mean(values)) for load, values in self._values.items()}
        self.noise = Noise(self._values.values(), _inside(probes), expected)

    @property
    def loads(self) -> list[float]:
        """Loads that were carried."""
        return list(self.means)

    @property
    def best(self) -> float | None:
        """The load with the highest mean, the smallest of equals."""
        return max(self.means, key=self.means.__getitem__) if self.means else None

    @property
    def ceiling(self) -> float | None:
        """The smallest load above the best one that was not carried, or was no evidence."""
        best = self.best
        lost = (
            load for load, state in self.states.items() if state != "ok" and (best is None or load > best)
        )
        return next(lost, None)

    def repeats(self, load: float) -> int:
        """How often a load was measured."""
        return len(self._values.get(load, ()))

    def gain(self, load: float, other: float) -> Gain:
        """What ``other`` brings over ``load``."""
        share = self.means[other] / self.means[load] - 1.0
        return Gain(share, self.noise.of_difference(self.repeats(load), self.repeats(other)))

    def below(self, load: float) -> float | None:
        """The next smaller load that was carried."""
        return max((other for other in self.means if other < load), default=None)

    def above(self, load: float) -> float | None:
        """The next larger load that was carried."""
        return min((other for other in self.means if other > load), default=None)

    def latency_ms(self, load: float) -> float | None:
        """Mean over the repeats of the latency that is weighed."""
        return _mean(probe.latency_ms for probe in self._probes[load])

    def e2el_ms(self, load: float) -> float | None:
        """Mean over the repeats of E2EL."""
        return _mean(probe.e2el_ms for probe in self._probes[load])

    def requests_per_s(self, load: float) -> float | None:
        """Mean over the repeats of successful requests per second."""
        return _mean(probe.requests_per_s for probe in self._probes[load])

    def interval(self, load: float) -> tuple[float, float]:
        """Where the mean of a load lies with 95 %."""
        half = self.noise.half_width(self.repeats(load)) * self.means[load]
        return self.means[load] - half, self.means[load] + half

    def steady(self, load: float) -> bool:
        """Whether every measurement of a load has a steady window."""
        return all(probe.steady for probe in self._probes[load])

    def remark(self, load: float) -> str | None:
        """The first remark on a load that belongs to its state."""
        state = self.states[load]
        return next(
            (probe.remark for probe in self._probes[load] if probe.remark and probe.state == state), None
        )

    def points(self) -> list[CurvePoint]:
        """The curve as data."""
        found = []
        for load, own in self._probes.items():
            low, high = self.interval(load) if load in self.means else (None, None)
            found.append(
                CurvePoint(
                    load=load,
                    repeats=len(own),
                    state=self.states[load],
                    throughput=self.means.get(load),
                    low=low,
                    high=high,
                    latency_ms=self.latency_ms(load),
                )
            )
        return found


def read_curve_probe(
    summary: PointSummary, load: float, repeat: int, objective: str, latency: str = "e2el"
) -> CurveProbe:
    """What a load point says about throughput and latency.

    Throughput is that of the steady window where there is one: over the whole load point it falls with the load if for
    no other reason than that filling and emptying the batch takes a larger part of the time.

    Args:
        summary: the numbers of the load point.
        load: the value of the load that is varied.
        repeat: which measurement of it.
        objective: one of ``OBJECTIVES``.
        latency: name of the latency whose mean is weighed: "e2el", "ttft" or "tpot".
    """
    name = objective.replace("-", "_")
    steady = _steady_rate(summary, name)
    interval = None if steady is None else steady.interval
    throughput = summary.values.get(f"{name}_per_s") if steady is None else steady.per_s
    requests = _steady_rate(summary, "request_throughput")
    state, remark = _judged(summary, throughput)
    return CurveProbe(
        load=load,
        repeat=repeat,
        index=summary.index,
        state=state,
        throughput=throughput,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        requests_per_s=summary.values.get("request_throughput_per_s") if requests is None else requests.per_s,
        # Little's law counts what is in flight, not what waits in the client for a permit.
        e2el_ms=_mean_ms({**summary.stats, **summary.stats_from_sent}, "e2el"),
        latency_ms=_mean_ms(summary.stats, latency),
        failed_share=summary.counts.failed_share,
        steady=steady is not None,
        remark=remark,
    )


def _steady_rate(summary: PointSummary, name: str) -> Rate | None:
    """A throughput inside the steady window."""
    found: Rate | None = None if summary.steady is None else getattr(summary.steady, name)
    return found


def _judged(summary: PointSummary, throughput: float | None) -> tuple[State, str | None]:
    """Whether the server carried the load, and what has to be said to it."""
    remarks = {c.name: f"{c.name}: {c.next_step}" for c in hard_failures(summary)}
    lost = next((remarks[name] for name in _FAILURES if name in remarks), None)
    if lost is not None or summary.counts.ok == 0:
        return "failed", lost or "no request succeeded"
    held_back = (
        summary.load.get("request_rate") is not None and summary.load.get("max_concurrency") is not None
    )
    for name in _LOAD_CONDITIONS:
        # Beyond the peak a limit in flight holds requests back: that is the server's doing, and what is looked for.
        if name in remarks and not (name == "achieved rate" and held_back):
            return "no evidence", remarks[name]
    if throughput is None:
        return (
            "no evidence",
            "there is no throughput: the tokens of a request are not known, or no time went by",
        )
    unsaid = ("achieved rate", *_OF_SINGLE_CHUNKS)
    return "ok", next((text for name, text in remarks.items() if name not in unsaid), None)


def signed(share: float) -> str:
    """``+2.5 %``."""
    return f"{share * 100:+.1f} %"


def hard_failures(summary: PointSummary) -> list[Condition]:
    """Hard conditions that do not hold; a send lag only where it is a part of the answer time that can be felt.

    Its limit is made for arrivals that have times of their own. Where many requests are due at once, because a step of
    the engine ended many or a whole batch is sent, the last of them is always some ms behind.
    """
    e2el_ms = _mean_ms(summary.stats, "e2el")
    failed = [condition for condition in summary.verdict.failed if condition.level == "hard"]
    return [
        condition
        for condition in failed
        if condition.name != "send lag"
        or condition.measured is None
        or e2el_ms is None
        or condition.measured > _FELT * e2el_ms
    ]


def _mean_ms(stats: Mapping[str, Stat], name: str) -> float | None:
    stat = stats.get(f"{name}_ms")
    return None if stat is None else stat.mean


def _state(probes: Sequence[CurveProbe]) -> State:
    states = {probe.state for probe in probes}
    return "failed" if "failed" in states else "ok" if "ok" in states else "no evidence"


def _inside(probes: Sequence[CurveProbe]) -> list[float]:
    return [
        (probe.high - probe.low) / 2.0 / _Z / probe.throughput
        for probe in probes
        if probe.state == "ok" and probe.throughput and probe.low is not None and probe.high is not None
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
