"""Rates over the window of a load point: from the first successful send to the last successful end."""

from __future__ import annotations

import numpy as np

from inferometer.metrics.latency import NS_PER_S, Floats, PointData


def throughput(count: float | None, duration_s: float | None) -> float | None:
    """``count`` per second; None when a part is missing or no time went by."""
    if count is None or duration_s is None or duration_s <= 0:
        return None
    return count / duration_s


def total(values: Floats) -> float | None:
    """The sum; None when there is nothing to add or one part is not known, for then the sum is not known."""
    if not len(values) or np.isnan(values).any():
        return None
    return float(values.sum())


def add(first: float | None, second: float | None) -> float | None:
    """The sum of two totals; None when one is not known."""
    return None if first is None or second is None else first + second


def window_s(data: PointData) -> float | None:
    """Last end - first send of the successful requests, in seconds; the window of EvalScope and AISBench."""
    sent_ns, end_ns = data.column("sent_ns"), data.end_ns
    if np.isnan(sent_ns).all() or np.isnan(end_ns).all():
        return None
    return float(np.nanmax(end_ns) - np.nanmin(sent_ns)) / NS_PER_S


def request_throughput(data: PointData) -> float | None:
    """Successful requests per second."""
    return throughput(int(data.ok.sum()), window_s(data))


def input_throughput(data: PointData) -> float | None:
    """Prompt tokens of successful requests per second."""
    return throughput(total(data.input_tokens), window_s(data))


def output_throughput(data: PointData) -> float | None:
    """Output tokens of successful requests per second."""
    return throughput(total(data.output_tokens), window_s(data))


def total_throughput(data: PointData) -> float | None:
    """Prompt and output tokens of successful requests per second."""
    return throughput(add(total(data.input_tokens), total(data.output_tokens)), window_s(data))


def peak_output_throughput(data: PointData) -> float | None:
    """Most output tokens that arrived in one second, counted in 1 s buckets from the first send.

    None when the window is shorter than one bucket or the tokens of a request are not known.
    """
    chunks, window, tokens = data.output_chunks, window_s(data), tokens_of(data)
    if window is None or window < 1.0 or not len(chunks.row) or tokens is None:
        return None
    second = ((chunks.recv_ns - np.nanmin(data.column("sent_ns"))) // NS_PER_S).astype(np.int64)
    return float(np.bincount(np.maximum(second, 0), weights=tokens).max())


def tokens_of(data: PointData) -> Floats | None:
    """Tokens of each output chunk; None when the tokens of a request are not known.

    Chunks of unknown token count share what their request has left in equal parts.
    """
    if np.isnan(data.output_tokens).any():
        return None
    chunks, requests = data.output_chunks, len(data.output_tokens)
    unknown = np.isnan(chunks.tokens)
    if not unknown.any():
        return chunks.tokens
    known_tokens = np.bincount(chunks.row, weights=np.where(unknown, 0.0, chunks.tokens), minlength=requests)
    unknown_chunks = np.bincount(chunks.row, weights=unknown, minlength=requests)
    left = np.maximum(data.output_tokens - known_tokens, 0.0)
    share = np.divide(left, unknown_chunks, out=np.zeros(requests), where=unknown_chunks > 0)
    return np.where(unknown, share[chunks.row], chunks.tokens)
