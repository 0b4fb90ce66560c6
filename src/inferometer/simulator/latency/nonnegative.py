"""Least squares with coefficients that cannot be negative, in relative error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_ROUNDS = 30
_WIDE, _NARROW = 3.0, 0.01  # logarithms below which errors are squared, in the first and in the last round


def fit_relative(terms: Floats, seconds: Floats, weights: Floats | None = None) -> Floats:
    """Coefficients, each >= 0, that minimise ``sum w * ((terms @ x - seconds) / seconds)**2``.

    Relative, since a step of a millisecond is to be as true as one of a second. Lawson and Hanson's active sets
    ("Solving Least Squares Problems", 1974, chapter 23), which end after finitely many exchanges.

    Args:
        terms: a row for each observation, a column for each coefficient, all >= 0.
        seconds: what was observed, > 0.
        weights: of the observations; None = all the same.
    """
    scale = (1.0 if weights is None else np.sqrt(weights)) / seconds
    rows = terms * scale[:, None]
    # Columns of the same length: seconds per token and seconds per query-key pair differ by many powers of ten.
    sizes = np.linalg.norm(rows, axis=0)
    sizes[sizes == 0.0] = 1.0
    return np.asarray(_active_sets(rows / sizes, seconds * scale) / sizes, dtype=np.float64)


def fit_robust(terms: Floats, seconds: Floats) -> Floats:
    """Coefficients, each >= 0, that minimise the absolute logarithms of predicted over observed; for dirty data.

    A time that is a tenth of what it should be counts as much as one that is ten times that, and neither more than
    its sign. Gauss-Newton steps on the logarithm with weights that turn squares into absolute values (iteratively
    reweighted least squares, Holland and Welsch 1977), from the relative fit on.

    Args:
        terms: as for ``fit_relative``; at least one column has no 0.
        seconds: what was observed, > 0.
    """
    found = fit_relative(terms, seconds)
    # Squares first and absolute values by and by: a row that pulled the start to itself would else keep it there.
    for width in np.geomspace(_WIDE, _NARROW, _ROUNDS):
        predicted = np.maximum(terms @ found, 1e-3 * seconds)
        error = np.log(seconds / predicted)
        weights = 1.0 / np.maximum(np.abs(error), width)
        # Longer steps leave the range in which the logarithm is nearly a line.
        goal = predicted * (1.0 + np.clip(error, -0.5, 0.5))
        found = fit_relative(terms, goal, weights * (goal / predicted) ** 2)
    return found


def outlier_weights(errors: Floats) -> Floats:
    """1 for the errors that are usual, less in proportion beyond three times the median (Huber 1964)."""
    size = np.abs(errors)
    usual = max(3.0 * float(np.median(size)), 1e-9)
    return np.asarray(np.minimum(1.0, usual / np.maximum(size, 1e-12)), dtype=np.float64)


def _active_sets(rows: Floats, goal: Floats) -> Floats:
    count = rows.shape[1]
    found = np.zeros(count)
    free = np.zeros(count, dtype=bool)
    tolerance = 1e-10 * max(1.0, float(np.linalg.norm(goal)))
    for _ in range(10 * count):
        slope = rows.T @ (goal - rows @ found)
        if free.all() or float(slope[~free].max()) <= tolerance:
            break
        free[int(np.argmax(np.where(free, -np.inf, slope)))] = True
        found = _inside(rows, goal, found, free)
    return found


def _inside(rows: Floats, goal: Floats, start: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """The least squares of the free columns, walked to from ``start``; columns that would turn negative are fixed."""
    found = start
    while free.any():
        wanted = np.zeros_like(found)
        wanted[free] = np.linalg.lstsq(rows[:, free], goal, rcond=None)[0]
        if wanted[free].min() > 0.0:
            return wanted
        blocked = free & (wanted <= 0.0)
        gap = found[blocked] - wanted[blocked]
        share = np.divide(found[blocked], gap, out=np.zeros_like(gap), where=gap > 0.0).min()
        found = found + share * (wanted - found)
        free &= found > 1e-14
        found[~free] = 0.0
    return np.zeros_like(found)


def isotonic(values: Floats, weights: Floats) -> Floats:
    """The nondecreasing values nearest to ``values`` in weighted squares.

    Pool adjacent violators (Barlow et al., "Statistical Inference under Order Restrictions", 1972).
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, count = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, more, members = blocks.pop()
            mean = (before * more + mean * mass) / (more + mass)
            mass, count = mass + more, count + members
        blocks.append((mean, mass, count))
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
