"""What was seen of an engine without load: ``speed.json``, the raw side of ``inferometer speed``.

It is no run folder of requests: where there is no client, no socket and no schedule, there are no send times and
nothing of a client's health. One ``Generation`` is one batch that was generated, with the time of every step.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from inferometer.errors import RunFolderError
from inferometer.record.folder import slug, write_atomic
from inferometer.record.types import RunState

SPEED_SCHEMA = "inferometer.speed/1"
SPEED_JSON = "speed.json"

Outcome = Literal["ok", "oom", "too_long", "crashed", "failed"]


class Generation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One batch that was generated, or was tried.

    Attributes:
        input_tokens, batch, asked_tokens: length of each prompt, prompts, tokens to generate of each.
        repeat: counted from 1; 0 for a warm-up, which does not count.
        reason: why it is not ok.
        begin_ns, end_ns: CLOCK_MONOTONIC of the process that measured: with the whole prompt in hand, and with all
            tokens on the host.
        first_token_ns, last_token_ns, output_tokens: of each sequence.
        step_ns: when tokens arrived, after ``begin_ns``.
        unix_begin_ns, unix_end_ns: wall clock at both ends.
        memory_bytes: peak of what tensors took (devices added up), or of resident memory.
        memory_reserved_bytes: peak of what the library kept from the device for them.
        memory_of: ``device`` or ``process``.
        core_wait_s: the main thread was ready to run, and had no core.
        seen_input_tokens: what a server counted as prompt, of each sequence.
        doubts: conditions of the run behind it that do not hold, hard ones as ``!name``.
        run: folder of that run, below this one.
        simulated: no real server answered.
    """

    input_tokens: int
    batch: int
    asked_tokens: int
    repeat: int
    outcome: Outcome
    reason: str | None = None
    begin_ns: int | None = None
    end_ns: int | None = None
    first_token_ns: list[int] = []
    last_token_ns: list[int] = []
    output_tokens: list[int] = []
    step_ns: list[int] = []
    unix_begin_ns: int | None = None
    unix_end_ns: int | None = None
    memory_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_of: Literal["device", "process"] | None = None
    core_wait_s: float | None = None
    seen_input_tokens: list[int] = []
    doubts: list[str] = []
    run: str | None = None
    simulated: bool = False


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a loaded engine says of itself; None = it does not say.

    Attributes:
        versions: of the libraries, by name.
        model: where the weights came from.
        device, device_names, device_count: what it computes on; 0 devices on a CPU.
        dtype, quantization: of the weights, as reports write them (BF16, GPTQ-Int4).
        positions: most tokens of prompt and answer.
        prompt_token: the token that a repeated prompt is made of.
        load_s: seconds from the start of its process until the model was loaded.
        memory_why: why nothing is known of memory.
        notes: what a reader of the numbers has to know.
    """

    versions: dict[str, str] = {}
    model: str | None = None
    device: str | None = None
    device_names: list[str] = []
    device_count: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    positions: int | None = None
    attn_implementation: str | None = None
    prompt_token: int | None = None
    load_s: float | None = None
    memory_why: str | None = None
    notes: list[str] = []


class Idleness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How busy a device was before anything was started.

    Attributes:
        device: its name.
        source: the program or file that said so.
        busy_share: 0 to 1; None = not known.
        memory_share: of its memory that is taken, 0 to 1; a program in another container may hold it unseen.
        processes: others that use it, as the source names them.
    """

    device: str
    source: str
    busy_share: float | None = None
    memory_share: float | None = None
    processes: list[str] = []


class SpeedRecord(msgspec.Struct, kw_only=True):
    """``speed.json``."""

    schema: str = SPEED_SCHEMA
    run_id: str
    state: RunState
    created_utc: str
    engine: str
    model: str
    simulated: bool = False
    spec: dict[str, Any]
    environment: dict[str, Any] = {}
    facts: EngineFacts = EngineFacts()
    idle: list[Idleness] = []
    generations: list[Generation] = []
    notes: list[str] = []


def create_speed_folder(out: Path, when_utc: datetime, model: str, engine: str) -> Path:
    """Make ``out/<UTC time>-<model>-speed-<engine>-<id>``.

    Raises:
        RunFolderError: it cannot be made.
    """
    words = [when_utc.strftime("%Y%m%d-%H%M%S"), slug(model), "speed", engine, secrets.token_hex(2)]
    path = out / "-".join(words)
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(
            f"folder {str(path)!r} cannot be made: {error.strerror}", "choose another place with --out DIR"
        ) from None
    return path


def write_speed(folder: Path, record: SpeedRecord) -> None:
    """Write ``speed.json``, whole or not at all."""
    write_atomic(folder / SPEED_JSON, msgspec.json.encode(record) + b"\n")


def read_speed(folder: Path) -> SpeedRecord:
    """Read ``speed.json``.

    Raises:
        RunFolderError: there is none, or one of another format.
    """
    path = folder / SPEED_JSON
    try:
        record = msgspec.json.decode(path.read_bytes(), type=SpeedRecord)
    except OSError as error:
        raise RunFolderError(
            f"{str(folder)!r} holds no measurement of speed: {SPEED_JSON}: {error.strerror}"
        ) from None
    except msgspec.DecodeError as error:
        raise RunFolderError(
            f"{str(path)!r} cannot be read: {error}", "the file was changed by hand?"
        ) from None
    if record.schema != SPEED_SCHEMA:
        raise RunFolderError(
            f"{str(path)!r} has schema {record.schema!r}, this version reads {SPEED_SCHEMA!r}",
            "use a newer inferometer",
        )
    return record
