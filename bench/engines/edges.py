"""What the HTTP edge of vLLM's server noted (``engines.edge``), joined to what clients saw of the same requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS

NS_PER_MS = 1e6
_AFTER_OUTPUT = 2  # usage and [DONE] follow the last output


@dataclass(frozen=True)
class Served:
    """One request as the server's edge saw it; ns of CLOCK_MONOTONIC, see ``engines.edge``."""

    begun_ns: int
    unread_ms: int | None
    sent_ns: NDArray[np.int64]

    @property
    def ttft_ms(self) -> float:
        """From the arrival of the request, by the server's kernel, to the write of its first output."""
        return (self.unread_ms or 0) + float(self.sent_ns[0] - self.begun_ns) / NS_PER_MS

    @property
    def e2el_ms(self) -> float:
        """The same to its last output."""
        last = self.sent_ns[len(self.sent_ns) - 1 - _AFTER_OUTPUT]
        return (self.unread_ms or 0) + float(last - self.begun_ns) / NS_PER_MS


class EdgeLog:
    """The log while the server runs: each reading gives what came since the one before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def new(self) -> dict[str, Served]:
        """Requests answered since the last call, by the answer's name."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            lines = file.readlines()
        self._read_bytes += sum(map(len, lines))
        rows = [json.loads(line) for line in lines]
        return {
            row["id"]: Served(row["begun_ns"], row["unread_ms"], np.array(row["sent_ns"], np.int64))
            for row in rows
            if row["id"] is not None
        }


def edge_means(served: Iterable[Served]) -> dict[str, float]:
    """Mean TTFT and E2EL at the edge, and how long requests lay unread, ms."""
    every = list(served)
    return {
        "TTFT": float(np.mean([one.ttft_ms for one in every])),
        "E2EL": float(np.mean([one.e2el_ms for one in every])),
        "unread": float(np.mean([one.unread_ms or 0 for one in every])),
    }


def arrival_error_ms(table: PointTable, log: Mapping[str, Served]) -> NDArray[np.float64]:
    """Recorded arrival less the server's write, of each event; a request whose events differ in number is left out."""
    owner, received = table.chunks["request"], table.chunks["recv_ns"]
    starts = np.searchsorted(owner, table.number("index"), "left")
    ends = np.searchsorted(owner, table.number("index"), "right")
    epoch_ns = table.point.epoch_ns or 0
    found = [
        (received[start:end] - (log[name].sent_ns - epoch_ns)) / NS_PER_MS
        for name, start, end in zip(table.text("response_id"), starts, ends, strict=True)
        if name in log and len(log[name].sent_ns) == end - start
    ]
    return np.concatenate(found) if found else np.empty(0)


def output_events(table: PointTable) -> int:
    """How many events carried output."""
    return int(np.isin(table.chunks["kind"], OUTPUT_KINDS).sum())
