"""Where a calibration may be trusted: the convex hull of the loads it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError

Floats = NDArray[np.float64]
_NEAR: Final = 0.1
_ROUNDS: Final = 400


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """A load as the trust region knows it: typical values, all above 0.

    Attributes:
        step_tokens: tokens of the largest steps.
        decodes: sequences that decode at the same time.
        kv_tokens: context that a decode step reads.
        input_tokens: of a prompt.
        output_tokens: of an answer.
    """

    step_tokens: float
    decodes: float
    kv_tokens: float
    input_tokens: float
    output_tokens: float

    def logs(self) -> Floats:
        """Logarithms, in the order of the fields."""
        values = [getattr(self, name) for name in self.__struct_fields__]
        if min(values) <= 0:
            raise UsageError(f"a load of the trust region must have values above 0, not {values}")
        return np.log(values)


class Hull(msgspec.Struct, frozen=True):
    """Loads that a calibration has seen."""

    seen: tuple[Where, ...]

    def distance(self, load: Where) -> float:
        """Distance to the convex hull of logarithms; 0.1 is about 10 %. Frank-Wolfe with away-free exact steps."""
        points = np.stack([seen.logs() for seen in self.seen]) - load.logs()
        nearest = points[int(np.argmin((points**2).sum(axis=1)))]
        for _ in range(_ROUNDS):
            corner = points[int(np.argmin(points @ nearest))]
            toward = corner - nearest
            length = float(toward @ toward)
            gain = -float(nearest @ toward)
            if length == 0.0 or gain <= 1e-9:
                break
            nearest = nearest + min(1.0, gain / length) * toward
        return float(np.linalg.norm(nearest))

    def warnings(self, load: Where) -> list[str]:
        """What of a load lies outside what was seen; empty inside."""
        sentences = []
        for name in load.__struct_fields__:
            values = [getattr(seen, name) for seen in self.seen]
            asked, low, high = getattr(load, name), min(values), max(values)
            if not low / (1 + _NEAR) <= asked <= high * (1 + _NEAR):
                sentences.append(
                    f"{name}={asked:.0f} is outside the calibrated range {low:.0f} to {high:.0f}: extrapolated"
                )
        if not sentences and (away := self.distance(load)) > _NEAR:
            sentences.append(
                f"this combination of load values was not calibrated (about {np.expm1(away):.0%} from the nearest): "
                "extrapolated"
            )
        return sentences


def hull_of(loads: Sequence[Where]) -> Hull:
    """The trust region of a calibration.

    Raises:
        UsageError: no load.
    """
    if not loads:
        raise UsageError("a trust region needs at least one measured load")
    return Hull(tuple(loads))
