"""One load point made ready for arithmetic: which requests count, when tokens arrived, from which origin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Origin = Literal["planned", "sent"]

NS_PER_MS = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Output that arrived, ordered by request, then by time.

    Attributes:
        row: position of the request among the successful ones.
        recv_ns: arrival, relative to the point's epoch.
        tokens: tokens that arrived, NaN = unknown.
        read: number of the socket read.
    """

    row: Ints
    recv_ns: Floats
    tokens: Floats
    read: Floats

    def collapsed(self) -> Arrivals:
        """One arrival per socket read: chunks that came in one read have no gap between them."""
        if not len(self.row):
            return self
        new = np.ones(len(self.row), dtype=bool)
        new[1:] = (np.diff(self.row) != 0) | (np.diff(self.read) != 0)
        starts = np.flatnonzero(new)
        tokens = np.add.reduceat(self.tokens, starts)
        return Arrivals(self.row[starts], self.recv_ns[starts], tokens, self.read[starts])

    def selected(self, keep: Bools) -> Arrivals:
        """Only the arrivals under the mask ``keep``."""
        return Arrivals(self.row[keep], self.recv_ns[keep], self.tokens[keep], self.read[keep])

    def first_of_each_row(self) -> Ints:
        """Positions of the first arrival of each request that has any."""
        return first_positions(self.row)


@dataclass(frozen=True, slots=True)
class Steps:
    """Gaps between consecutive arrivals of one request: its row, the gap, the tokens that ended it."""

    row: Ints
    gap_ms: Floats
    tokens: Floats


def first_positions(row: Ints) -> Ints:
    """Positions at which a new value starts in the sorted array ``row``."""
    return np.flatnonzero(np.diff(row, prepend=-1)).astype(np.int64)


def steps(arrivals: Arrivals) -> Steps:
    """The gaps between consecutive arrivals of the same request, in ms."""
    same = np.flatnonzero(np.diff(arrivals.row) == 0) + 1
    gap_ms = (arrivals.recv_ns[same] - arrivals.recv_ns[same - 1]) / NS_PER_MS
    return Steps(arrivals.row[same], gap_ms, arrivals.tokens[same])


class PointData:
    """The successful requests of one load point, one array element each; NaN where a value does not exist.

    Latencies are in ms. Metrics that need a stream (TTFT, TTFAT, TPOT, ITL) are absent for answers that were
    not streamed. Everything is computed when first asked for, and kept.

    Args:
        table: the load point.
        origin: what a latency is counted from: the planned time (in a closed loop the moment the permit was
            freed) or the moment before the first byte was written.
        slo: limits as a user writes them, see ``inferometer.metrics.slo``; only goodput needs them.
        served: nodes and devices that serve; None = not told.
        steady_window: "auto", "off", or when it was ("10s-60s"), see ``inferometer.metrics.steady``.
    """

    def __init__(
        self,
        table: PointTable,
        origin: Origin = "planned",
        slo: tuple[str, ...] = (),
        served: tuple[int | None, int | None] = (None, None),
        steady_window: str = "auto",
    ) -> None:
        self.table = table
        self.origin: Origin = origin
        self.slo = slo
        self.nodes, self.devices = served
        self.steady_window = steady_window
        self.ok: Bools = np.asarray(table.text("status") == "ok", dtype=bool)

    def column(self, name: str) -> Floats:
        """A numeric column of the record, successful requests only."""
        return self.table.number(name)[self.ok]

    @cached_property
    def origin_ns(self) -> Floats:
        """t0 of each request."""
        return self.column(f"{self.origin}_ns")

    @cached_property
    def input_tokens(self) -> Floats:
        """Prompt tokens: the server's count, else the client's."""
        return _first_known(self.column("input_tokens_server"), self.column("input_tokens_client"))

    @cached_property
    def output_tokens(self) -> Floats:
        """Output tokens (n): the server's count, else the client's."""
        return _first_known(self.column("output_tokens_server"), self.column("output_tokens_client"))

    @cached_property
    def streamed(self) -> Bools:
        """Whether the answer came as a stream."""
        return np.asarray(self.column("streamed") == 1.0, dtype=bool)

    @cached_property
    def end_ns(self) -> Floats:
        """End of the exchange; the last output where the record has no end."""
        return _first_known(self.column("end_ns"), self.column("last_token_ns"))

    @cached_property
    def ttft_ms(self) -> Floats:
        """First output chunk - t0."""
        return self._if_streamed(self.column("first_token_ns") - self.origin_ns)

    @cached_property
    def ttfat_ms(self) -> Floats:
        """First output chunk that is not reasoning - t0."""
        return self._if_streamed(self.column("first_answer_ns") - self.origin_ns)

    @cached_property
    def e2el_ms(self) -> Floats:
        """Last output chunk - t0; for an answer that was not streamed, its end - t0."""
        last_ns = self.column("last_token_ns")
        last_ns = np.where(self.streamed, last_ns, _first_known(last_ns, self.column("end_ns")))
        return (last_ns - self.origin_ns) / NS_PER_MS

    @cached_property
    def tail_ms(self) -> Floats:
        """End of the exchange - last output chunk: what usage and ``[DONE]`` frames add."""
        return self._if_streamed(self.column("end_ns") - self.column("last_token_ns"))

    @cached_property
    def tpot_ms(self) -> Floats:
        """(last output - first output) / (n - n_first), only where n > n_first."""
        n, n_first = self.output_tokens, self.first_chunk_tokens
        span_ms = self._if_streamed(self.column("last_token_ns") - self.column("first_token_ns"))
        result = np.full(len(n), np.nan)
        np.divide(span_ms, n - n_first, out=result, where=n > n_first)
        return result

    @cached_property
    def first_chunk_tokens(self) -> Floats:
        """n_first: tokens of the first output chunk, 1 where the chunk does not say."""
        chunks = self.output_chunks
        first = chunks.first_of_each_row()
        result = np.ones(int(self.ok.sum()))
        known = first[chunks.tokens[first] >= 1]
        result[chunks.row[known]] = chunks.tokens[known]
        return result

    @cached_property
    def output_chunks(self) -> Arrivals:
        """The chunks that carried output (content, reasoning, tool call)."""
        chunks = self.table.chunks
        return self.arrivals_of(np.isin(_floats(chunks["kind"]), OUTPUT_KINDS))

    def arrivals_of(self, keep: Bools) -> Arrivals:
        """The chunks under the mask ``keep`` that belong to successful requests."""
        chunks = self.table.chunks
        request_row = np.searchsorted(self.table.number("index"), _floats(chunks["request"])[keep])
        counts = self.ok[request_row]
        picked = np.flatnonzero(keep)[counts]
        row_among_ok = np.cumsum(self.ok) - 1
        return Arrivals(
            row=row_among_ok[request_row[counts]].astype(np.int64),
            recv_ns=_floats(chunks["recv_ns"])[picked],
            tokens=_floats(chunks["tokens"])[picked],
            read=_floats(chunks["read"])[picked],
        )

    @cached_property
    def output_steps(self) -> Steps:
        """Gaps between socket reads that brought output; what ITL (step) is made of."""
        return steps(self.output_chunks.collapsed())

    @cached_property
    def itl_ms(self) -> Floats:
        """ITL (step), all requests pooled."""
        return self.output_steps.gap_ms

    @cached_property
    def itl_token_ms(self) -> Floats:
        """ITL (token), pooled: each step gap in equal parts to the tokens that arrived at its end.

        A chunk that carried no whole token is no arrival; a request with a chunk of unknown token count is
        left out.
        """
        known = self._gaps_told
        tokens = self._token_gaps.tokens[known]
        return np.repeat(self._token_gaps.gap_ms[known] / tokens, tokens.astype(np.int64))

    @cached_property
    def itl_token_share(self) -> float | None:
        """The part of the requests with a gap that ``itl_token_ms`` is made of; None when none has a gap."""
        row = self._token_gaps.row
        return len(np.unique(row[self._gaps_told])) / len(np.unique(row)) if len(row) else None

    @cached_property
    def _token_gaps(self) -> Steps:
        chunks = self.output_chunks
        return steps(chunks.selected(chunks.tokens != 0).collapsed())

    @cached_property
    def _gaps_told(self) -> Bools:
        """The gaps of requests of which every arrival says how many tokens it brought."""
        gaps = self._token_gaps
        unknown = np.bincount(gaps.row, weights=np.isnan(gaps.tokens), minlength=int(self.ok.sum())) > 0
        return np.asarray(~unknown[gaps.row], dtype=bool)

    @cached_property
    def second_token_gap_ms(self) -> Floats:
        """Second arrival of output - first."""
        gaps = self.output_steps
        first = first_positions(gaps.row)
        result = np.full(int(self.ok.sum()), np.nan)
        result[gaps.row[first]] = gaps.gap_ms[first]
        return result

    @cached_property
    def queue_wait_ms(self) -> Floats:
        """Time that a due request waited for a permit; absent where it had not to wait."""
        return (self.column("queued_ns") - self.column("planned_ns")) / NS_PER_MS

    @cached_property
    def connect_ms(self) -> Floats:
        """Time to connect, TLS included; absent where a connection was used again."""
        took = (self.column("connect_end_ns") - self.column("connect_start_ns")) / NS_PER_MS
        return np.where(took > 0, took, np.nan)

    def _if_streamed(self, span_ns: Floats) -> Floats:
        return np.where(self.streamed, span_ns / NS_PER_MS, np.nan)


def _first_known(first: Floats, second: Floats) -> Floats:
    return np.where(np.isnan(first), second, first)


def _floats(column: NDArray[np.float64] | NDArray[np.object_]) -> Floats:
    return np.asarray(column, dtype=np.float64)
