"""Conformance suite for data sets: what every Dataset must keep, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import msgspec

from inferometer.workload.request import Dataset, DatasetInfo, Request

_SALTS = ("point-0", "point-1")


def check_dataset(make: Callable[[], Dataset], *, seed: int = 7, rows: int = 20) -> None:
    """Assert the contract of ``Dataset`` on fresh instances.

    Checked: the same seed and salt give the same requests, in a second pass and in a second instance; each
    request has exactly one payload, which is not empty, and positive token targets; a file's rows are numbered
    inside the file and come once; a generated data set does not end and does not repeat a payload over two
    salts; ``info`` is stable, plain and holds no prompt text.

    Args:
        make: a new instance of the data set; called twice.
        seed: any seed.
        rows: how many requests are looked at.

    Raises:
        AssertionError: what was broken, with the value.
    """
    dataset = make()
    first = _take(dataset, seed, _SALTS[0], rows)
    assert first, "the data set gave no request"
    assert _take(dataset, seed, _SALTS[0], rows) == first, "a second pass gave other requests"
    assert _take(make(), seed, _SALTS[0], rows) == first, "a second instance gave other requests"
    for request in first:
        _check_request(request)
    info = dataset.info()
    if info.rows_total is None:
        _check_generated(dataset, seed, first, rows)
    else:
        _check_file_rows(info, info.rows_total, first)
    _check_info(dataset, first)


def _take(dataset: Dataset, seed: int, salt: str, rows: int) -> list[Request]:
    return list(islice(dataset.requests(seed, salt), rows))


def _check_request(request: Request) -> None:
    payloads = [p for p in (request.text, request.messages, request.token_ids, request.body) if p is not None]
    assert len(payloads) == 1, f"{len(payloads)} payloads in one request: {request}"
    assert payloads[0], f"empty payload: {request}"
    for tokens in (request.input_tokens_target, request.output_tokens_target):
        assert tokens is None or tokens > 0, f"a token target must be positive or absent: {request}"


def _check_generated(dataset: Dataset, seed: int, first: list[Request], rows: int) -> None:
    assert len(first) == rows, f"a data set without rows_total ended after {len(first)} requests"
    both = first + _take(dataset, seed, _SALTS[1], rows)
    payloads = {msgspec.json.encode([r.text, r.messages, r.token_ids]) for r in both}
    assert len(payloads) == len(both), "a generated payload came twice"


def _check_file_rows(info: DatasetInfo, rows_total: int, first: list[Request]) -> None:
    assert info.path, "a data set with rows_total must name its file"
    assert info.sha256, "a data set with rows_total must name its content"
    numbers = [request.row for request in first]
    assert all(n is not None and 0 <= n < rows_total for n in numbers), f"row outside the file: {numbers}"
    assert len({(r.row, r.turn) for r in first}) == len(first), f"a row came twice: {numbers}"
    assert info.rows_usable is None or len(first) <= info.rows_usable <= rows_total, info


def _check_info(dataset: Dataset, first: list[Request]) -> None:
    info = dataset.info()
    assert info == dataset.info(), "info changed while nothing was drawn"
    assert info.name, "info without a name"
    encoded = msgspec.json.encode(info).decode()
    for request in first:
        text = request.text or ""
        assert len(text) < 16 or text not in encoded, "info holds prompt text"
