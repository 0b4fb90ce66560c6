"""Rows of request traces, each format into one shape: when, how long, and which blocks of the prompt are shared.

Sources of the formats: Mooncake, FAST 2025 (kvcache-ai/Mooncake); Bailian (alibaba-edu/qwen-bailian-usagetraces-anon);
BurstGPT (HPMLL/BurstGPT); Azure LLM inference traces 2023 and 2024 (Azure/AzurePublicDataset).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from inferometer.workload.rows import BadRowError, Row

NS_PER_S = 1_000_000_000
MOONCAKE_BLOCK = 512  # tokens
BAILIAN_BLOCK = 16
LONGEST = 100_000_000  # tokens; beyond it a length is a mistake, and would take gigabytes
_LATEST_S = 1e9 * 4  # far beyond seconds since 1970; times have to fit into 64 bits as nanoseconds
_JSON_ROWS = (".json", ".jsonl", ".ndjson")

Hashes = list[int | str]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the trace recorded it.

    Attributes:
        at_ns: when it came, on the trace's own axis.
        input_tokens: None = as many as its own text has.
        hash_ids: names of the prompt's blocks of ``block_tokens`` tokens; None = not recorded.
        exact: whether the last block is always named too; else blocks that are not full may be left out.
    """

    at_ns: int
    input_tokens: int | None
    output_tokens: int
    hash_ids: Hashes | None = None
    block_tokens: int = 0
    exact: bool = True
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    model: str | None = None
    session: str | None = None


Reader = Callable[[Row], Recorded | None]


class Format(msgspec.Struct, frozen=True):
    """How the rows of one kind of trace are read.

    ``read`` gives None for a row that records a failure, and raises BadRowError for one that cannot be used.
    """

    read: Reader
    suffixes: tuple[str, ...]


class _Mooncake(msgspec.Struct):
    timestamp: float  # ms
    input_length: int
    output_length: int
    hash_ids: Hashes | None = None


class _Bailian(msgspec.Struct):
    timestamp: float  # s
    input_length: int
    output_length: int
    hash_ids: Hashes | None = None


class _Own(msgspec.Struct):
    output_tokens: int
    timestamp_s: float | None = None
    timestamp_ms: float | None = None
    input_tokens: int | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    hash_ids: Hashes | None = None
    block_size: int = MOONCAKE_BLOCK
    model: str | None = None
    session: str | int | None = None


_MOONCAKE = msgspec.json.Decoder(_Mooncake)
_BAILIAN = msgspec.json.Decoder(_Bailian)
_OWN = msgspec.json.Decoder(_Own, strict=False)  # the fields of a table are texts


def _mooncake(row: Row) -> Recorded:
    value = row.decode(_MOONCAKE)
    return Recorded(
        at_ns=_ns(value.timestamp / 1e3),
        input_tokens=value.input_length,
        output_tokens=value.output_length,
        hash_ids=value.hash_ids,
        block_tokens=MOONCAKE_BLOCK,
    )


def _bailian(row: Row) -> Recorded:
    value = row.decode(_BAILIAN)
    return Recorded(
        at_ns=_ns(value.timestamp),
        input_tokens=value.input_length,
        output_tokens=value.output_length,
        hash_ids=value.hash_ids,
        block_tokens=BAILIAN_BLOCK,
        exact=False,
    )


def _own(row: Row) -> Recorded:
    value = row.decode(_OWN)
    seconds, ms = value.timestamp_s, value.timestamp_ms
    if (seconds is None) == (ms is None):
        raise BadRowError("no_time", "exactly one of timestamp_s and timestamp_ms is needed")
    given = [name for name in ("prompt", "messages", "hash_ids") if getattr(value, name) is not None]
    if len(given) > 1:
        raise BadRowError(
            "two_prompts", f"{' and '.join(given)} both say what the prompt is", "keep one of them"
        )
    if value.prompt == "" or value.messages == []:
        raise BadRowError("prompt_empty", f"{given[0]} is empty")
    if value.input_tokens is None and not (value.prompt or value.messages):
        raise BadRowError("no_length", "input_tokens is missing, and there is no prompt to count")
    if value.block_size < 1:
        raise BadRowError("block_size", f"block_size {value.block_size} is below 1")
    return Recorded(
        at_ns=_ns(seconds if seconds is not None else (ms or 0.0) / 1e3),
        input_tokens=value.input_tokens,
        output_tokens=value.output_tokens,
        hash_ids=value.hash_ids,
        block_tokens=value.block_size,
        exact=False,
        prompt=value.prompt,
        messages=value.messages,
        model=value.model,
        session=None if value.session is None else str(value.session),
    )


def _burstgpt(row: Row) -> Recorded | None:
    cells = _cells(row)
    answer = _whole(cells, "Response tokens", "response_tokens")
    if answer == 0:  # how the trace marks a request that failed
        return None
    seconds = _number(cells, "Timestamp", "timestamp")
    tokens = _whole(cells, "Request tokens", "request_tokens")
    return Recorded(at_ns=_ns(seconds), input_tokens=tokens, output_tokens=answer)


def _azure(row: Row) -> Recorded:
    cells = _cells(row)
    return Recorded(
        at_ns=_date_ns(_cell(cells, "TIMESTAMP", "Timestamp", "arrival_timestamp")),
        input_tokens=_whole(cells, "ContextTokens", "context_tokens", "prompt_size"),
        output_tokens=_whole(cells, "GeneratedTokens", "generated_tokens", "token_size"),
    )


def check_lengths(recorded: Recorded) -> None:
    """Lengths that can be sent, and as many block names as they need.

    Raises:
        BadRowError: one that cannot.
    """
    for side, tokens in (("input", recorded.input_tokens), ("output", recorded.output_tokens)):
        if tokens is not None and not 1 <= tokens <= LONGEST:
            rule = "has to be at least 1" if tokens < 1 else f"is above {LONGEST}"
            raise BadRowError(f"{side}_length", f"the {side} length of {tokens} tokens {rule}")
    if recorded.hash_ids is None or recorded.input_tokens is None:
        return
    full, rest = divmod(recorded.input_tokens, recorded.block_tokens)
    fits = {full + bool(rest)} | (set() if recorded.exact else {full})
    if len(recorded.hash_ids) not in fits:
        raise BadRowError(
            "hash_ids",
            f"{len(recorded.hash_ids)} hash_ids, but {recorded.input_tokens} tokens are {max(fits)} blocks of "
            f"{recorded.block_tokens}",
        )


def _cells(row: Row) -> Mapping[str, Any]:
    if isinstance(row.raw, dict):
        return {str(name).strip().lstrip("\ufeff"): value for name, value in row.raw.items()}
    return row.decode(_OBJECT)


_OBJECT = msgspec.json.Decoder(dict[str, Any])


def _cell(cells: Mapping[str, Any], *names: str) -> str:
    value = next((cells[name] for name in names if cells.get(name) is not None), None)
    if value is None:
        raise BadRowError(
            "no_column", f"column {names[0]!r} is missing (there are: {', '.join(cells) or 'none'})"
        )
    return str(value).strip()


def _number(cells: Mapping[str, Any], *names: str) -> float:
    text = _cell(cells, *names)
    try:
        return float(text)
    except ValueError:
        raise BadRowError("no_number", f"{names[0]} {text[:40]!r} is no number") from None


def _whole(cells: Mapping[str, Any], *names: str) -> int:
    number = _number(cells, *names)
    if not math.isfinite(number) or number != int(number):
        raise BadRowError("no_number", f"{names[0]} {number} is no whole number")
    return int(number)


def _ns(seconds: float) -> int:
    if not abs(seconds) <= _LATEST_S:
        raise BadRowError("time", f"the time of {seconds} s is out of range")
    return round(seconds * NS_PER_S)


_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?\s*(Z|[+-]\d\d:?\d\d)?")
_EPOCH = datetime(1970, 1, 1)


def _date_ns(text: str) -> int:
    """Nanoseconds of ``2023-11-16 18:15:46.6805900`` or ``2024-05-10 00:00:00.009930+00:00``; or of plain seconds."""
    match = _DATE.fullmatch(text)
    if match is None:
        return _ns(_number({"TIMESTAMP": text}, "TIMESTAMP"))
    day, clock, fraction, zone = match.groups()
    try:
        since = datetime.fromisoformat(f"{day} {clock}") - _EPOCH
    except ValueError as error:
        raise BadRowError("time", f"TIMESTAMP {text[:40]!r}: {error}") from None
    seconds = since.days * 86_400 + since.seconds - _zone_s(zone or "Z")
    return seconds * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def _zone_s(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    return (1 if zone[0] == "+" else -1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


FORMATS: dict[str, Format] = {
    "mooncake": Format(_mooncake, _JSON_ROWS),
    "bailian": Format(_bailian, _JSON_ROWS),
    "burstgpt": Format(_burstgpt, (".csv",)),
    "azure": Format(_azure, (".csv",)),
    "trace": Format(_own, _JSON_ROWS),
}
