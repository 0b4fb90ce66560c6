"""EvalScope's ``benchmark_data.db``: its plain columns. What is pickled in it is never opened."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, NamedTuple

from inferometer.exchange.importing.found import FoundRequest, int_of, number_of
from inferometer.exchange.importing.source import Source, json_of

_COLUMNS = (
    "start_time", "completed_time", "latency", "first_chunk_latency", "prompt_tokens", "completion_tokens",
    "success", "inter_token_latencies", "request_id", "is_stream",
)  # fmt: skip
_NEEDED = {"start_time", "latency", "success"}
_MOST_ROWS = 2_000_000
_MOST_STEPS = 2_000  # of 100,000 instructions each; a table is read with far fewer


class Database(NamedTuple):
    """What a database held."""

    requests: list[FoundRequest]
    notes: tuple[str, ...]


def read_database(source: Source) -> Database | None:
    """The requests in a database; None when it has no table of them.

    Opened as one that nobody changes, so that nothing is written beside it.
    """
    try:
        uri = f"{source.path.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            steps = iter(range(_MOST_STEPS))
            connection.set_progress_handler(lambda: next(steps, None) is None, 100_000)
            kinds = dict(connection.execute("SELECT name, type FROM sqlite_master"))
            if kinds.get("result") != "table":
                return None
            names = [str(row[1]) for row in connection.execute("PRAGMA table_info(result)")]
            if not set(names) >= _NEEDED:
                return None
            columns = [name for name in _COLUMNS if name in names]
            query = f"SELECT {', '.join(columns)} FROM result ORDER BY start_time LIMIT {_MOST_ROWS}"  # noqa: S608
            rows = [dict(zip(columns, row, strict=True)) for row in connection.execute(query)]
    except sqlite3.Error as error:
        raise source.broken(
            f"the database cannot be read: {error}", "was it copied while it was written?"
        ) from None
    requests = [_request(row) for row in rows]
    pickled = any(
        row.get("inter_token_latencies") and _gaps(row["inter_token_latencies"]) is None for row in rows
    )
    note = f"{source.name}: gaps between chunks are pickled, which is never opened: ITL is as stated"
    return Database(requests, (note,) if pickled else ())


def _request(row: dict[str, Any]) -> FoundRequest:
    ttft_s, latency_s = number_of(row.get("first_chunk_latency")), number_of(row.get("latency"))
    gaps_s = _gaps(row.get("inter_token_latencies"))
    streamed = bool(ttft_s) and row.get("is_stream") != 0
    last_s = ttft_s + sum(gaps_s) if streamed and ttft_s is not None and gaps_s else latency_s
    ok = bool(row.get("success"))
    start_s, completed_s = number_of(row.get("start_time")), number_of(row.get("completed_time"))
    if latency_s is None and start_s is not None and completed_s is not None:
        latency_s = max(completed_s - start_s, 0.0)  # of a failed one
    return FoundRequest(
        start_s=start_s,
        ttft_s=ttft_s if streamed and ok else None,
        e2el_s=last_s if ok else None,
        end_s=latency_s,
        gaps_s=gaps_s if streamed and ok else None,
        input_tokens=int_of(row.get("prompt_tokens")),
        output_tokens=int_of(row.get("completion_tokens")),
        status="ok" if ok else "http_error",
        error=None if ok else "failed, as its database says",
        response_id=None if row.get("request_id") is None else str(row["request_id"]),
    )


def _gaps(text: Any) -> list[float] | None:
    """A JSON list of numbers; None for anything else, such as a pickle in Base64."""
    if not isinstance(text, str) or not text.startswith("["):
        return None
    try:
        values = json_of(text)
    except ValueError:
        return None
    numbers = [number_of(value) for value in values]
    return None if None in numbers else [number for number in numbers if number is not None]
