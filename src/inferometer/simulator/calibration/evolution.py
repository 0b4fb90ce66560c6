"""CMA-ES in numpy: minimises what jumps, from a start whose shape is known (Hansen 2016, arXiv 1604.00772)."""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class _Weights:
    """Constants of the strategy for a dimension, as in the paper's table 1, positive weights only."""

    def __init__(self, dimension: int) -> None:
        n = dimension
        self.offspring = 4 + int(3 * log(n + 1)) * 2
        raw = log((self.offspring + 1) / 2) - np.log(np.arange(1, self.offspring // 2 + 1))
        self.weights: Floats = raw / raw.sum()
        self.effective = float(1 / (self.weights**2).sum())
        mu = self.effective
        self.path_sigma = (mu + 2) / (n + mu + 5)
        self.damp = 1 + 2 * max(0.0, sqrt((mu - 1) / (n + 1)) - 1) + self.path_sigma
        self.path = (4 + mu / n) / (n + 4 + 2 * mu / n)
        self.rank_one = 2 / ((n + 1.3) ** 2 + mu)
        self.rank_mu = min(1 - self.rank_one, 2 * (mu - 2 + 1 / mu) / ((n + 2) ** 2 + mu))
        self.length = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))


def minimise(
    loss: Callable[[Floats], float], start: Floats, covariance: Floats, seed: int, *, evaluations: int
) -> tuple[Floats, float]:
    """The best point found and its loss; never worse than the start.

    Args:
        loss: finite or infinite, no NaN.
        start: first mean.
        covariance: first shape and size of the search, positive definite.
        seed: of the random numbers.
        evaluations: of ``loss`` at most.
    """
    random = np.random.default_rng(seed)
    constants = _Weights(len(start))
    mean, shape, sigma = start.copy(), covariance.copy(), 1.0
    path = np.zeros_like(start)
    path_sigma = np.zeros_like(start)
    best, least = start.copy(), loss(start)
    for _ in range(max(0, evaluations - 1) // constants.offspring):
        values, axes = np.linalg.eigh((shape + shape.T) / 2)
        scales = np.sqrt(np.maximum(values, 1e-20))
        steps = (random.standard_normal((constants.offspring, len(start))) * scales) @ axes.T
        losses = np.array([loss(mean + sigma * step) for step in steps])
        order = np.argsort(losses, kind="stable")
        if losses[order[0]] < least:
            best, least = mean + sigma * steps[order[0]], float(losses[order[0]])
        chosen = steps[order[: len(constants.weights)]]
        move = constants.weights @ chosen
        mean = mean + sigma * move
        white = axes @ ((axes.T @ move) / scales)
        keep = constants.path_sigma
        path_sigma = (1 - keep) * path_sigma + sqrt(keep * (2 - keep) * constants.effective) * white
        keep = constants.path
        path = (1 - keep) * path + sqrt(keep * (2 - keep) * constants.effective) * move
        rank_mu = (chosen * constants.weights[:, None]).T @ chosen
        old = 1 - constants.rank_one - constants.rank_mu
        shape = old * shape + constants.rank_one * np.outer(path, path) + constants.rank_mu * rank_mu
        stretch = float(np.linalg.norm(path_sigma)) / constants.length - 1
        sigma *= float(np.exp(min(1.0, constants.path_sigma / constants.damp * stretch)))
    return best, least
