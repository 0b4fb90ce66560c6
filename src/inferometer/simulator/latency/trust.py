"""Where a calibration may be trusted: the convex hull of the loads it has seen."""

from __future__ import annotations

from itertools import product
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError

Floats = NDArray[np.float64]
_NEAR: Final = 0.1
"""By how much (share) one value may lie outside of its range."""
_COMBINED: Final = 0.25
"""How far (log distance) a combination of values, each in its range, may lie from those that were seen."""
_ROUNDS: Final = 400
_LOOKED_AT: Final = 1000


class Where(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A load as the trust region knows it: typical values, all above 0.

    Attributes:
        step_tokens: tokens of the largest steps.
        decodes: sequences that decode at the same time.
        kv_tokens: context that a decode step reads.
        input_tokens: of a prompt.
        output_tokens: of an answer.

    Raises:
        UsageError: a value that is not above 0.
    """

    step_tokens: float
    decodes: float
    kv_tokens: float
    input_tokens: float
    output_tokens: float

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in self.__struct_fields__]
        if not min(values) > 0:
            raise UsageError(f"a load of the trust region must have values above 0, not {values}")

    def logs(self) -> Floats:
        """Logarithms, in the order of the fields."""
        return np.log([getattr(self, name) for name in self.__struct_fields__])


def distance(seen: tuple[Where, ...], load: Where) -> float:
    """Distance of a load to the convex hull of those seen, in logarithms; 0.1 is about 10 %. 0 where nothing was seen.

    By Frank-Wolfe with exact steps (Jaggi 2013, ICML), which needs no facets: five dimensions and many loads.
    """
    if not seen:
        return 0.0
    points = np.stack([each.logs() for each in seen]) - load.logs()
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


def outside(seen: tuple[Where, ...], load: Where) -> tuple[str, ...]:
    """What of a load lies outside of those seen, a sentence each; empty inside, or where nothing was seen."""
    sentences = []
    for name in load.__struct_fields__ if seen else ():
        values = [getattr(each, name) for each in seen]
        asked, low, high = getattr(load, name), min(values), max(values)
        if not low / (1 + _NEAR) <= asked <= high * (1 + _NEAR):
            sentences.append(
                f"{name}={asked:.0f} is outside of the calibrated {low:.0f} to {high:.0f}: extrapolated"
            )
    if seen and not sentences and (away := distance(seen, load)) > _COMBINED:
        sentences.append(
            f"this combination of load values was not calibrated (about {np.expm1(away):.0%} from the nearest): "
            "extrapolated"
        )
    return tuple(sentences)


def typical(tokens: tuple[Floats, Floats], times_s: tuple[Floats, Floats], step_tokens: int) -> Where:
    """The load that requests are to one instance, from when they had their tokens: what one asks for.

    Decodes and context are what a request sees in the middle of its answer (``_beside``), at the 90th percentile over
    the requests, as are lengths; tokens of a step are those decodes, or the longest chunk that a prompt can be given.

    Args:
        tokens: of prompts and of answers.
        times_s: of first and last token of each answer; all known.
        step_tokens: that a step may have at most.
    """
    decodes, context = (float(np.percentile(each, 90)) for each in _beside(tokens, times_s))
    given, made = (float(np.percentile(each, 90)) for each in tokens)
    return _where(decodes, context, (given, made), min(float(tokens[0].max()), float(step_tokens)))


def shown(
    tokens: tuple[Floats, Floats], times_s: tuple[Floats, Floats], step_tokens: int
) -> tuple[Where, ...]:
    """What a measured load point has shown of an engine: more than its ``typical`` load.

    Its quieter, usual and busier moments (10, 50 and 90 %), each with short and long prompts and answers (10 and 90 %),
    which come together in every way. Arguments are those of ``typical``, which is one of them at the least.
    """
    decodes, context = (np.percentile(each, (10, 50, 90)).tolist() for each in _beside(tokens, times_s))
    given, made = (np.percentile(each, (10, 90)).tolist() for each in tokens)
    longest = float(tokens[0].max())
    return tuple(
        dict.fromkeys(
            _where(
                busy,
                held,
                lengths,
                min(longest if lengths[0] == given[-1] else lengths[0], float(step_tokens)),
            )
            for (busy, held), lengths in product(zip(decodes, context, strict=True), product(given, made))
        )
    )


def _where(decodes: float, context: float, lengths: tuple[float, float], chunk: float) -> Where:
    return Where(
        step_tokens=max(chunk, decodes),
        decodes=decodes,
        kv_tokens=context,
        input_tokens=lengths[0],
        output_tokens=lengths[1],
    )


def _beside(tokens: tuple[Floats, Floats], times_s: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Answers under way in the middle of each answer, and their context; of 1,000 requests at most, taken evenly."""
    (inputs, outputs), (first, last) = tokens, times_s
    looked_at = np.unique(np.linspace(0, len(first) - 1, min(len(first), _LOOKED_AT)).astype(int))
    beside, context = np.ones(len(looked_at)), np.ones(len(looked_at))
    for place, now in enumerate((first[looked_at] + last[looked_at]) / 2):
        active = (first <= now) & (last >= now)
        share = (now - first[active]) / np.maximum(last[active] - first[active], 1e-9)
        beside[place] = active.sum()
        context[place] = (inputs[active] + outputs[active] * share).sum()
    return beside, context
