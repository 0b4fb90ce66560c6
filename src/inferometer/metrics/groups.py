"""The requests of one load point in groups: by turn of their session, by the model that they ask, by any column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from inferometer.metrics.counts import failed_rows
from inferometer.metrics.latency import Bools, Floats, PointData
from inferometer.metrics.percentiles import Stat, stat
from inferometer.metrics.throughput import total

TURNS_APART = 8  # later ones are only in the group of all later turns


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Some requests of a load point in numbers.

    Attributes:
        requests: how many have a record.
        failed: not successful; those cut off at the end of the load point, or given up as asked, left out.
        input_tokens: of the successful ones; None where one is not known, as in all totals.
        cached_tokens: prompt tokens that the server took from its prefix cache.
        stats: TTFT, TPOT and E2EL in ms, by key ("ttft_ms"); one without a value is not in it.
    """

    name: str
    requests: int
    ok: int
    failed: int
    input_tokens: float | None
    cached_tokens: float | None
    output_tokens: float | None
    stats: dict[str, Stat]


def groups_of(data: PointData, percentiles: Sequence[float]) -> dict[str, list[Group]]:
    """All groups that tell requests of this load point apart: "turn" for sessions, "model" for a mix of models."""
    found = {
        "turn": grouped(data, turns(data.table.number("turn")), percentiles),
        "model": grouped(data, values(data.table.text("model")), percentiles),
    }
    return {kind: groups for kind, groups in found.items() if groups}


def grouped(data: PointData, masks: Mapping[str, Bools], percentiles: Sequence[float]) -> list[Group]:
    """The numbers of each group, in order.

    Args:
        data: the load point.
        masks: by name of the group, which requests of the load point are in it; they may overlap.
        percentiles: which to show.
    """
    return [_group(data, name, mask, percentiles) for name, mask in masks.items()]


def turns(turn: Floats) -> dict[str, Bools]:
    """First and later turns, and each of the first eight; empty where there are no later turns."""
    later = turn > 0
    if not later.any():
        return {}
    last = min(int(turn.max()) + 1, TURNS_APART)
    each = {f"turn {number}": turn == number - 1 for number in range(1, last + 1)}
    return {"first turn": ~later, "later turns": later, **each}


def values(column: np.ndarray) -> dict[str, Bools]:
    """One group for each value of a text column, by name; empty where no row has one.

    Rows without a value are the group "(none)".
    """
    known = np.asarray([value is not None for value in column], dtype=bool)
    if not known.any():
        return {}
    names = sorted(set(column[known].tolist()))
    masks = {str(name): np.asarray(column == name, dtype=bool) for name in names}
    return masks if known.all() else {**masks, "(none)": ~known}


def _group(data: PointData, name: str, mask: Bools, percentiles: Sequence[float]) -> Group:
    mine = mask[data.ok]  # among the successful ones
    samples = {"ttft_ms": data.ttft_ms, "tpot_ms": data.tpot_ms, "e2el_ms": data.e2el_ms}
    stats = {key: stat(sample[mine], percentiles) for key, sample in samples.items()}
    ok = int(mine.sum())
    return Group(
        name=name,
        requests=int(mask.sum()),
        ok=ok,
        failed=int((mask & failed_rows(data.table)).sum()),
        input_tokens=total(data.input_tokens[mine]),
        cached_tokens=total(data.column("cached_tokens")[mine]),
        output_tokens=total(data.output_tokens[mine]),
        stats={key: found for key, found in stats.items() if found is not None},
    )
