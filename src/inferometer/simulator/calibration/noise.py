"""What of the errors on left-out data is not the coefficients': noise of single requests and of load points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.calibration.ensemble import student_95
from inferometer.simulator.calibration.fit import Floats
from inferometer.simulator.latency.profile import Noise

COVERED: Final = 0.9
DISCREPANCY: Final = 0.01
"""Share by which the best step model of this kind misses a load that it was not fitted to (bench: sim.intervals)."""
_TAILS: Final = 4.0
_GRID: Final = 40
_LEAST: Final = 1e-6


class LeftOut(msgspec.Struct, frozen=True):
    """Predictions of data that their fits did not see, a row each.

    Attributes:
        predicted: above 0.
        observed: above 0.
        spread: of the ensemble there: standard deviation of the logarithm.
        block: which rows share a time, and so errors.
    """

    predicted: Floats
    observed: Floats
    spread: Floats
    block: NDArray[np.int64]


def noise_of(rows: LeftOut) -> Noise:
    """The noise that, beside the ensemble's spread, explains errors on left-out data.

    How it is divided into a share of the value and seconds beside it is the most likely division under Student's t
    with 4 degrees of freedom, whose tails let a few outliers be. How much it is in all is split conformal prediction
    with normalised scores (Lei et al. 2018, JASA 113:1094): the intervals would have held 90 % of the left-out values,
    whatever their distribution is. What the ensemble's spread explains is not counted again. Rows of a block err
    together; the degrees of freedom are those of Satterthwaite (1946) for the two components of variance.

    Raises:
        UsageError: fewer than two rows.
    """
    if len(rows.predicted) < 2:
        raise UsageError(
            "noise needs two predictions of left-out data at least", "calibrate from more requests"
        )
    error = rows.observed - rows.predicted
    share, seconds = _division(rows, error)
    scale = np.sqrt(rows.predicted**2 * (rows.spread**2 + share**2) + seconds**2)
    score = error / np.maximum(scale, _LEAST * rows.predicted)
    freedom = _freedom(score, rows.block)
    factor = _factor(rows, error, (share, seconds), student_95(freedom))
    return Noise(
        share=float(np.hypot(share * factor, DISCREPANCY)), seconds=seconds * factor, freedom=freedom
    )


def noises(rows: Mapping[str, LeftOut]) -> dict[str, Noise]:
    """The noise of requests by metric, and under ``mean_`` that of the mean of a load point, from means of blocks.

    A metric with fewer than two rows, or blocks, has none.
    """
    found: dict[str, Noise] = {}
    for metric, each in rows.items():
        known = np.isfinite(each.predicted) & np.isfinite(each.observed)
        whole = LeftOut(each.predicted[known], each.observed[known], each.spread[known], each.block[known])
        means = _means(whole)
        if len(whole.block) > 1:
            found[metric] = noise_of(whole)
        if len(means.block) > 1:
            found[f"mean_{metric}"] = noise_of(means)
    return found


def _means(rows: LeftOut) -> LeftOut:
    blocks = np.unique(rows.block)
    groups = [rows.block == each for each in blocks]
    columns = [
        np.array([values[group].mean() for group in groups])
        for values in (rows.predicted, rows.observed, rows.spread)
    ]
    return LeftOut(columns[0], columns[1], columns[2], blocks)


def _division(rows: LeftOut, error: Floats) -> tuple[float, float]:
    """Share and seconds of the greatest likelihood, on a grid of ratios of 1.2; either may be 0."""
    size = float(np.median(np.abs(error))) + 1e-9 * float(rows.predicted.mean())
    seconds = np.append(0.0, np.geomspace(size / 100, size * 10, _GRID))
    shares = np.append(0.0, np.geomspace(1e-3, 1.0, _GRID))
    best, found = -np.inf, (1e-3, 0.0)
    for share in shares.tolist():
        variance = rows.predicted**2 * (rows.spread**2 + share**2) + seconds[:, None] ** 2
        variance = np.maximum(variance, (_LEAST * rows.predicted) ** 2)
        likelihood = -0.5 * np.log(variance) - (_TAILS + 1) / 2 * np.log1p(error**2 / variance / _TAILS)
        sums = likelihood.sum(axis=1)
        if (at := int(np.argmax(sums))) >= 0 and sums[at] > best:
            best, found = float(sums[at]), (share, float(seconds[at]))
    return found


def _factor(rows: LeftOut, error: Floats, parts: tuple[float, float], student: float) -> float:
    """What the two parts are multiplied with, so that intervals hold the share of left-out values that they promise."""
    share, seconds = parts
    count = len(error)
    wanted = min(1.0, np.ceil((count + 1) * COVERED) / count)

    def held(factor: float) -> bool:
        spread = rows.predicted**2 * (rows.spread**2 + (factor * share) ** 2) + (factor * seconds) ** 2
        return bool(np.mean(np.abs(error) <= student * np.sqrt(spread)) >= wanted)

    low, high = 0.0, 1.0
    while not held(high) and high < 64:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if held(middle) else (middle, high)
    return high


def _freedom(score: Floats, block: NDArray[np.int64]) -> float:
    groups = [score[block == each] for each in np.unique(block)]
    count, blocks = len(score), len(groups)
    if blocks < 2 or count <= blocks:
        return float(max(1, count - 1))
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (count - blocks)
    between = max(0.0, float(np.mean([group.mean() ** 2 for group in groups])) - within * blocks / count)
    if within + between == 0.0:
        return float(blocks - 1)
    return (within + between) ** 2 / (between**2 / (blocks - 1) + within**2 / (count - blocks))
