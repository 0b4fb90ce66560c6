"""The numbers of a simulated load point, and the intervals that an ensemble of calibrations gives them. Pure.

They are those of the summary (see ``metrics.dictionary``), worked out from the answers themselves: with an ensemble of
twenty the rows of twenty runs are never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inferometer.metrics.percentiles import stat
from inferometer.record.prediction import Predicted
from inferometer.simulator.calibration.ensemble import interval
from inferometer.simulator.cluster.service import Answered
from inferometer.simulator.latency.profile import Noise, Profile
from inferometer.simulator.latency.trust import Where, typical

Floats = NDArray[np.float64]
Figures = Mapping[tuple[str, str], float]
"""Numbers above 0 by metric and statistic, in the unit of the metric's key."""

_NS_PER_MS, _NS_PER_S = 1e6, 1e9
_MS_PER_S = 1e3


def figures_of(answers: Sequence[Answered], percentiles: Sequence[float], streamed: bool) -> Figures:
    """What a summary says of the answers that came whole: throughput, and latencies from the planned time.

    Args:
        answers: of the load point.
        percentiles: that are wanted; those that so few answers do not carry are left out.
        streamed: whether tokens were sent as they came; else there is no latency but that of the whole answer.
    """
    whole = [each for each in answers if each.refused is None and not each.cut and len(each.tokens_ns)]
    if not whole:
        return {}
    planned = np.array([each.planned_ns for each in whole], dtype=np.float64)
    last = np.array([each.tokens_ns[-1] for each in whole], dtype=np.float64)
    samples = {"e2el_ms": (last - planned) / _NS_PER_MS}
    if streamed:
        samples |= _streamed(whole, planned, last)
    found: dict[tuple[str, str], float] = {}
    for metric, values in samples.items():
        numbers = stat(values, percentiles)
        if numbers is not None:
            found[metric, "mean"] = numbers.mean
            found |= {
                (metric, name): value for name, value in numbers.percentiles.items() if value is not None
            }
    found |= _rates(whole, last)
    return {key: float(value) for key, value in found.items() if value > 0}


def _streamed(whole: Sequence[Answered], planned: Floats, last: Floats) -> dict[str, Floats]:
    first = np.array([each.tokens_ns[0] for each in whole], dtype=np.float64)
    counts = np.array([len(each.tokens_ns) for each in whole])
    times = np.concatenate([each.tokens_ns for each in whole])
    row = np.repeat(np.arange(len(whole)), counts)
    gaps = np.diff(times)[np.diff(row) == 0] / _NS_PER_MS
    at_first = np.bincount(row, weights=times == np.repeat(first, counts))
    after = np.where(counts > at_first, counts - at_first, np.nan)
    return {
        "ttft_ms": (first - planned) / _NS_PER_MS,
        "tpot_ms": (last - first) / after / _NS_PER_MS,
        "itl_ms": gaps[gaps > 0],  # tokens of one step come in one chunk
    }


def _rates(whole: Sequence[Answered], last: Floats) -> dict[tuple[str, str], float]:
    span_s = (last.max() - min(each.sent_ns for each in whole)) / _NS_PER_S
    if not span_s > 0:
        return {}
    output = sum(len(each.tokens_ns) for each in whole)
    total = output + sum(each.prompt_tokens for each in whole)
    return {
        ("request_throughput_per_s", "value"): len(whole) / span_s,
        ("output_throughput_per_s", "value"): output / span_s,
        ("total_throughput_per_s", "value"): total / span_s,
    }


def predicted(
    best: Figures, members: Sequence[Figures], profile: Profile, load: Where | None = None
) -> list[Predicted]:
    """Each number with its 90 % prediction interval; without one where there is no ensemble.

    Args:
        best: with the profile's best coefficients.
        members: with those of each member of the ensemble.
        profile: says how noisy its predictions are beside the ensemble's spread.
        load: that is predicted; outside of the measured ones predictions are noisier. None = not known.
    """
    yielding = _yielding(best, members)
    found = []
    for (metric, statistic), value in best.items():
        if metric.endswith("_ms"):
            noise = _noise(metric, statistic, profile, load)
        else:
            noise = _noise_of_rate(profile, load, yielding.get(metric, 1.0))
        found.append(_predicted((metric, statistic), value, members, noise))
    return found


def _yielding(best: Figures, members: Sequence[Figures]) -> dict[str, float]:
    """By how many per cent each rate falls as the mean E2EL grows by one, by least squares over the ensemble.

    1 in a closed loop, where answers make way for requests; 0 in an open one that the service keeps up with, whose rate
    is that of the arrivals. 1 where members do not differ.
    """
    latency = ("e2el_ms", "mean")
    told = [each for each in members if latency in each]
    slower = np.log([each[latency] / best[latency] for each in told])
    found = {}
    for key in [key for key in best if not key[0].endswith("_ms") and np.any(slower)]:
        less = np.log([best[key] / each.get(key, best[key]) for each in told])
        found[key[0]] = float(np.clip(slower @ less / (slower @ slower), 0.0, 1.0))
    return found


def _predicted(
    key: tuple[str, str], value: float, members: Sequence[Figures], noise: Noise | None
) -> Predicted:
    metric, statistic = key
    known = [member[key] for member in members if key in member]
    if len(known) < 2:
        return Predicted(metric=metric, statistic=statistic, value=value)
    in_s = metric.endswith("_ms")
    scale = _MS_PER_S if in_s else 1.0
    found = interval(value / scale, [each / scale for each in known], noise)
    low, high = float(found.low) * scale, float(found.high) * scale
    everywhere = len(known) == len(members)
    if metric in ("attainment", "goodput"):  # bounded: a factor is no measure of them
        spread = [*known, *[0.0] * (len(members) - len(known)), value]
        low, high = (float(edge) for edge in np.quantile(spread, (0.05, 0.95)))
        low, high = min(low, value), max(high, value)
    own = [float(each) for each in known] if everywhere else []
    return Predicted(metric=metric, statistic=statistic, value=value, low=low, high=high, members=own)


def _noise(metric: str, statistic: str, profile: Profile, load: Where | None) -> Noise | None:
    """The noise of a latency; a gap between tokens has that of TPOT."""
    name = {"itl_ms": "tpot"}.get(metric, metric.removesuffix("_ms"))
    return profile.noise_of(f"{'mean' if statistic == 'p50' else statistic}_{name}", load)


def _noise_of_rate(profile: Profile, load: Where | None, yielding: float) -> Noise | None:
    """That of the mean E2EL, as far as the rate follows from it."""
    noise = profile.noise_of("mean_e2el", load)
    return None if noise is None else Noise(share=yielding * noise.share, freedom=noise.freedom)


def load_of(answers: Sequence[Answered], step_tokens: int) -> Where | None:
    """The load as a profile's trust region knows it, of the instance that answered most; None where nothing was.

    Args:
        answers: of the load point.
        step_tokens: that a step of the instance may have at most.
    """
    whole = [each for each in answers if len(each.tokens_ns)]
    if not whole:
        return None
    busiest = np.bincount([each.instance for each in whole]).argmax()
    own = [each for each in whole if each.instance == busiest]
    prompts = np.array([each.prompt_tokens for each in own], dtype=np.float64)
    outputs = np.array([len(each.tokens_ns) for each in own], dtype=np.float64)
    first, last = (np.array([each.tokens_ns[at] for each in own]) / _NS_PER_S for at in (0, -1))
    return typical((prompts, outputs), (first, last), step_tokens)
