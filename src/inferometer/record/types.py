"""The rows of a run: what happened to each request, each chunk and each load point.

All times are integer nanoseconds of CLOCK_MONOTONIC; absent (``None``) means that it did not happen or is
not known, never 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import msgspec

SCHEMA = "inferometer.run/1"

Status = Literal[
    "ok", "http_error", "stream_error", "timeout", "connect_error", "truncated", "empty", "cancelled"
]

# Why a load point sent nothing more.
StopReason = Literal["complete", "duration", "interrupted", "lost", "data", "disk", "unreachable"]


class ChunkKind(IntEnum):
    """What one chunk of a stream carried. The first three are output; only they move a latency clock."""

    CONTENT = 0
    REASONING = 1
    TOOL = 2
    ROLE = 3  # role-only or empty delta
    USAGE = 4
    ERROR = 5
    DONE = 6
    OTHER = 7  # finish-only delta, keep-alive, anything else


OUTPUT_KINDS = (ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL)


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one request of one load point."""

    point: int
    index: int
    worker: int = 0
    session: str | None = None
    turn: int = 0
    row: int | None = None

    status: Status
    http_status: int | None = None
    error: str | None = None
    finish_reason: str | None = None
    streamed: bool = False

    planned_ns: int
    queued_ns: int | None = None  # when a permit was free, if the schedule had to wait for one
    connect_start_ns: int | None = None
    connect_end_ns: int | None = None
    sent_ns: int | None = None  # stamped before the write that carries the first byte
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    first_answer_ns: int | None = None
    last_token_ns: int | None = None
    end_ns: int | None = None

    input_tokens_target: int | None = None
    input_tokens_server: int | None = None
    input_tokens_client: int | None = None
    output_tokens_target: int | None = None
    output_tokens_server: int | None = None
    output_tokens_client: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None

    bytes_out: int = 0
    bytes_in: int = 0
    reads: int = 0
    receive_lag_max_ns: int | None = None  # kernel time to our read, the worst of this request

    prompt: str | None = None  # only with --keep-text
    output: str | None = None  # only with --keep-text


class ChunkColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks of one request as flat little-endian columns, one element per SSE event."""

    recv_ns: bytes = b""  # int64
    tokens: bytes = b""  # int32, -1 = unknown
    chars: bytes = b""  # int32, length of the text in the chunk
    kind: bytes = b""  # uint8, ChunkKind
    read: bytes = b""  # int32, number of the socket read that completed the event
    lag_ns: bytes = b""  # int64, our read minus the kernel's receive time; -1 = unknown


class ClientHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well the generator itself kept up during one load point."""

    receive_clock: Literal["kernel", "user"]
    cpu_s: float
    wall_s: float
    run_queue_wait_s: float | None = None
    context_switches: int | None = None
    backlog_peak_bytes: int = 0
    backlog_peak_age_s: float = 0.0
    loop_turn_max_s: float = 0.0
    resent: int = 0  # requests that met a kept connection which the server was closing
    keep_alive: bool = True  # False: the server does not keep connections, so each request opens its own
    clock_offset_drift_ns: int | None = None  # largest change between two samples of realtime - monotonic
    clock_steps: int = 0  # changes too large for steering


class PointRecord(msgspec.Struct, kw_only=True):
    """One load point as it was carried out."""

    index: int
    kind: Literal["warmup", "measure"]
    load: dict[str, Any]  # the resolved LoadPoint, see inferometer.spec.LoadPoint
    planned_requests: int | None = None  # absent for a point bounded by time alone
    epoch_ns: int | None = None
    end_ns: int | None = None
    stop_reason: StopReason | None = None
    dispatched: int = 0
    repeated_prompts: int = 0
    dataset: dict[str, Any] = {}
    schedule_sha256: str | None = None
    health: list[ClientHealth] = []


class RunMeta(msgspec.Struct, kw_only=True):
    """``run.json``: what was asked, where it ran, and how it ended."""

    schema: str = SCHEMA
    run_id: str
    state: Literal["running", "complete", "interrupted", "failed", "recovered"]
    simulated: bool
    created_utc: str
    model: str
    label: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any]
    environment: dict[str, Any] = {}
    server: dict[str, Any] = {}  # what the endpoint said of itself
    anchors: list[dict[str, int]] = []  # {"monotonic_ns", "realtime_ns"} at start and end
    points: list[PointRecord] = []
    verdict: dict[str, Any] | None = None
    notes: list[str] = []
