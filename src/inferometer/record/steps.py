"""Step records of an engine: the batch table of MindStudio's service profiler (``batch.csv``), written and read.

One row a step. The simulated server writes it; what a real engine's profiler wrote is read alike. Columns are those of
``ms_service_profiler.parse``. Entries of ``res_list`` have ``rid`` and ``iter`` there; ours say of a chunk of a prompt
also how many tokens it has and how many were computed before, so that the context of every sequence is known without a
column for it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from inferometer.errors import UsageError

COLUMNS: Final = (
    "name",
    "res_list",
    "start_datetime",
    "end_datetime",
    "during_time(ms)",
    "batch_type",
    "prof_id",
    "batch_size",
    "prefill_batch_size",
    "decode_batch_size",
    "total_blocks",
    "used_blocks",
    "free_blocks",
    "blocks_allocated",
    "blocks_freed",
    "kvcache_usage_rate",
    "prefill_scheduled_tokens",
    "decode_scheduled_tokens",
    "total_scheduled_tokens",
    "dp_rank",
    "start_time(ms)",
    "end_time(ms)",
    "accepted_ratio",
    "accepted_ratio_per_pos",
)
STEP: Final = "modelExec"
"""Name of the rows that time the model."""
_NEEDED: Final = (
    "name",
    "during_time(ms)",
    "prefill_batch_size",
    "decode_batch_size",
    "prefill_scheduled_tokens",
    "decode_scheduled_tokens",
    "used_blocks",
)
_NS_PER_MS = 1e6


class Part(NamedTuple):
    """A sequence in a step.

    Attributes:
        rid: number or name of its request.
        iteration: output tokens that it had before.
        chunk: tokens of its prompt that are computed; None = it decodes.
        context: tokens of it that were computed before; None = not known. Not written for one that decodes, whose
            chunks before say it.
    """

    rid: int | str
    iteration: int
    chunk: int | None = None
    context: int | None = None


class StepRow(NamedTuple):
    """One step of an engine.

    Attributes:
        begin_ns, end_ns: since 1970; None = not said.
        step_s: how long it took.
        prefills, decodes: sequences.
        prefill_tokens, decode_tokens: scheduled, drafts included.
        used_blocks: KV blocks that were held while it ran.
        total_blocks: of the pool; None = not said. So with the next two.
        allocated_blocks: since the end of the step before, less what cancelled requests gave back meanwhile.
        freed_blocks: at its end.
        parts: its sequences; None = not said.
        drafted: draft tokens that were checked.
        accepted_at: by position of the draft token, how many were right.
        checked: sequences that had drafts.
    """

    step_s: float
    prefills: int
    decodes: int
    prefill_tokens: int
    decode_tokens: int
    used_blocks: int
    total_blocks: int | None = None
    allocated_blocks: int | None = None
    freed_blocks: int | None = None
    begin_ns: int | None = None
    end_ns: int | None = None
    parts: Sequence[Part] | None = None
    drafted: int = 0
    accepted_at: Sequence[int] = ()
    checked: int = 0


class StepWriter:
    """Appends rows to a file; they wait in memory until ``flush``.

    Raises:
        UsageError: the file cannot be written, or is another one than this writes.
    """

    def __init__(self, path: Path) -> None:
        self._rows: list[str] = []
        head = ",".join(COLUMNS) + "\n"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"step records {path} cannot be written: {error.strerror}") from error
        if os.fstat(self._file).st_size == 0:
            self._rows.append(head)
        elif os.pread(self._file, len(head), 0) != head.encode():
            os.close(self._file)
            raise UsageError(
                f"{path} is there and has no step records, so none are appended to it", "choose another file"
            )
        else:
            _cut_half_row(self._file)

    def write(self, row: StepRow) -> None:
        """Keep ``row`` for the next ``flush``."""
        self._rows.append(_line(row))

    def flush(self) -> None:
        """Hand all rows to the operating system: they are there then, though this process be killed."""
        data = "".join(self._rows).encode()
        self._rows.clear()
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._file)


def _cut_half_row(file: int) -> None:
    """Take off what a writer left behind that was stopped within a row."""
    size = os.fstat(file).st_size
    end = size
    while os.pread(file, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(file, end)


def _line(row: StepRow) -> str:
    total, used = row.total_blocks, row.used_blocks
    kinds = [kind for kind, count in (("Prefill", row.prefills), ("Decode", row.decodes)) if count]
    accepted = f"{sum(row.accepted_at) / row.drafted:.4f}" if row.drafted else ""
    places = [f"{right / row.checked:.4f}" for right in row.accepted_at] if row.drafted else []
    values = (
        STEP,
        _parts_text(row.parts),
        _day(row.begin_ns),
        _day(row.end_ns),
        f"{row.step_s * 1e3:.6f}",
        " ".join(kinds),
        0,
        row.prefills + row.decodes,
        row.prefills,
        row.decodes,
        _shown(total),
        used,
        _shown(None if total is None else total - used),
        _shown(row.allocated_blocks),
        _shown(row.freed_blocks),
        "" if not total else f"{used / total:.6f}",
        row.prefill_tokens,
        row.decode_tokens,
        row.prefill_tokens + row.decode_tokens,
        0,
        _milliseconds(row.begin_ns),
        _milliseconds(row.end_ns),
        accepted,
        f'"[{", ".join(places)}]"' if places else "",
    )
    return ",".join(map(str, values)) + "\n"


def _parts_text(parts: Sequence[Part] | None) -> str:
    """JSON as a quoted field."""
    if parts is None:
        return ""
    texts = []
    for rid, iteration, chunk, context in parts:
        more = "" if chunk is None else f',""tokens"":{chunk},""context"":{context}'
        texts.append(f'{{""rid"":{rid},""iter"":{iteration}{more}}}')
    return f'"[{",".join(texts)}]"'


def _shown(value: int | None) -> str:
    return "" if value is None else str(value)


def _day(at_ns: int | None) -> str:
    if at_ns is None:
        return ""
    return datetime.fromtimestamp(at_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")


def _milliseconds(at_ns: int | None) -> str:
    return "" if at_ns is None else f"{at_ns / _NS_PER_MS:.3f}"


def read_steps(path: Path, name: str = STEP) -> Iterator[StepRow]:
    """Rows of a batch table, in their order. Steps that took no time, or had no sequence, are passed over.

    Args:
        path: of the table, a CSV file.
        name: of the rows that time the model.

    Raises:
        UsageError: it cannot be read, lacks a column, or has a value that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            table = csv.DictReader(lines)
            missing = [column for column in _NEEDED if column not in (table.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"step records {path} lack the columns {', '.join(missing)}", "export batch.csv again"
                )
            yield from _rows((row for row in table if row["name"] == name), path)
    except OSError as error:
        raise UsageError(f"step records {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"step records {path} are no CSV table: {error}", "export batch.csv again"
        ) from error


def _rows(table: Iterable[Mapping[str, str | None]], path: Path) -> Iterator[StepRow]:
    known: dict[int | str, tuple[int, int]] = {}
    for number, row in enumerate(table, 1):
        if row["used_blocks"] is None:  # cut off: the writer was killed within it
            continue
        try:
            step = _row(row, known)
        except ValueError as error:
            raise UsageError(
                f"step records {path}, step {number}: {error}", "every column of a step is a number"
            ) from error
        if step.step_s > 0 and step.prefills + step.decodes > 0:
            yield step


def _row(row: Mapping[str, str | None], known: dict[int | str, tuple[int, int]]) -> StepRow:
    def count(column: str) -> int | None:
        text = row.get(column)
        return int(float(text)) if text else None

    def moment(column: str) -> int | None:
        text = row.get(column)
        return round(float(text) * _NS_PER_MS) if text else None

    parts = _parts(row.get("res_list"))
    return StepRow(
        step_s=float(row["during_time(ms)"] or "") / 1e3,
        prefills=count("prefill_batch_size") or 0,
        decodes=count("decode_batch_size") or 0,
        prefill_tokens=count("prefill_scheduled_tokens") or 0,
        decode_tokens=count("decode_scheduled_tokens") or 0,
        used_blocks=count("used_blocks") or 0,
        total_blocks=count("total_blocks"),
        allocated_blocks=count("blocks_allocated"),
        freed_blocks=count("blocks_freed"),
        begin_ns=moment("start_time(ms)"),
        end_ns=moment("end_time(ms)"),
        parts=None if parts is None else [_placed(part, known) for part in parts],
    )


def _parts(text: str | None) -> list[Part] | None:
    """What ``res_list`` says; None where it is written otherwise than here."""
    if not text:
        return None
    try:
        found: Any = msgspec.json.decode(text)
        return [Part(one["rid"], int(one["iter"]), one.get("tokens"), one.get("context")) for one in found]
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError, ValueError):
        return None


def _placed(part: Part, known: dict[int | str, tuple[int, int]]) -> Part:
    """``part`` with its context, where its prompt was seen.

    ``known`` has of each request the tokens that its latest part computed up to, and the iteration of that part: each
    token that was made since, but the latest one, has been computed as well.
    """
    if part.chunk is None and part.rid in known:
        computed, iteration = known[part.rid]
        part = part._replace(context=computed + max(0, part.iteration - iteration - 1))
    if part.context is not None:
        known[part.rid] = part.context + (part.chunk or 1), part.iteration
    return part
