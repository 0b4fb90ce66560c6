"""How far the recorded times of a run are from what the truth server did."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind
from inferometer.testing.truth_server import RequestTruth

Numbers = dict[str, float | None]


def matched(table: PointTable, log: Mapping[str, RequestTruth]) -> tuple[NDArray[np.float64], int]:
    """Recorded minus sent, in ns, for each content chunk, and how many content chunks found no partner.

    Chunks are joined by response id and order. A request whose count differs from the server's is left out whole,
    and its chunks count as unmatched.
    """
    content = table.chunks["kind"] == ChunkKind.CONTENT
    received = table.chunks["recv_ns"][content]
    owner = table.chunks["request"][content]
    starts = np.searchsorted(owner, table.number("index"), "left")
    ends = np.searchsorted(owner, table.number("index"), "right")
    epoch_ns = table.point.epoch_ns or 0
    errors = []
    unmatched = 0
    for identity, start, end in zip(table.text("response_id"), starts, ends, strict=True):
        truth = log.get(identity)
        if truth is None or len(truth.sent_ns) != end - start:
            unmatched += int(end - start)
        else:
            errors.append(received[start:end] - (truth.sent_ns - epoch_ns))
    return (np.concatenate(errors) if errors else np.empty(0)), unmatched


def timing_error(table: PointTable, log: Mapping[str, RequestTruth]) -> Numbers:
    """Percentiles of the error in us; its absolute value but for the smallest."""
    error_ns, unmatched = matched(table, log)
    found: Numbers = {"unmatched_chunks": unmatched, "matched_chunks": len(error_ns)}
    if not len(error_ns):
        return found
    size_us = np.abs(error_ns) / 1e3
    for name, percentile in (("p50", 50), ("p99", 99), ("p999", 99.9), ("max", 100)):
        found[f"error_{name}_us"] = float(np.percentile(size_us, percentile))
    found["error_smallest_us"] = float(error_ns.min()) / 1e3  # below 0: recorded before it was sent
    return found


def server_lateness(log: Mapping[str, RequestTruth]) -> Numbers:
    """How late the server itself was, in us: above some 1,000 the server is the limit."""
    late_us = np.concatenate([truth.sent_ns - truth.due_ns for truth in log.values()]) / 1e3
    return {
        "server_late_p50_us": float(np.percentile(late_us, 50)),
        "server_late_p99_us": float(np.percentile(late_us, 99)),
    }
