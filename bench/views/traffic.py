"""One tool's traffic as a record of ours: when it sent, and when each frame came, by that tool's own clock.

The server knows which frames it sent, in which order and in which write. The tool's files say when it saw those that it
stamps; for the others the time between the server's receipt and its send is added to the tool's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS, ChunkKind, PointRecord, RequestRecord, RunMeta
from views.server import MODEL, Served

_TEXT = ("status", "error", "finish_reason", "session", "model", "prompt", "output", "response_id")


@dataclass(frozen=True)
class Seen:
    """One answer by a tool's clock, in seconds of it.

    Attributes:
        served: what the server sent.
        start_s: when the tool sent the request.
        frames_s: when it saw each frame of the answer.
        end_s: when the exchange was over for it.
    """

    served: Served
    start_s: float
    frames_s: list[float]
    end_s: float


def as_sent(served: Served, start_s: float) -> list[float]:
    """When the frames left the server, with its receipt of the request laid upon the tool's start."""
    return [start_s + (sent_ns - served.received_ns) / 1e9 for sent_ns in served.sent_ns]


def rows_of(answers: Sequence[Seen]) -> dict[str, Any]:
    """The requests and chunks of our record as plain values, times in ns from the first start."""
    first_s = min(seen.start_s for seen in answers)

    def ns(moment_s: float) -> int:
        return round((moment_s - first_s) * 1e9)

    requests, chunks = [], []
    for index, seen in enumerate(answers):
        output = [
            (ns(at), frame.kind)
            for at, frame in zip(seen.frames_s, seen.served.frames, strict=True)
            if frame.kind in OUTPUT_KINDS
        ]
        answer = [at for at, kind in output if kind is not ChunkKind.REASONING]
        requests.append(
            RequestRecord(
                point=1,
                index=index,
                status="ok",
                http_status=200,
                finish_reason="length",
                streamed=True,
                planned_ns=ns(seen.start_s),
                sent_ns=ns(seen.start_s),
                first_token_ns=output[0][0],
                first_answer_ns=answer[0],
                last_token_ns=output[-1][0],
                end_ns=ns(seen.end_s),
                input_tokens_server=seen.served.prompt_tokens,
                output_tokens_server=seen.served.tokens,
            )
        )
        chunks += [
            [index, ns(at), frame.tokens, int(frame.kind), read]
            for at, frame, read in zip(seen.frames_s, seen.served.frames, seen.served.read, strict=True)
        ]
    return {"requests": msgspec.to_builtins(requests), "chunks": chunks}


def table_of(rows: dict[str, Any]) -> PointTable:
    """The load point of ``rows_of``: a closed loop of one."""
    requests = msgspec.convert(rows["requests"], list[RequestRecord])
    chunks = np.array([[np.nan if v is None else v for v in row] for row in rows["chunks"]], dtype=np.float64)
    missing = np.full(len(chunks), np.nan)
    point = PointRecord(
        index=1,
        kind="measure",
        load={"max_concurrency": 1, "request_rate": None, "burstiness": 1.0},
        planned_requests=len(requests),
        dispatched=len(requests),
        epoch_ns=0,
        stop_reason="complete",
    )
    names = ("request", "recv_ns", "tokens", "kind", "read")
    columns = {name: chunks[:, place] for place, name in enumerate(names)}
    return PointTable(
        point=point,
        requests={name: _column(requests, name) for name in RequestRecord.__struct_fields__},
        chunks={**columns, "chars": missing, "lag_ns": missing},
    )


def _column(requests: Sequence[RequestRecord], name: str) -> np.ndarray[Any, Any]:
    values = [getattr(request, name) for request in requests]
    if name in _TEXT:
        return np.array([*values, None], dtype=object)[:-1]
    return np.array([np.nan if value is None else float(value) for value in values])


def meta_of() -> RunMeta:
    """What the views ask of a run besides its load point."""
    return RunMeta(
        run_id="views",
        state="complete",
        simulated=False,
        created_utc="2026-11-21T20:00:00Z",
        model=MODEL,
        spec={},
    )
