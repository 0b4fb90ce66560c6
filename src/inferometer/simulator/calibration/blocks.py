"""Errors of predictions that their fits had not seen: blocks of time left out, and configurations left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import numpy as np

from inferometer.simulator.calibration.evidence_fit import (
    Chosen,
    Evidence,
    JointFit,
    Mask,
    everything,
    nothing,
    refit,
)
from inferometer.simulator.calibration.fit import Floats

BLOCKS: Final = 4
_FEWEST_IN_A_BLOCK: Final = 4
_MOST_FOLDS: Final = 8
Kind = Literal["block", "configuration"]


class LeftOut(NamedTuple):
    """A part of the evidence that was left out of a fit, and what that fit found."""

    kind: Kind
    name: str
    out: Chosen
    logs: Floats


def blocks_of(used: Mask, blocks: int = BLOCKS) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The block of time of each request that counts, by the order of arrival; -1 for the others, or with too few."""
    place = np.full(len(used), -1, np.int64)
    count = int(used.sum())
    if count >= blocks * _FEWEST_IN_A_BLOCK:
        place[used] = np.arange(count) * blocks // count
    return place


def time_blocks(evidence: Evidence, blocks: int = BLOCKS) -> Iterator[tuple[Kind, str, Chosen]]:
    """Each block of time of all load points and step records; empty where there are too few."""
    requests = [blocks_of(each.used, blocks) for each in evidence.observed]
    steps = blocks_of(np.ones(len(evidence.steps), np.bool_), blocks)
    for block in range(blocks):
        out = nothing(evidence)._replace(
            requests=tuple(place == block for place in requests), steps=steps == block
        )
        if out.total:
            yield "block", f"block {block + 1} of {blocks}", out


def configurations(evidence: Evidence) -> Iterator[tuple[Kind, str, Chosen]]:
    """Each configuration: load points that were asked for alike, or rows of a table alone; several at a time if many.

    A row of a table beside runs is not left out: it only was the runs' prior.
    """
    names = list(dict.fromkeys(each.configuration for each in evidence.observed))
    if evidence.table_alone:
        names += [f"table row {row + 1}" for row in range(len(evidence.points))]
    if len(names) < 2:
        return
    folds = min(len(names), _MOST_FOLDS)
    for fold in range(folds):
        left = names[fold::folds]
        requests = tuple(each.used & np.bool_(each.configuration in left) for each in evidence.observed)
        points = np.array([f"table row {row + 1}" in left for row in range(len(evidence.points))], np.bool_)
        yield "configuration", "; ".join(left), nothing(evidence)._replace(requests=requests, points=points)


def cross_validate(evidence: Evidence, whole: JointFit, told: Callable[[int, int], None]) -> list[LeftOut]:
    """Fit without each block of time, and without each configuration; the load of what is left out stays.

    Args:
        evidence: what was measured.
        whole: the fit to all of it.
        told: of how many of these fits are done, and how many there are.
    """
    wanted = [*time_blocks(evidence), *configurations(evidence)]
    all_of = everything(evidence)
    found = []
    for place, (kind, name, out) in enumerate(wanted):
        told(place, len(wanted))
        kept = all_of.without(out)
        if kept.total and out.total:
            found.append(LeftOut(kind, name, out, refit(evidence, whole, kept)))
    told(len(wanted), len(wanted))
    return found
