"""What the generator was found to carry on this machine, and where that is kept between runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from inferometer.errors import UsageError
from inferometer.record.cache import cache_dir as cache_dir

SCHEMA = "inferometer.envelope/1"
FILE = "envelope.json"
CALIBRATE = "measure it in under two minutes: inferometer check --calibrate"

Dimension = Literal["events", "streams", "requests"]
DIMENSIONS: tuple[Dimension, ...] = ("events", "streams", "requests")
UNITS: Mapping[Dimension, str] = {"events": "events/s", "streams": "streams", "requests": "requests/s"}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What an envelope holds for: on another machine, or with another version, it means nothing.

    Attributes:
        cpu: model name of the processor.
        cores: cores that this process may use.
        kernel: system and release.
        python: version of the interpreter.
        inferometer: our own version.
    """

    cpu: str
    cores: int
    kernel: str
    python: str
    inferometer: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The largest load at which the generator kept all of its own gates.

    Attributes:
        workers: worker processes that carried it.
        events_per_s: SSE events received a second; None = no level held.
        streams: concurrent streams at one event a second each; None = no level held.
        requests_per_s: open-loop requests a second with short answers; None = no level held.
        at_least: dimensions whose limit lies higher: the server, the machine or the time ended the sweep.
        error_p99_us: receive time of a chunk minus the time at which the server sent it, 99th percentile, the
            largest of the three loads; None when none of them had the chunks for it.
        receive_clock: where the receive times came from.
        cpu_us_per_event: CPU time of all workers per event at ``events_per_s``.
        measured_at_utc: ISO 8601.
    """

    schema: str = SCHEMA
    workers: int
    events_per_s: float | None = None
    streams: float | None = None
    requests_per_s: float | None = None
    at_least: list[Dimension] = []
    error_p99_us: float | None = None
    receive_clock: Literal["kernel", "user"] | None = None
    cpu_us_per_event: float | None = None
    measured_at_utc: str
    machine: Machine

    def figure(self, dimension: Dimension) -> float | None:
        """The limit in one dimension; None when no level held."""
        return {"events": self.events_per_s, "streams": self.streams, "requests": self.requests_per_s}[
            dimension
        ]


class Stored(NamedTuple):
    """The envelope of this machine, or None and why there is none that counts."""

    envelope: Envelope | None
    hint: str


def load_envelope(directory: Path | None, machine: Machine) -> Stored:
    """The stored envelope, if it is one of this machine and this version; never fails."""
    if directory is None:
        return Stored(None, "no place to keep one: set INFEROMETER_CACHE_DIR")
    path = directory / FILE
    try:
        envelope = msgspec.json.decode(path.read_bytes(), type=Envelope)
    except FileNotFoundError:
        return Stored(None, f"none is stored; {CALIBRATE}")
    except OSError as error:
        return Stored(None, f"{str(path)!r} cannot be read: {error.strerror}; {CALIBRATE}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Stored(None, f"{str(path)!r} holds no envelope; {CALIBRATE}")
    if envelope.schema != SCHEMA:
        return Stored(None, f"the stored one has schema {envelope.schema!r}, not {SCHEMA!r}; {CALIBRATE}")
    differs = [
        f"{name} {was}, now {now}"
        for name in Machine.__struct_fields__
        if (was := getattr(envelope.machine, name)) != (now := getattr(machine, name))
    ]
    if differs:
        return Stored(None, f"the stored one was measured with {'; '.join(differs)}; {CALIBRATE}")
    return Stored(envelope, "")


def save_envelope(directory: Path | None, envelope: Envelope) -> Path:
    """Store ``envelope``, whole or not at all, in place of an earlier one.

    Raises:
        UsageError: there is no place for it, or the disk refused it.
    """
    if directory is None:
        raise UsageError("there is no directory to keep the envelope in", "set INFEROMETER_CACHE_DIR")
    path = directory / FILE
    draft = path.with_name(f"{FILE}.{os.getpid()}.tmp")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UsageError(
            f"the envelope cannot be stored as {str(path)!r}: {error.strerror}",
            "name another directory in INFEROMETER_CACHE_DIR",
        ) from None
    return path
