"""From what was found to a run folder, through the journal as every run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from inferometer.errors import RunFolderError
from inferometer.exchange.importing.found import Found, FoundPoint, FoundRequest
from inferometer.exchange.importing.source import Source
from inferometer.record.folder import JOURNAL, create_folder
from inferometer.record.imported import IMPORTED_FILES, Imported, write_imported
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.series import write_series
from inferometer.record.store import close_journal
from inferometer.record.tables import Telemetry
from inferometer.record.types import ChunkColumns, ChunkKind, PointRecord, RequestRecord, RunMeta
from inferometer.version import __version__

_NS = 1e9
_BETWEEN_NS = 1_000_000_000  # load points lie one after the other on an axis of their own
_SECRET = re.compile(r"api_?key|authorization|password|secret|bearer", re.IGNORECASE)
_HIDDEN = "***"


def write_run(found: Found, files: Sequence[Source], out: Path, label: str, now_utc: datetime) -> Path:
    """Make a run folder of what was found, with the files that it came from in ``imported/``.

    Args:
        found: by a reader.
        files: copied as they are.
        out: directory of run folders.
        label: of the run; empty = none.
        now_utc: when it was measured, where the files do not say.

    Raises:
        RunFolderError: the folder cannot be written; nothing of it is left.
    """
    when = _when(found.created_utc)
    told = when or now_utc
    if when is None:
        found.notes.append("the files do not say when it was measured: the time is that of the import")
    folder = create_folder(out, told, found.model, label or found.tool)
    try:
        hashes = _kept(files, folder / IMPORTED_FILES)
        points = _points(found.points)
        write_imported(folder, _imported(found, hashes))
        _journal(folder, points, found.points)
        meta = RunMeta(
            run_id=folder.name,
            state="complete",
            simulated=found.simulated,
            created_utc=told.isoformat(timespec="seconds"),
            model=found.model,
            label=label,
            spec=_spec(found.model),
            environment={"imported_with": f"inferometer {__version__}"},
            points=points,
            notes=[f"measured by {found.tool} and imported, not measured by inferometer", *found.notes],
        )
        meta = close_journal(folder, meta)
        _series(folder, points, found.points)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RunFolderError(
            f"{str(folder)!r} cannot be written: {error.strerror}", "free some space, or use another --out"
        ) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _when(created_utc: str | None) -> datetime | None:
    """As a time; one without a zone, by the clock of that machine, is taken for UTC."""
    if created_utc is None:
        return None
    try:
        when = datetime.fromisoformat(created_utc.replace("Z", "+00:00"))
        return when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _kept(files: Sequence[Source], place: Path) -> dict[str, str]:
    """Copy the files; their names below ``place``, with their sha256."""
    hashes: dict[str, str] = {}
    for number, source in enumerate(files, start=1):
        name = source.name if source.name not in hashes else f"{number}/{source.name}"
        target = place / PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, target)
        os.chmod(target, 0o644)  # noqa: PTH101 - as the other files of the folder
        hashes[name] = hashlib.sha256(target.read_bytes()).hexdigest()
    return hashes


def _imported(found: Found, hashes: Mapping[str, str]) -> Imported:
    reported = [
        msgspec.structs.replace(
            point.reported, point=number, stated=_public({**point.reported.stated, **_first_start(point)})
        )
        for number, point in enumerate(found.points, start=1)
    ]
    return Imported(
        tool=found.tool,
        version=found.version,
        format=found.format,
        files=dict(hashes),
        notes=found.notes,
        stated=_public(found.stated),
        points=reported,
    )


def _first_start(point: FoundPoint) -> dict[str, float]:
    """When the first request was sent, on the tool's own axis: the rows count from it."""
    starts = [request.start_s for request in point.requests if request.start_s is not None]
    return {"first_start_s": min(starts)} if starts else {}


def _public(value: Any) -> Any:
    """Without secrets; the original file keeps what it had."""
    if isinstance(value, Mapping):
        return {
            name: _HIDDEN if isinstance(each, str) and each and _SECRET.search(str(name)) else _public(each)
            for name, each in value.items()
        }
    return [_public(each) for each in value] if isinstance(value, list) else value


def _spec(model: str) -> dict[str, Any]:
    """What is known to have been asked: nobody else's files hold our spec, and our defaults are not theirs."""
    return {"endpoint": {"model": model}}


def _points(found: Sequence[FoundPoint]) -> list[PointRecord]:
    """Numbered; equal loads are repeats of one another."""
    seen: Counter[str] = Counter()
    points = []
    for number, point in enumerate(found, start=1):
        load = repr(sorted(point.load.items()))
        seen[load] += 1
        points.append(_point(number, seen[load], point))
    return points


def _point(number: int, repeat: int, point: FoundPoint) -> PointRecord:
    requests, reported = point.requests, point.reported
    return PointRecord(
        index=number,
        kind="measure",
        load={"index": number, "kind": "measure", "repeat": repeat, **point.load},
        planned_requests=len(requests) or _sum(reported.completed, reported.failed),
        epoch_ns=0,
        stop_reason="complete",
        dispatched=len(requests) or _sum(reported.completed, reported.failed) or 0,
        workers=0,
    )


def _sum(completed: int | None, failed: int | None) -> int | None:
    return None if completed is None else completed + (failed or 0)


def _journal(folder: Path, points: Sequence[PointRecord], found: Sequence[FoundPoint]) -> None:
    writer = JournalWriter(folder / JOURNAL / "worker-0.seg")
    epoch_ns = 0
    try:
        for record, point in zip(points, found, strict=True):
            record.epoch_ns = epoch_ns
            writer.append(PointStart(record))
            last_ns = epoch_ns + round((point.reported.duration_s or 0.0) * _NS)
            for frame in frames_of(record, point.requests):
                writer.append(frame)
                last_ns = max(last_ns, frame.record.end_ns or 0)
            record.end_ns = last_ns
            writer.append(PointEnd(record))
            epoch_ns = last_ns + _BETWEEN_NS
        writer.sync()
    finally:
        writer.close()


def frames_of(record: PointRecord, requests: Sequence[FoundRequest]) -> Iterator[RequestFrame]:
    """The rows of one load point, from its first send on; without send times all count from its beginning.

    A planned time is recorded by nobody else: it is that of the send.
    """
    starts = [request.start_s for request in requests if request.start_s is not None]
    first_s, epoch_ns = min(starts, default=0.0), record.epoch_ns or 0
    whole = len(starts) == len(requests)
    for index, request in enumerate(requests):
        start_ns = (
            epoch_ns + round((request.start_s - first_s) * _NS)
            if whole and request.start_s is not None
            else None
        )
        yield _frame(record.index, index, request, (start_ns, epoch_ns))


def _frame(point: int, index: int, request: FoundRequest, at: tuple[int | None, int]) -> RequestFrame:
    sent_ns, epoch_ns = at
    origin_ns = epoch_ns if sent_ns is None else sent_ns

    def after(offset_s: float | None) -> int | None:
        return None if offset_s is None else origin_ns + round(offset_s * _NS)

    first_ns = after(request.ttft_s)
    gaps_s = request.gaps_s if request.gaps_s is not None and first_ns is not None else ()
    last_s = request.e2el_s
    if last_s is None and request.gaps_s and request.ttft_s is not None:
        last_s = request.ttft_s + sum(request.gaps_s)
    chunks = (
        _chunks(first_ns, gaps_s) if request.gaps_s is not None and first_ns is not None else ChunkColumns()
    )
    record = RequestRecord(
        point=point,
        index=index,
        response_id=request.response_id,
        session=request.session,
        turn=request.turn,
        status=request.status,
        http_status=request.http_status,
        error=request.error,
        finish_reason=request.finish_reason,
        streamed=first_ns is not None,
        planned_ns=origin_ns,
        sent_ns=sent_ns,
        first_token_ns=first_ns,
        first_answer_ns=after(request.ttfat_s),
        last_token_ns=after(last_s),
        end_ns=after(last_s if request.end_s is None else request.end_s),
        input_tokens_server=request.input_tokens,
        output_tokens_server=request.output_tokens,
        reasoning_tokens=request.reasoning_tokens,
        cached_tokens=request.cached_tokens,
        reads=len(chunks.kind),
    )
    return RequestFrame(record, chunks)


def _chunks(first_ns: int, gaps_s: Sequence[float]) -> ChunkColumns:
    """A chunk at the first output and one after each gap; nobody records their tokens, nor what they carried."""
    at_ns = first_ns + np.round(np.cumsum([0.0, *gaps_s]) * _NS).astype(np.int64)
    count = len(at_ns)
    return ChunkColumns(
        recv_ns=at_ns.astype("<i8").tobytes(),
        tokens=np.full(count, -1, dtype="<i4").tobytes(),
        chars=bytes(4 * count),
        kind=bytes([ChunkKind.CONTENT]) * count,
        read=np.arange(count, dtype="<i4").tobytes(),
        lag_ns=np.full(count, -1, dtype="<i8").tobytes(),
    )


def _series(folder: Path, points: Sequence[PointRecord], found: Sequence[FoundPoint]) -> None:
    """Time series of the load points, each from its own beginning on."""
    rows = [
        (record.index, (record.epoch_ns or 0) + round(at_s * _NS), source, name, value)
        for record, point in zip(points, found, strict=True)
        for name, source, at_s, value in point.series
    ]
    if not rows:
        return
    rows.sort(key=lambda row: row[:2])
    point_of, at_ns, source, name, value = zip(*rows, strict=True)
    write_series(
        folder,
        Telemetry(
            point=np.array(point_of, dtype=np.int64),
            at_ns=np.array(at_ns, dtype=np.int64),
            source=np.array(source, dtype=object),
            name=np.array(name, dtype=object),
            value=np.array(value, dtype=np.float64),
        ),
    )
