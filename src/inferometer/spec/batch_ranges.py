"""Ranges of batch sizes, one per pair of lengths, as ``--batch-range`` takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inferometer.errors import UsageError

_RANGE = re.compile(r"\[?\s*(\d+)\s*[-:,]\s*(\d+)\s*\]?")
_NEXT = "write one range for all pairs of lengths, or one per pair: 1-1000 200-300, or [[1,1000],[200,300]]"


def parse_batch_ranges(texts: Sequence[str], cases: int) -> list[tuple[int, int]]:
    """Smallest and largest batch of each case, both included.

    Args:
        texts: ``1-1000``, ``1:1000``, or lists in brackets as ``performance_maxbs`` takes them.
        cases: how many pairs of lengths there are; one range serves all of them.

    Raises:
        UsageError: written otherwise, a range that is empty or begins below 1, or another number of ranges than cases.
    """
    found = [pair for text in texts for pair in _pairs(text)]
    for low, high in found:
        if not 1 <= low <= high:
            raise UsageError(
                f"--batch-range {low}-{high}: the smallest batch is 1, and the largest no smaller", _NEXT
            )
    if len(found) not in (1, cases):
        raise UsageError(f"--batch-range has {len(found)} ranges for {cases} pairs of lengths", _NEXT)
    return found * cases if len(found) == 1 else found


def _pairs(text: str) -> list[tuple[int, int]]:
    inner = re.fullmatch(r"\s*\[\s*(\[.*\])\s*\]\s*", text)
    parts = (
        re.split(r"(?<=\])\s*,?\s*(?=\[)", inner[1]) if inner else re.split(r"(?<=\d)\s+(?=\d)", text.strip())
    )
    matches = [_RANGE.fullmatch(part) for part in parts]
    pairs = [(int(match[1]), int(match[2])) for match in matches if match is not None]
    if len(pairs) != len(parts):
        raise UsageError(f"--batch-range {text}: it is no range of batch sizes", _NEXT)
    return pairs
