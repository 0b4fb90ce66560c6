"""How many requests ended how, and how many tokens each side counted."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from inferometer.metrics.latency import Bools, PointData
from inferometer.metrics.throughput import total
from inferometer.record.tables import PointTable

_VARIABLE_PARTS = re.compile(r"0x[0-9a-f]+|\d+|\b[0-9a-f]{8,}\b", re.IGNORECASE)


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failures that read alike but for numbers and ids in the text; ``example`` is the first of them."""

    status: str
    http_status: int | None
    example: str | None
    first_request: int
    count: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one load point.

    Attributes:
        planned: requests that should have a record: the planned ones, or those dispatched when a time limit
            or an interruption ended the point.
        failed: not successful, those cut off and those given up left out.
        cut_off: cancelled because the time limit, the user or another reason to stop ended the point.
        given_up: given up by the client as asked, and the turns that would have followed in their sessions; neither
            successes nor failures.
        by_status: number of records per status.
        errors: what failed, most frequent first.
    """

    planned: int
    records: int
    ok: int
    failed: int
    cut_off: int
    by_status: dict[str, int]
    errors: list[ErrorGroup]
    given_up: int = 0

    @property
    def failed_share(self) -> float | None:
        """Failed / all that ended on their own; None when none did."""
        ended = self.ok + self.failed
        return self.failed / ended if ended else None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Token totals of the successful requests, as each side counts; None where a request has no such count.

    Attributes:
        output_difference: server - client count over the requests that have both.
        input_difference: the same for prompts.
    """

    input_target: float | None
    input_server: float | None
    input_client: float | None
    input_difference: float | None
    output_target: float | None
    output_server: float | None
    output_client: float | None
    output_difference: float | None
    reasoning: float | None
    cached: float | None


def count_requests(table: PointTable) -> Counts:
    """Count the records of a load point by how they ended."""
    status = table.text("status")
    names, numbers = np.unique(status.astype(str), return_counts=True)
    by_status = {str(name): int(number) for name, number in zip(names, numbers, strict=True)}
    stopped = _stopped(table)
    ok = by_status.get("ok", 0)
    cut_off = cut_off_rows(table)
    failed = failed_rows(table)
    return Counts(
        planned=_expected(table, stopped),
        records=len(status),
        ok=ok,
        failed=int(failed.sum()),
        cut_off=int(cut_off.sum()),
        by_status=by_status,
        errors=_error_groups(table, failed),
        given_up=int(given_up_rows(table).sum()),
    )


def count_tokens(data: PointData) -> Tokens:
    """Add up the tokens of the successful requests."""
    column = data.column
    return Tokens(
        input_target=total(column("input_tokens_target")),
        input_server=total(column("input_tokens_server")),
        input_client=total(column("input_tokens_client")),
        input_difference=_difference(data, "input"),
        output_target=total(column("output_tokens_target")),
        output_server=total(column("output_tokens_server")),
        output_client=total(column("output_tokens_client")),
        output_difference=_difference(data, "output"),
        reasoning=total(column("reasoning_tokens")),
        cached=total(column("cached_tokens")),
    )


def given_up_rows(table: PointTable) -> Bools:
    """The requests that the client gave up as asked, and the turns that would have followed them."""
    return np.asarray(table.text("status") == "aborted", dtype=bool)


def failed_rows(table: PointTable) -> Bools:
    """The requests that failed; those cut off and those given up as asked are neither successes nor failures."""
    broken = np.asarray(table.text("status") != "ok", dtype=bool)
    return broken & ~cut_off_rows(table) & ~given_up_rows(table)


def cut_off_rows(table: PointTable) -> Bools:
    """The requests that were cancelled because the time limit, the user or a soft stop ended the point.

    A later turn that was never sent, because one before it had failed, is none of them.
    """
    if not _stopped(table):
        return np.zeros(len(table.text("status")), dtype=bool)
    unsent_turn = (table.number("turn") > 0) & np.isnan(table.number("sent_ns"))
    return np.asarray(table.text("status") == "cancelled", dtype=bool) & ~unsent_turn


def _stopped(table: PointTable) -> bool:
    return table.point.stop_reason in ("duration", "interrupted", "errors", "saturated")


def _expected(table: PointTable, stopped: bool) -> int:
    planned = table.point.planned_requests
    return table.point.dispatched if stopped or planned is None else planned


def _difference(data: PointData, side: str) -> float | None:
    difference = data.column(f"{side}_tokens_server") - data.column(f"{side}_tokens_client")
    return total(difference[~np.isnan(difference)])


def _error_groups(table: PointTable, failed: Bools) -> list[ErrorGroup]:
    status, error = table.text("status"), table.text("error")
    http_status, index = table.number("http_status"), table.number("index")
    first: dict[tuple[str, int | None, str | None], int] = {}
    counted: dict[tuple[str, int | None, str | None], int] = {}
    for row in np.flatnonzero(failed).tolist():
        code = None if np.isnan(http_status[row]) else int(http_status[row])
        text = None if error[row] is None else _VARIABLE_PARTS.sub("#", error[row])
        key = (str(status[row]), code, text)
        first.setdefault(key, row)
        counted[key] = counted.get(key, 0) + 1
    return [
        ErrorGroup(
            status=key[0],
            http_status=key[1],
            example=error[first[key]],
            first_request=int(index[first[key]]),
            count=counted[key],
        )
        for key in sorted(counted, key=lambda k: (-counted[k], first[k]))
    ]
