"""What Huawei's llm_tools (``benchmark_parallel.py``, ``benchmark_serving.py``) compute per request.

t0 = the request is written, t1, t2 = first and second chunk with output, t_end = last one, out = output tokens.
Their scripts count a role-only frame as the first token and the requested length as ``out``; here ``out`` is what
was counted and only output moves a clock. Requests with too few tokens are left out; there, they count as 0.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.latency import NS_PER_MS, Floats, Ints, PointData, first_positions, steps
from inferometer.metrics.views.statistics import quotients


def second_chunk_gap_ms(data: PointData) -> Floats:
    """TIME_BETWEEN_FIRST_AND_SECOND_TOKEN: t2 - t1, per request; NaN where there is no second chunk."""
    chunks = data.output_chunks
    first, second = _first_two(data)
    result = np.full(int(data.ok.sum()), np.nan)
    result[chunks.row[first]] = (chunks.recv_ns[second] - chunks.recv_ns[first]) / NS_PER_MS
    return result


def tpot_from_second_ms(data: PointData) -> Floats:
    """TPOT_SEC: (t_end - t2) / (out - 2), per request.

    Where chunks say how many tokens they carry, those of the first two are taken in place of the 2. NaN where
    no token is left after them.
    """
    chunks = data.output_chunks
    first, second = _first_two(data)
    row = chunks.row[first]
    told = chunks.tokens[first] + chunks.tokens[second]
    left = data.output_tokens[row] - np.where(told >= 2, told, 2.0)
    span_ms = (data.column("last_token_ns")[row] - chunks.recv_ns[second]) / NS_PER_MS
    result = np.full(int(data.ok.sum()), np.nan)
    result[row] = quotients(span_ms, left)
    return result


def decode_rate_per_s(data: PointData) -> Floats:
    """Output tokens per second of decoding, per request: out / (t_end - t1); NaN for one chunk."""
    span_s = (data.column("last_token_ns") - data.column("first_token_ns")) / (1000.0 * NS_PER_MS)
    return np.where(data.streamed, quotients(data.output_tokens, span_s), np.nan)


def decode_ms_per_token(data: PointData) -> Floats:
    """Time of decoding per output token, per request: (t_end - t1) / out."""
    span_ms = (data.column("last_token_ns") - data.column("first_token_ns")) / NS_PER_MS
    return np.where(data.streamed, quotients(span_ms, data.output_tokens), np.nan)


def undisturbed_gap_ms(data: PointData) -> Floats:
    """The "incremental latency" of the early scripts: gaps between chunks, all requests pooled.

    A gap that touches the time from t0 to t1 of any request, its own included, is left out. What new requests
    cost those that are decoding is thereby hidden, and the first gap of each request too.
    """
    chunks = data.output_chunks
    gaps = steps(chunks)
    ends = chunks.recv_ns[np.flatnonzero(np.diff(chunks.row) == 0) + 1]
    begins = ends - gaps.gap_ms * NS_PER_MS
    starts, stops = _merged(data.column("sent_ns"), data.column("first_token_ns"))
    if not len(starts):
        return gaps.gap_ms
    last = np.searchsorted(starts, ends, side="right") - 1
    touches = (last >= 0) & (stops[np.maximum(last, 0)] >= begins)
    return gaps.gap_ms[~touches]


def _first_two(data: PointData) -> tuple[Ints, Ints]:
    """Positions of the first and the second output chunk of each request that has two."""
    row = data.output_chunks.row
    first = first_positions(row)
    first = first[first + 1 < len(row)]
    first = first[row[first + 1] == row[first]]
    return first, first + 1


def _merged(starts: Floats, stops: Floats) -> tuple[Floats, Floats]:
    """Spans of time as disjoint ones, in order; those that touch become one."""
    known = ~(np.isnan(starts) | np.isnan(stops))
    order = np.argsort(starts[known], kind="stable")
    starts, stops = starts[known][order], np.maximum.accumulate(stops[known][order])
    opens = np.ones(len(starts), dtype=bool)
    opens[1:] = starts[1:] > stops[:-1]
    closes = np.append(opens[1:], True) if len(opens) else opens
    return starts[opens], stops[closes]
