"""When other tools' clocks start and stop, asked of our record.

Every tool starts at the send. They differ in which frames they count (a *frame* is one SSE event) and in what they
take for the end of a request. A request is complete when our record says ``ok``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from inferometer.metrics.counts import failed_rows
from inferometer.metrics.latency import (
    NS_PER_MS,
    NS_PER_S,
    Arrivals,
    Bools,
    Floats,
    PointData,
    first_positions,
    steps,
)
from inferometer.metrics.views.statistics import quotients
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, RunMeta

_WITH_CHOICES = (ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL, ChunkKind.ROLE)


class Frames(Enum):
    """Which frames a tool counts: the first stops TTFT, gaps between them are its ITL."""

    CHOICES = "frames with choices: role-only, empty and finish frames too"
    EVENTS = "every event: role-only, finish and usage frames too"
    OUTPUT = "frames with content, reasoning or a tool call"
    TEXT = "frames with content or reasoning"
    CONTENT = "frames with content"


class End(Enum):
    """What a tool takes for the end of a request."""

    FRAME = "the last frame that it counts"
    EVENT = "the last event before [DONE], which is the usage frame"
    STREAM = "[DONE], or the end of the exchange"


@dataclass(frozen=True, slots=True)
class Timings:
    """Successful requests by the clock of one tool: one element each, in the order of the record, ms from the send.

    Attributes:
        data: the requests.
        frames: what the tool counts.
        ttft_ms: first frame; for an answer that was not streamed, NaN.
        e2el_ms: its end of the request.
        tpot_ms: (e2el - ttft) / (n - 1); NaN where n <= 1 or unknown.
        gaps_ms: between consecutive frames of a request, all requests pooled.
        gap_row: the request that each gap belongs to.
    """

    data: PointData
    frames: Arrivals
    ttft_ms: Floats
    e2el_ms: Floats
    tpot_ms: Floats
    gaps_ms: Floats
    gap_row: Floats

    @property
    def ended(self) -> Bools:
        """The rows of the record that succeeded or failed: neither cut off nor given up as asked."""
        return self.data.ok | failed_rows(self.data.table)

    @property
    def start_s(self) -> Floats:
        """Sends, seconds from the load point's epoch."""
        return self.data.origin_ns / NS_PER_S

    @property
    def end_s(self) -> Floats:
        """Ends as the tool sees them, seconds from the load point's epoch."""
        return self.start_s + self.e2el_ms / 1e3


def timings(table: PointTable, frames: Frames, end: End) -> Timings:
    """The successful requests of a load point by the clock of a tool that counts ``frames`` and stops at ``end``."""
    data = PointData(table, "sent")
    counted = data.arrivals_of(_mask(data, frames))
    first, last = _edges(counted)
    first_ns = np.where(data.streamed, data.column("first_token_ns"), np.nan)
    first_ns[counted.row[first]] = counted.recv_ns[first]
    last_ns = np.where(data.streamed, data.column("last_token_ns"), data.end_ns)
    if end is End.FRAME:
        last_ns[counted.row[last]] = counted.recv_ns[last]
    else:
        seen = data.arrivals_of(_done(data) if end is End.STREAM else _mask(data, Frames.EVENTS))
        _, last = _edges(seen)
        if end is End.STREAM:
            last_ns = data.end_ns.copy()
        last_ns[seen.row[last]] = seen.recv_ns[last]
    ttft_ms = (first_ns - data.origin_ns) / NS_PER_MS
    e2el_ms = (last_ns - data.origin_ns) / NS_PER_MS
    gaps = steps(counted)
    tpot_ms = quotients(e2el_ms - ttft_ms, data.output_tokens - 1)
    return Timings(data, counted, ttft_ms, e2el_ms, tpot_ms, gaps.gap_ms, gaps.row.astype(np.float64))


def _edges(arrivals: Arrivals) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the first and the last arrival of each request that has any."""
    first = first_positions(arrivals.row)
    return first, np.append(first[1:], len(arrivals.row)) - 1 if len(first) else first


def _mask(data: PointData, frames: Frames) -> Bools:
    kind = np.asarray(data.table.chunks["kind"], dtype=np.float64)
    if frames is Frames.OUTPUT:
        return np.isin(kind, (ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL))
    if frames is Frames.TEXT:
        return np.isin(kind, (ChunkKind.CONTENT, ChunkKind.REASONING))
    if frames is Frames.CONTENT:
        return np.asarray(kind == ChunkKind.CONTENT, dtype=bool)
    choices = _with_choices(data, kind)
    return choices | (kind == ChunkKind.USAGE) if frames is Frames.EVENTS else choices


def _with_choices(data: PointData, kind: Floats) -> Bools:
    """Frames with ``choices``: output and role, and what follows the last output but is neither usage nor end.

    The record has one kind for finish-only frames, which have choices, and keep-alives, which have none; only
    a finish-only frame is the last of its answer.
    """
    request = np.asarray(data.table.chunks["request"], dtype=np.float64)
    counted = np.isin(kind, _WITH_CHOICES)
    if not counted.any():
        return counted
    positions = np.flatnonzero(counted)
    last_counted = positions[np.append(np.diff(request[positions]) != 0, True)]
    follows = np.searchsorted(last_counted, np.arange(len(kind)))
    before = last_counted[np.maximum(follows - 1, 0)]
    finish = (kind == ChunkKind.OTHER) & (follows > 0) & (request[before] == request)
    return np.asarray(counted | finish, dtype=bool)


def _done(data: PointData) -> Bools:
    return np.asarray(np.asarray(data.table.chunks["kind"], dtype=np.float64) == ChunkKind.DONE, dtype=bool)


def wall_s(requests: Timings, failed_too: bool = True) -> float | None:
    """Seconds from the first send to the last end as the tool sees it; failed requests end where our record says.

    Args:
        requests: the successful requests by the tool's clock.
        failed_too: whether failed requests stretch the window.
    """
    table = requests.data.table
    start_s, end_s = requests.start_s, requests.end_s
    if failed_too:
        failed = ~requests.data.ok
        start_s = np.concatenate((start_s, table.number("sent_ns")[failed] / NS_PER_S))
        end_s = np.concatenate((end_s, table.number("end_ns")[failed] / NS_PER_S))
    start_s, end_s = start_s[~np.isnan(start_s)], end_s[~np.isnan(end_s)]
    return float(end_s.max() - start_s.min()) if len(start_s) and len(end_s) else None


def frames_per_second_peak(requests: Timings) -> float | None:
    """Most frames in one second, counted from the first send; vLLM and SGLang call it tokens."""
    frames = requests.frames
    if not len(frames.row) or np.isnan(requests.data.origin_ns).all():
        return None
    second = ((frames.recv_ns - np.nanmin(requests.data.origin_ns)) // NS_PER_S).astype(np.int64)
    return float(np.bincount(np.maximum(second, 0)).max())


def busiest_second(requests: Timings) -> int | None:
    """Most requests that were under way in one second, counted from the first send: not at one moment of it."""
    known = ~np.isnan(requests.e2el_ms)
    if not known.any():
        return None
    start_s = requests.start_s[known]
    first = (start_s - start_s.min()).astype(np.int64)
    last = (requests.end_s[known] - start_s.min()).astype(np.int64)
    change = np.zeros(int(last.max()) + 2, dtype=np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last + 1, -1)
    return int(np.cumsum(change).max())


def first_known(*counts: Floats) -> Floats:
    """Element by element the first count that is known."""
    result = counts[0]
    for other in counts[1:]:
        result = np.where(np.isnan(result), other, result)
    return result


def epoch_ns(table: PointTable, meta: RunMeta) -> int | None:
    """Unix time of the load point's epoch in ns; None where no clock was compared."""
    sittings = meta.sittings[table.point.sitting :]
    if table.point.epoch_ns is None or not sittings or not sittings[0].anchors:
        return None
    anchor = sittings[0].anchors[0]
    return table.point.epoch_ns - anchor["monotonic_ns"] + anchor["realtime_ns"]


def epoch_s(table: PointTable, meta: RunMeta) -> float | None:
    """Unix time of the load point's epoch in seconds."""
    found = epoch_ns(table, meta)
    return None if found is None else found / NS_PER_S
