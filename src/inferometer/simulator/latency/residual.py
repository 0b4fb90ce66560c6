"""What step records say beside the coefficients: small corrections, monotone, and only where there were records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from inferometer.errors import DataError
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import LinearModel
from inferometer.simulator.latency.nonnegative import Floats, isotonic, outlier_weights

FEWEST_STEPS = 200
LARGEST = 0.3
"""Corrections are at most this share of what they correct."""
_MOST_KNOTS = 12
_STEPS_PER_KNOT = 20
_PRIOR_STEPS = 10.0
_ROUNDS = 4


class Residual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Corrections of a step model.

    Seconds that depend on nothing but the number of tokens T are added, linear between knots: since the model itself
    is linear between its kink and the ends, and the kink is a knot, the corrected time of a dense model never falls
    where T rises. What decodes pay for their context is multiplied by a factor for their number, so a stretch of
    decode steps stays affine in its KV tokens; a free table over KV would break that. Both fade to nothing over one
    doubling outside of the knots.

    Attributes:
        token_knots: numbers of tokens, ascending.
        added_s: seconds at them.
        decode_knots: numbers of decoding sequences, ascending; may be empty.
        kv_factors: at them, within ``1 - LARGEST`` and ``1 + LARGEST``.

    Raises:
        DataError: knots that do not ascend, or not one value for each.
    """

    token_knots: tuple[float, ...]
    added_s: tuple[float, ...]
    decode_knots: tuple[float, ...] = ()
    kv_factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for knots, values in ((self.token_knots, self.added_s), (self.decode_knots, self.kv_factors)):
            rising = all(low < high for low, high in pairwise(knots))
            if len(knots) != len(values) or not rising or (knots and knots[0] <= 0.0):
                raise DataError("a residual table needs positive ascending knots and one value for each")
        if any(not 1.0 - LARGEST <= factor <= 1.0 + LARGEST for factor in self.kv_factors):
            raise DataError(f"factors of a residual table must be within 1 - {LARGEST} and 1 + {LARGEST}")

    def added(self, tokens: int) -> float:
        """Seconds that a step of so many tokens takes more, or less."""
        return _at(tokens, self.token_knots, self.added_s)

    def kv_factor(self, decodes: int) -> float:
        """Factor of what so many decodes pay for their context."""
        return 1.0 + _at(decodes, self.decode_knots, [factor - 1.0 for factor in self.kv_factors])


def _at(point: int, knots: Sequence[float], values: Sequence[float]) -> float:
    """Linear between the knots; outside, the end's value times a share that falls to 0 at half or double the end."""
    if not knots or point <= 0:
        return 0.0
    value = float(np.interp(point, knots, values))
    outside = max(knots[0] / point, point / knots[-1], 1.0)
    return value * max(0.0, 2.0 - outside)


class ResidualModel:
    """A step model with corrections."""

    def __init__(self, model: LinearModel, residual: Residual) -> None:
        self._model = model
        self._residual = residual
        self._kv_token_s = model.coefficients.kv_token_s
        # Steps come in few numbers of tokens and of decodes, and by the million.
        self._added_s: dict[int, float] = {}
        self._factors: dict[int, float] = {}

    def step_s(self, shape: StepShape) -> float:
        """See ``StepModel``."""
        kv_s = self._kv_token_s * shape.decode_kv_tokens
        return (
            self._model.step_s(shape) + (self._factor(shape.decodes) - 1.0) * kv_s + self._added(shape.tokens)
        )

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """See ``StepModel``."""
        fixed, slope = self._model.decode_line(decodes)
        return fixed + self._added(decodes), slope * self._factor(decodes)

    def _factor(self, decodes: int) -> float:
        found = self._factors.get(decodes)
        if found is None:
            found = self._factors[decodes] = self._residual.kv_factor(decodes)
        return found

    def _added(self, tokens: int) -> float:
        found = self._added_s.get(tokens)
        if found is None:
            found = self._added_s[tokens] = self._unstored(tokens)
        return found

    def _unstored(self, tokens: int) -> float:
        """Seconds to add; beyond the knots the sum is not below that at the last, before them not above the first's."""
        knots = self._residual.token_knots
        if not knots:
            return 0.0
        inner = min(max(tokens, round(knots[0])), round(knots[-1]))
        found = self._bounded(tokens)
        if inner == tokens:
            return found
        end_s = token_seconds(self._model, inner) + self._bounded(inner) - token_seconds(self._model, tokens)
        return max(found, end_s) if tokens > inner else min(found, end_s)

    def _bounded(self, tokens: int) -> float:
        """Held to ``LARGEST`` of the model too, since the coefficients may be those of another fit (an ensemble)."""
        most = LARGEST * token_seconds(self._model, tokens)
        return min(max(self._residual.added(tokens), -most), most)


def token_seconds(model: LinearModel, tokens: float) -> float:
    """Seconds of a step of so many tokens without sequences, context and attention."""
    return model.step_s(StepShape(round(tokens), 0, 0, 0.0, 0, 0))


def fit_residual(model: LinearModel, shapes: Sequence[StepShape], seconds: Sequence[float]) -> Residual:
    """The corrections that records of steps call for.

    Least squares in relative error over hat functions at the knots, each drawn towards no correction by what
    ``_PRIOR_STEPS`` records weigh, outliers at the weight of their sign; then the nearest nondecreasing times, and
    the bounds.

    Raises:
        DataError: fewer than 200 records, or a time that is not positive.
    """
    observed = np.asarray(seconds, dtype=np.float64)
    if len(shapes) < FEWEST_STEPS or not (observed > 0.0).all():
        raise DataError(
            f"a residual table needs at least {FEWEST_STEPS} step records with positive times, not {len(shapes)}",
            "use the coefficients alone",
        )
    tokens = np.asarray([shape.tokens for shape in shapes], dtype=np.float64)
    decodes = np.asarray([shape.decodes for shape in shapes], dtype=np.float64)
    kv_s = (
        np.asarray([shape.decode_kv_tokens for shape in shapes], dtype=np.float64)
        * model.coefficients.kv_token_s
    )
    predicted = np.asarray([model.step_s(shape) for shape in shapes])
    token_knots = _token_knots(model, tokens)
    decode_knots = _knots(decodes[kv_s > 0.0])
    base_s = np.asarray([token_seconds(model, knot) for knot in token_knots])
    hats = _hats(tokens, token_knots) * base_s
    terms = np.concatenate([hats, _hats(decodes, decode_knots) * kv_s[:, None]], axis=1)
    found = _ridge(terms / observed[:, None], (observed - predicted) / observed)
    shares, factors = found[: len(token_knots)], found[len(token_knots) :]
    mass = hats.sum(axis=0) + 1e-12
    times = isotonic(base_s * (1.0 + shares), mass)
    return Residual(
        token_knots=tuple(token_knots.tolist()),
        added_s=tuple(np.clip(times - base_s, -LARGEST * base_s, LARGEST * base_s).tolist()),
        decode_knots=tuple(decode_knots.tolist()),
        kv_factors=tuple(np.clip(1.0 + factors, 1.0 - LARGEST, 1.0 + LARGEST).tolist()),
    )


def _ridge(terms: Floats, goal: Floats) -> Floats:
    weights = np.ones(len(goal))
    found = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        # A knot whose records are few, or to which the term hardly matters, stays near 0: the prior is a number of
        # records of which the corrected part is the whole step.
        normal = (terms * weights[:, None]).T @ terms + _PRIOR_STEPS * np.eye(terms.shape[1])
        found = np.linalg.solve(normal, (terms * weights[:, None]).T @ goal)
        weights = outlier_weights(goal - terms @ found)
    return np.asarray(found, dtype=np.float64)


def _knots(points: Floats) -> Floats:
    """Geometric numbers over what was seen, no more than records carry."""
    if len(points) < _STEPS_PER_KNOT:
        return np.empty(0)
    count = min(_MOST_KNOTS, max(1, len(points) // _STEPS_PER_KNOT))
    return np.unique(np.round(np.geomspace(max(points.min(), 1.0), points.max(), count)))


def _token_knots(model: LinearModel, tokens: Floats) -> Floats:
    knots = _knots(tokens)
    cost = model.coefficients
    if cost.token_s > 0.0:
        kink = cost.weights_s / cost.token_s
        if knots[0] < kink < knots[-1]:
            knots = np.unique(np.append(knots, round(kink)))
    return knots


def _hats(points: Floats, knots: Floats) -> Floats:
    """How much each knot counts at each point: linear interpolation as a matrix."""
    if len(knots) == 0:
        return np.empty((len(points), 0))
    unit = np.eye(len(knots))
    return np.stack([np.interp(points, knots, row) for row in unit], axis=1)
