"""Spans of time in lanes, so that no two of one lane overlap: how requests in flight are drawn."""

from __future__ import annotations

import heapq

import numpy as np

from inferometer.metrics.latency import Floats, Ints


def lanes(start: Floats, end: Floats) -> Ints:
    """A lane for each span: the lowest one that is free at its start, so there are no more than overlap at a time.

    A span that begins when another ends may have its lane. This is the colouring of an interval graph in order of the
    starts, which needs as few lanes as any (Kleinberg and Tardos, Algorithm Design, 4.1).

    Args:
        start: of each span; no NaN.
        end: of each span, none before its start.
    """
    lane = np.zeros(len(start), dtype=np.int64)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    used = 0
    ends = end.tolist()
    for place in np.lexsort((end, start)).tolist():
        begins = float(start[place])
        while busy and busy[0][0] <= begins:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            own = heapq.heappop(free)
        else:
            own, used = used, used + 1
        lane[place] = own
        heapq.heappush(busy, (ends[place], own))
    return lane
