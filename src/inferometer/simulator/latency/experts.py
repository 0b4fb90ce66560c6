"""Mixtures of experts: a step reads the weights of those experts that its tokens are sent to."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import Coefficients, LinearModel


class TouchedExperts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the weights a step reads.

    With tokens that choose ``picked`` of all experts independently and evenly, an expert is left alone by T tokens
    with probability ``(1 - picked)**T``. Real routers are uneven, so this is the most that a step reads.

    Attributes:
        routed: share of the weights' bytes that lies in routed experts, 0 to 1.
        picked: share of the experts that a token goes to: experts per token / experts.

    Raises:
        UsageError: a share outside of its range.
    """

    routed: float
    picked: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.routed <= 1.0 or not 0.0 < self.picked <= 1.0:
            raise UsageError(
                f"experts: routed={self.routed} must be within 0 and 1, picked={self.picked} more than 0 and at most 1"
            )

    def read(self, tokens: int) -> float:
        """Share of the weights that a step of so many tokens reads, 0 to 1; nondecreasing."""
        return 1.0 - self.routed * (1.0 - self.picked) ** tokens


class MixtureModel(LinearModel):
    """The step model of ``Coefficients`` where ``weights_s`` is paid as far as experts are touched.

    For one number of tokens the share is the same, so a stretch of decode steps stays affine in its KV tokens.
    """

    def __init__(self, coefficients: Coefficients, experts: TouchedExperts) -> None:
        super().__init__(coefficients)
        self.experts = experts

    def _unread_s(self, tokens: int) -> float:
        """Seconds that ``Coefficients`` counts for experts that no token was sent to."""
        cost = self.coefficients
        compute_s = cost.token_s * tokens
        return max(cost.weights_s, compute_s) - max(cost.weights_s * self.experts.read(tokens), compute_s)

    def step_s(self, shape: StepShape) -> float:
        """See ``StepModel``."""
        return super().step_s(shape) - self._unread_s(shape.tokens)

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """See ``StepModel``."""
        fixed, slope = super().decode_line(decodes)
        return fixed - self._unread_s(decodes), slope


def step_model(coefficients: Coefficients, experts: TouchedExperts | None) -> LinearModel:
    """The model of a dense one, or of a mixture."""
    return LinearModel(coefficients) if experts is None else MixtureModel(coefficients, experts)
