from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.metrics.lanes import lanes

_SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=40,
)


def test_a_span_takes_the_lowest_lane_that_is_free() -> None:
    start, end = np.array([0.0, 1.0, 2.0, 5.0]), np.array([4.0, 2.0, 3.0, 6.0])
    assert lanes(start, end).tolist() == [0, 1, 1, 0]


@settings(deadline=None)
@given(_SPANS)
def test_no_two_spans_of_a_lane_overlap_and_no_lane_is_too_many(spans: list[tuple[int, int]]) -> None:
    start = np.array([float(begin) for begin, _ in spans])
    end = np.array([float(last) for _, last in spans])
    lane = lanes(start, end)
    for number in set(lane.tolist()):
        own = sorted(zip(start[lane == number], end[lane == number], strict=True))
        assert all(before[1] <= after[0] for before, after in pairwise(own))
    long = start < end
    most = max((int(((start <= at) & (end > at) & long).sum()) for at in start), default=0)
    # A span of no length may need a lane of its own beside those that are open then.
    assert most <= len(set(lane.tolist())) <= most + (1 if (~long).any() else 0) or not len(spans)
