"""The run folder: its name, its ``run.json``, and the files in it. Folders are never overwritten."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import msgspec

from inferometer.errors import RunFolderError
from inferometer.record.types import SCHEMA, RunMeta
from inferometer.spec import LoadPoint

RUN_JSON = "run.json"
JOURNAL = "journal"
CLOCKS = "clocks.seg"  # in the journal: the clocks of other machines that sent load
REQUESTS = "requests.parquet"
CHUNKS = "chunks.parquet"
TELEMETRY = "telemetry.parquet"
TABLES = (REQUESTS, CHUNKS, TELEMETRY)
_NUMBERS = frozenset(each.name for each in fields(LoadPoint) if each.type.split(" ")[0] in ("int", "float"))
_ENDLESS = ("request_rate", "burstiness")


def slug(text: str, limit: int = 40) -> str:
    """``text`` as part of a file name: its last path part, lower case, only letters, digits, dot and dash."""
    last = text.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^a-z0-9.]+", "-", last.lower()).strip("-.")[:limit] or "x"


def create_folder(out: Path, when_utc: datetime, model: str, label: str) -> Path:
    """Make ``out/<UTC time>-<model>-<label>-<id>/journal`` and return the run folder.

    Raises:
        RunFolderError: the folder cannot be made (no permission, full disk, a file in the way).
    """
    parts = [when_utc.strftime("%Y%m%d-%H%M%S"), slug(model)] + ([slug(label)] if label else [])
    path = out / "-".join([*parts, secrets.token_hex(2)])
    try:
        (path / JOURNAL).mkdir(parents=True, exist_ok=False)
    except OSError as error:
        raise RunFolderError(
            f"run folder {str(path)!r} cannot be made: {error.strerror}",
            "choose another place with --out DIR",
        ) from None
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or nothing.

    Raises:
        RunFolderError: the disk refused it.
    """
    draft = path.with_name(path.name + ".tmp")
    try:
        draft.write_bytes(data)
        make_durable(draft)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RunFolderError(
            f"{str(path)!r} cannot be written: {error.strerror}",
            f"free some space, then: inferometer runs recover {path.parent}",
        ) from None


def make_durable(path: Path) -> None:
    """Let a file, or the names in a directory, survive the death of the machine."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_meta(folder: Path, meta: RunMeta) -> None:
    """Write ``run.json``."""
    write_atomic(folder / RUN_JSON, msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n")


def read_meta(folder: Path) -> RunMeta:
    """Read ``run.json``.

    Raises:
        RunFolderError: not a run folder, or one of a newer format.
    """
    path = folder / RUN_JSON
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{str(folder)!r} is not a run folder: {RUN_JSON}: {error.strerror}",
            "inferometer runs list shows all",
        ) from None
    try:
        meta = msgspec.json.decode(data, type=RunMeta)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunFolderError(
            f"{str(path)!r} cannot be read: {error}", "the file was changed by hand?"
        ) from None
    if meta.schema != SCHEMA:
        raise RunFolderError(
            f"{str(path)!r} has schema {meta.schema!r}, this version reads {SCHEMA!r}",
            "use a newer inferometer",
        )
    _check_loads(path, meta)
    return meta


def _check_loads(path: Path, meta: RunMeta) -> None:
    """Numbers of loads are numbers: everything that is computed from a run takes them for such."""
    for place, point in enumerate(meta.points):
        for name in _NUMBERS & point.load.keys():
            value = point.load[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number or value is None or (value == "inf" and name in _ENDLESS)):
                raise RunFolderError(
                    f"{str(path)!r}: points[{place}].load.{name} is {value!r}, and has to be a number",
                    "the file was changed by hand?",
                )


def point_latest(out: Path, folder: Path) -> None:
    """Let ``out/latest`` point to ``folder``; a file or directory of that name is left alone.

    A file system that is full or knows no symbolic links goes without: no run fails for it.
    """
    link = out / "latest"
    draft = out / f".latest-{folder.name}"
    if link.exists() and not link.is_symlink():
        return
    with contextlib.suppress(OSError):
        draft.symlink_to(folder.name)
        draft.replace(link)
