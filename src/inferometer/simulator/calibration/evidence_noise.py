"""Noise of a profile from the errors that fits made on what they had not seen: of requests, and of load points.

With several configurations those errors are of configurations left out, since a profile is asked about loads that
nobody measured; with one they are of its blocks of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.calibration.blocks import blocks_of
from inferometer.simulator.calibration.ensemble import interval
from inferometer.simulator.calibration.fit import Floats
from inferometer.simulator.calibration.noise import LeftOut, noise_of
from inferometer.simulator.calibration.residuals import METRICS, Compared, ComparedValues
from inferometer.simulator.latency.profile import Noise

_FEWEST: Final = 3
_FEWEST_FOR_P99: Final = 50
_MOST_STEPS: Final = 2000
_STATISTICS: Final[dict[str, tuple[Callable[[Floats], float], int]]] = {
    "mean": (lambda values: float(values.mean()), 1),
    "p50": (lambda values: float(np.median(values)), 4),
    "p99": (lambda values: float(np.percentile(values, 99)), _FEWEST_FOR_P99),
}


class _Piece(NamedTuple):
    """One block of a load point, or all of it: what was seen, what was told blindly, and by each member."""

    observed: Floats
    predicted: Floats
    members: tuple[Floats, ...]


def noise_from(requests: Sequence[Compared], values: Sequence[ComparedValues]) -> dict[str, Noise]:
    """Noise by metric: ``ttft``, ``tpot`` and ``e2el`` of one request; ``mean_ttft`` ... of a load point.

    A metric that was left out in fewer than three pieces has none. A table gives the noise of means alone; step records
    alone give that of single steps for all, since they say nothing nearer to a request.
    """
    found: dict[str, Noise] = {}
    for metric in METRICS:
        pieces = [piece for each in requests for piece in _pieces(each, metric)]
        if sum(len(piece.observed) for piece in pieces) >= _FEWEST and len(pieces) >= _FEWEST:
            found[metric] = noise_of(_rows(pieces))
        for name, (statistic, fewest) in _STATISTICS.items():
            reduced = [_reduced(piece, statistic) for piece in pieces if len(piece.observed) >= fewest]
            if len(reduced) >= _FEWEST:
                found[f"{name}_{metric}"] = noise_of(_rows(reduced))
    for each in values:
        known = np.isfinite(each.measured) & np.isfinite(each.left_out)
        if each.metric in METRICS and known.sum() >= _FEWEST:
            rows = LeftOut(
                each.left_out[known],
                each.measured[known],
                np.zeros(int(known.sum())),
                np.arange(int(known.sum())),
            )
            found.setdefault(f"mean_{each.metric}", noise_of(rows))
    steps = [each for each in values if each.metric == "step"]
    if steps and not found:
        found = dict.fromkeys(METRICS, noise_of(_of_steps(steps[0])))
    return found


def _of_steps(each: ComparedValues) -> LeftOut:
    """Records that were left out, evenly thinned; their blocks are their quarters."""
    known = np.flatnonzero(np.isfinite(each.left_out))
    chosen = known[np.unique(np.linspace(0, len(known) - 1, min(_MOST_STEPS, len(known))).astype(int))]
    blocks = blocks_of(np.ones(len(each.measured), np.bool_))
    return LeftOut(each.left_out[chosen], each.measured[chosen], np.zeros(len(chosen)), blocks[chosen])


def coverage_of(requests: Sequence[Compared]) -> dict[str, float]:
    """Share of the measured values of requests inside their 90 % intervals, by metric.

    A value's prediction is of a fit that had not seen its block or configuration, and the noise of its interval is
    that of all other pieces, so nothing is told of itself. Metrics of fewer than four pieces are left out.
    """
    found = {}
    for metric in METRICS:
        pieces = [piece for each in requests for piece in _pieces(each, metric) if piece.members]
        if len(pieces) <= _FEWEST:
            continue
        inside = [
            _inside(piece, noise_of(_rows([*pieces[:place], *pieces[place + 1 :]])))
            for place, piece in enumerate(pieces)
        ]
        found[metric] = float(np.mean(np.concatenate(inside)))
    return found


def _inside(piece: _Piece, noise: Noise) -> NDArray[np.bool_]:
    told = [
        interval(value, each, noise)
        for value, each in zip(
            piece.predicted.tolist(), np.stack(piece.members, axis=1).tolist(), strict=True
        )
    ]
    low, high = np.array([each.low for each in told]), np.array([each.high for each in told])
    held: NDArray[np.bool_] = (low <= piece.observed) & (piece.observed <= high)
    return held


def _pieces(each: Compared, metric: str) -> Iterable[_Piece]:
    measured = each.measured[metric]
    blind = np.where(np.isfinite(each.elsewhere[metric]), each.elsewhere[metric], each.blocked[metric])
    known = np.isfinite(measured) & np.isfinite(blind) & (measured > 0) & (blind > 0)
    for block in np.unique(each.block):
        rows = known & (each.block == block)
        if rows.any():
            yield _Piece(measured[rows], blind[rows], tuple(member[metric][rows] for member in each.members))


def _reduced(piece: _Piece, statistic: Callable[[Floats], float]) -> _Piece:
    return _Piece(
        np.array([statistic(piece.observed)]),
        np.array([statistic(piece.predicted)]),
        tuple(np.array([statistic(member)]) for member in piece.members),
    )


def _rows(pieces: Sequence[_Piece]) -> LeftOut:
    spreads = [
        np.log(np.stack(piece.members)).std(axis=0, ddof=1)
        if len(piece.members) > 1
        else np.zeros(len(piece.observed))
        for piece in pieces
    ]
    blocks = [np.full(len(piece.observed), number) for number, piece in enumerate(pieces)]
    return LeftOut(
        np.concatenate([piece.predicted for piece in pieces]),
        np.concatenate([piece.observed for piece in pieces]),
        np.concatenate(spreads),
        np.concatenate(blocks),
    )
