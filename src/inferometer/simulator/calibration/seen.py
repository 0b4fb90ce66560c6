"""Which coefficients the data can see, and the load points that would show the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from inferometer.simulator.calibration.fit import NAMES, Fit, Prior

UNSEEN_SHARE: Final = 0.7
_TOGETHER: Final = 0.9
_POINTS: Final = {
    "weights_s": "concurrency 1 with long outputs (1 x 128 in, 1024 out)",
    "token_s": "long prompts of which several share a step (concurrency 16, 4096 in, 16 out)",
    "step_s": "concurrency 1 and concurrency 64 with short prompts (128 in, 512 out)",
    "sequence_s": "high concurrency with short context (concurrency 256, 64 in, 256 out)",
    "kv_token_s": "the same concurrency with short and with long context (concurrency 32, 256 in and 8192 in, 512 out)",
    "attention_s": "a single very long prompt (concurrency 1, 16384 in, 16 out)",
    "arrival_s": "concurrency 1 with the shortest prompts (16 in, 16 out)",
    "first_token_s": "concurrency 1 with the shortest prompts (16 in, 16 out)",
    "comm_token_s": "long prompts on one device and on several (concurrency 4, 4096 in, 16 out)",
    "prompt_step_s": "short prompts beside decodes (concurrency 16, 32 in, 64 out)",
}


class Seen(msgspec.Struct, frozen=True):
    """How well one coefficient is known.

    Attributes:
        name: of the coefficient.
        prior_spread: standard deviation of its logarithm before the data.
        spread: after the data, the other coefficients unknown too.
        mixed_with: the coefficient that the data confuse it with most; None = with none.
        add: a load point that would show it; None where it is seen.
    """

    name: str
    prior_spread: float
    spread: float
    mixed_with: str | None
    add: str | None

    @property
    def seen(self) -> bool:
        """Whether the data narrowed it down."""
        return self.add is None


def identifiability(fit: Fit, prior: Prior) -> list[Seen]:
    """What the data say about each coefficient that was not held, the worst known first.

    The spread after the data is the Laplace approximation at the optimum: the inverse of the curvature of the loss.
    A coefficient that keeps more than ``UNSEEN_SHARE`` of its prior spread counts as not seen.
    """
    columns = [i for i, name in enumerate(NAMES) if np.any(fit.jacobian[:, i]) or _free(prior, i, name)]
    believed = np.array(prior.spread)[columns]
    jacobian = fit.jacobian[:, columns]
    covariance = np.linalg.inv(jacobian.T @ jacobian + np.diag(1 / believed**2))
    spreads = np.sqrt(np.diag(covariance))
    correlation = np.abs(covariance / np.outer(spreads, spreads)) - np.eye(len(columns))
    rows = []
    for i, column in enumerate(columns):
        name, partner = NAMES[column], int(np.argmax(correlation[i]))
        mixed = NAMES[columns[partner]] if correlation[i, partner] > _TOGETHER else None
        unseen = spreads[i] > UNSEEN_SHARE * believed[i]
        add = _POINTS[name] if unseen else None
        rows.append(Seen(name, float(believed[i]), float(spreads[i]), mixed, add))
    return sorted(rows, key=lambda row: -row.spread / row.prior_spread)


def warnings(rows: Sequence[Seen]) -> list[str]:
    """Sentences for the coefficients that only the prior determines."""
    sentences = []
    for row in rows:
        if row.seen:
            continue
        mixed = f" (it cannot be told from {row.mixed_with})" if row.mixed_with else ""
        sentences.append(f"the data do not determine {row.name}{mixed}: measure {row.add}")
    return sentences


def _free(prior: Prior, index: int, name: str) -> bool:
    return prior.spread[index] > 0 and getattr(prior.center, name) > 0
