"""Whether prompts had the lengths that were asked for: the same prompts as three sides count them."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats, PointData

_BINS = 6
_SIDES = {"asked": "input_tokens_target", "client": "input_tokens_client", "server": "input_tokens_server"}
_PAIRS = (("client", "asked"), ("server", "asked"), ("server", "client"))


class Bin(msgspec.Struct, frozen=True):
    """Requests whose difference is between two whole numbers of tokens, both included."""

    low: int
    high: int
    requests: int


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far two counts of the same prompts are apart, in tokens.

    Attributes:
        side: whose count; ``client`` or ``server``.
        against: the count that is taken from it; ``asked`` or ``client``.
        requests: those that have both counts.
        differ: those whose counts differ.
        bins: all of them by their difference, those without any included.
    """

    side: str
    against: str
    requests: int
    differ: int
    mean: float
    bins: list[Bin]


def input_drift(data: PointData) -> list[Drift]:
    """The pairs of counts that differ for any successful request; later turns of sessions are left out.

    A server's count holds its chat template, which no other count does; a later turn's holds the turns before it.
    It also holds the pictures, so that it says nothing of the text of a request that has some.
    """
    columns = {side: data.column(name) for side, name in _SIDES.items()}
    first = np.nan_to_num(data.column("turn")) == 0
    text_alone = first & ~(data.column("images") > 0)
    found = [
        _drift(side, other, (columns[side] - columns[other])[text_alone if side == "server" else first])
        for side, other in _PAIRS
    ]
    drifts = [drift for drift in found if drift is not None]
    # Where the client's count is the one asked for, the server's distance to both is the same.
    pairs = {(drift.side, drift.against) for drift in drifts}
    alike = ("client", "asked") not in pairs and ("server", "asked") in pairs
    return [drift for drift in drifts if not (alike and drift.against == "client")]


def _drift(side: str, against: str, difference: Floats) -> Drift | None:
    known = difference[~np.isnan(difference)].astype(np.int64)
    differ = int(np.count_nonzero(known))
    if not differ:
        return None
    low, high = int(known.min()), int(known.max())
    width = -(-(high - low + 1) // _BINS)
    places = (known - low) // width
    numbers = np.bincount(places, minlength=1).tolist()
    bins = [
        Bin(low + place * width, min(high, low + (place + 1) * width - 1), number)
        for place, number in enumerate(numbers)
        if number
    ]
    return Drift(
        side=side, against=against, requests=len(known), differ=differ, mean=float(known.mean()), bins=bins
    )
