"""The roofline of one operator, or of all linear layers, over the tokens that it is given."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.errors import DataError
from inferometer.simulator.latency.nonnegative import Floats, fit_relative, outlier_weights

_FEWEST_POINTS = 4
_KINKS = 96
_KNOTS_PER_OCTAVE = 2
LARGEST = 0.3
"""A ratio further from 1 than this is no tile but another regime, which a correction must not hide."""


class TokenCurve(msgspec.Struct, frozen=True):
    """``max(weights_s, token_s * tokens) + fixed_s + moved_s * tokens``: memory bound, then compute bound.

    Kernels come in tiles, so observations lie beside that line by some per cent. Where there are observations, their
    ratio to it is interpolated; beyond them the ratio at the end is held, and the line alone says how times grow.

    Attributes:
        weights_s: reading the weights.
        token_s: computing one token.
        fixed_s: launching.
        moved_s: reading and writing one token's activations.
        knots: numbers of tokens, ascending.
        ratios: of observed times to the line at the knots, within ``1 - LARGEST`` and ``1 + LARGEST``.
    """

    weights_s: float
    token_s: float
    fixed_s: float
    moved_s: float
    knots: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()

    def line(self, tokens: Floats) -> Floats:
        """Seconds for each of ``tokens`` without what was observed beside the line."""
        return np.maximum(self.weights_s, self.token_s * tokens) + self.fixed_s + self.moved_s * tokens

    def seconds(self, tokens: Floats) -> Floats:
        """Seconds for each of ``tokens``."""
        if not self.knots:
            return self.line(tokens)
        return self.line(tokens) * np.interp(np.log(tokens), np.log(self.knots), self.ratios)


def fit_curve(tokens: Floats, seconds: Floats) -> TokenCurve:
    """The curve with the least relative error; a rare outlier counts no more than its sign.

    For a given number of tokens at which the operator turns compute bound, the rest is linear in non-negative
    coefficients, so that point alone is searched, over the observed range.

    Raises:
        DataError: fewer than four different numbers of tokens, or a time that is not positive.
    """
    if len(set(tokens.tolist())) < _FEWEST_POINTS or not (seconds > 0.0).all() or not (tokens > 0.0).all():
        raise DataError(
            f"a curve over tokens needs at least {_FEWEST_POINTS} different numbers of tokens, "
            "all of them and their times positive",
        )
    kinks = np.geomspace(tokens.min(), tokens.max(), _KINKS)
    # Points of a geometric sweep and of a linear one are to give the same curve: each power of two counts the same.
    weights = _even_weights(tokens)
    best = None
    for _ in range(3):
        best = min(
            (_at_kink(tokens, seconds, weights, float(kink)) for kink in kinks), key=lambda each: each[0]
        )
        weights = _even_weights(tokens) * outlier_weights(best[1].line(tokens) / seconds - 1.0)
    assert best is not None
    return _with_ratios(best[1], tokens, seconds)


def _with_ratios(curve: TokenCurve, tokens: Floats, seconds: Floats) -> TokenCurve:
    """The curve with the median ratio of each half octave, counted from the largest number of tokens down."""
    ratio = np.clip(seconds / curve.line(tokens), 1.0 - LARGEST, 1.0 + LARGEST)
    cells = np.floor(np.log2(tokens.max() / tokens) * _KNOTS_PER_OCTAVE).astype(int)
    found = sorted(
        (float(np.exp(np.log(tokens[cells == cell]).mean())), float(np.median(ratio[cells == cell])))
        for cell in set(cells.tolist())
    )
    knots, ratios = zip(*found, strict=True)
    return msgspec.structs.replace(curve, knots=knots, ratios=ratios)


def _even_weights(tokens: Floats) -> Floats:
    octaves = np.floor(np.log2(tokens)).astype(int)
    _, group, count = np.unique(octaves, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[group], dtype=np.float64)


def _at_kink(tokens: Floats, seconds: Floats, weights: Floats, kink: float) -> tuple[float, TokenCurve]:
    terms = np.stack([np.ones_like(tokens), tokens, np.maximum(kink, tokens)], axis=1)
    fixed, moved, token = fit_relative(terms, seconds, weights).tolist()
    curve = TokenCurve(token * kink, token, fixed, moved)
    return float((weights * (curve.line(tokens) / seconds - 1.0) ** 2).sum()), curve
