"""Ranges of batch sizes, in our form and in that of performance_maxbs."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.spec.batch_ranges import parse_batch_ranges


@pytest.mark.parametrize(
    ("texts", "cases", "expected"),
    [
        (("1-1000",), 1, [(1, 1000)]),
        (("1-1000",), 3, [(1, 1000)] * 3),
        (("1-1000", "200:300"), 2, [(1, 1000), (200, 300)]),
        (("1-1000 200-300",), 2, [(1, 1000), (200, 300)]),
        (("[[1,1000],[200,300]]",), 2, [(1, 1000), (200, 300)]),
        (("[[200, 300]]",), 1, [(200, 300)]),
        (("[5,5]",), 1, [(5, 5)]),
    ],
)
def test_ranges_are_read(texts: tuple[str, ...], cases: int, expected: list[tuple[int, int]]) -> None:
    assert parse_batch_ranges(texts, cases) == expected


@pytest.mark.parametrize(
    ("texts", "cases", "said"),
    [
        (("0-10",), 1, "0-10: the smallest batch is 1"),
        (("20-10",), 1, "20-10: the smallest batch is 1, and the largest no smaller"),
        (("many",), 1, "many: it is no range of batch sizes"),
        (("1-2-3",), 1, "1-2-3: it is no range of batch sizes"),
        (("1-10", "1-20"), 3, "has 2 ranges for 3 pairs of lengths"),
    ],
)
def test_what_is_no_range_is_refused(texts: tuple[str, ...], cases: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_batch_ranges(texts, cases)
