"""The rows of a run: what happened to each request, each chunk and each load point.

All times are integer nanoseconds of CLOCK_MONOTONIC; absent (``None``) means that it did not happen or is
not known, never 0.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import msgspec

from inferometer.record.engine import EngineRecord

SCHEMA = "inferometer.run/1"

Status = Literal[
    "ok",
    "http_error",
    "stream_error",
    "timeout",
    "connect_error",
    "truncated",
    "empty",
    "cancelled",  # cut off because the load point ended
    "aborted",  # given up by the client on purpose, as users do
]

# Why a load point sent nothing more.
StopReason = Literal[
    "complete", "duration", "errors", "saturated", "data", "interrupted", "unreachable", "disk", "lost"
]


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
    server: int = 0  # of several that take turns: 0 is --url, then --more-url in order
    response_id: str | None = None  # the server's own name for the answer, to find it in the server's log
    session: str | None = None
    turn: int = 0
    turns_left: int = 0  # of its session: those that were to come after this one
    row: int | None = None
    model: str | None = None  # whom it asked, where that differs from request to request

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
    accepted_draft_tokens: int | None = None  # output tokens that came from a draft (speculative decoding)

    images: int = 0  # pictures and videos in the request
    image_bytes: int = 0  # what they take of ``bytes_out``, in Base64; links count as nothing
    bytes_out: int = 0
    bytes_in: int = 0
    reads: int = 0
    receive_lag_max_ns: int | None = None  # kernel time to our read, the worst of this request
    blurred_chunks: int = 0  # output chunks whose time is known only to within ``blur_max_ns``
    blur_max_ns: int | None = None  # see inferometer.client.exchange: several chunks met one late read

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
    """How well one worker of the generator kept up during one load point."""

    receive_clock: Literal["kernel", "user"]
    worker: int = 0
    cpu: int | None = None  # the core that the worker was pinned to
    cpu_s: float
    wall_s: float
    run_queue_wait_s: float | None = None
    context_switches: int | None = None  # voluntary and involuntary
    involuntary_switches: int | None = None  # another process took the core
    backlog_peak_bytes: int = 0
    backlog_peak_age_s: float = 0.0
    in_flight_peak: int | None = None  # the most that any look found; there are some four a second
    loop_turns: int | None = None
    loop_turn_p99_s: float | None = None  # from a histogram in powers of two, linear inside a bucket
    loop_turn_max_s: float = 0.0
    poll_late_max_s: float | None = None  # a poll came back so long after its deadline or what woke it
    rss_peak_bytes: int | None = None  # the largest of the samples
    resent: int = 0  # requests that met a kept connection which the server was closing
    keep_alive: bool = True  # False: the server does not keep connections, so each request opens its own
    clock_offset_drift_ns: int | None = None  # largest change between two samples of realtime - monotonic
    clock_drift_ns: int | None = None  # realtime - monotonic at the end of the point, minus that at its start
    clock_error_ns: int | None = None  # bound of what converting a kernel stamp can be off
    clock_steps: int = 0  # changes too large for steering
    realtime: bool | None = None  # it had a real-time priority, up to the end of the point


class HealthSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="h"):
    """How one worker did since its previous sample, about once a second. A frame of the journal.

    All fields but the first three are values of ``telemetry.parquet``, under these names.
    """

    point: int
    worker: int
    at_ns: int  # the end of the span

    span_s: float
    cpu_share: float  # of one core
    run_queue_wait_share: float | None = None  # of the span, spent ready to run but without a core
    voluntary_switches_per_s: float
    involuntary_switches_per_s: float
    loop_turns_per_s: float
    loop_turn_p99_s: float | None = None
    loop_turn_max_s: float | None = None
    poll_late_max_s: float | None = None
    receive_lag_max_s: float | None = None  # kernel receive time to our read
    send_lag_max_s: float | None = None  # due to first byte written, connecting left out
    backlog_peak_bytes: int
    backlog_peak_age_s: float
    in_flight_requests: int  # at the end of the span
    rss_bytes: int | None = None


class ClockMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="c"):
    """What the clock of another machine was ahead of ours at one moment. A frame of the journal, part of ``run.json``.

    The offset is that of the sample with the shortest round trip (Cristian 1989, as in NTP's clock filter): the other
    machine's clock less the middle of the round trip, which cannot be off by more than half of it.
    """

    workers: list[int] = []  # those that ran there
    at_ns: int  # by the other machine's clock
    offset_ns: int
    bound_ns: int  # half the shortest round trip
    round_trip_max_ns: int | None = None  # the longest of the samples


class NodeRecord(msgspec.Struct, kw_only=True):
    """One machine of several that sent the load."""

    node_id: str  # by which the cluster knows it
    name: str
    address: str
    workers: list[int] = []  # numbers of its workers
    versions: dict[str, str] = {}
    cores: int | None = None
    files: int | None = None  # that a process there may have open
    ports: tuple[int, int] | None = None  # its source ports, first and last
    sitting: int = 0  # place in ``RunMeta.sittings``
    clock: list[ClockMark] = []  # before the run, and before and after each load point
    folder: str = (
        ""  # where its journals were until they had come; gone afterwards, unless a note says otherwise
    )
    lost: str | None = None  # how it was lost, in words


class ServerCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What one server's engine counted at one moment, by series as it writes them."""

    source: str
    values: dict[str, float]


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
    workers: int = 1  # processes that share the point
    repeated_prompts: int = 0
    dataset: dict[str, Any] = {}
    schedule_sha256: str | None = None
    prepared: list[str] = []  # what was done with the servers before it: caches emptied, prefixes sent
    paused_s: float | None = None  # rest before it; None = none was asked for
    speculative_tokens: int | None = None  # drafted per step of the engine, as told
    scheduler_steps: int = 1  # of the engine per chunk, as told
    counters_before: list[ServerCounters] = []  # read just before the first request, and
    counters_after: list[ServerCounters] = []  # just after the last one had ended
    health: list[ClientHealth] = []
    sitting: int = 0  # place in ``RunMeta.sittings`` of the one that it was measured in
    virtual: bool = False  # carried out in virtual time: no client sent anything, none could be late
    redo: bool = False  # to be measured again; what is there counts until that has come to its end


RunState = Literal["running", "complete", "interrupted", "failed", "recovered"]


class Sitting(msgspec.Struct, kw_only=True):
    """One stretch of a run: from its start, or from ``--resume``, to where it ended.

    CLOCK_MONOTONIC starts anew with the machine: times of load points of different sittings compare through the anchors
    of each alone.
    """

    began_utc: str
    state: RunState = "running"  # how it ended
    anchors: list[
        dict[str, int]
    ] = []  # {"monotonic_ns", "realtime_ns"} at its start, and at its end if known
    changed: list[str] = []  # what was not as in the sitting before, and was accepted with --force
    notes: list[str] = []  # what was told in it; those of the latest are the run's


class RunMeta(msgspec.Struct, kw_only=True):
    """``run.json``: what was asked, where it ran, and how it ended."""

    schema: str = SCHEMA
    run_id: str
    state: RunState
    simulated: bool
    created_utc: str
    model: str
    label: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any]
    again: str = ""  # the command that measures it again, where flags for its spec would not
    environment: dict[str, Any] = {}
    server: dict[str, Any] = {}  # what the endpoint said of itself
    engine: EngineRecord | None = None  # the server, where the run started it itself
    nodes: list[
        NodeRecord
    ] = []  # that sent the load, in the order of the sittings, where others than this machine did
    sittings: list[Sitting] = []
    points: list[PointRecord] = []  # in the order in which they are shown
    verdict: dict[str, Any] | None = None
    notes: list[str] = []
