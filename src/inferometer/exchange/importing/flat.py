"""Flat result objects of vLLM and SGLang: one number a key, statistics as ``mean_ttft_ms``, arrays by request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.found import FoundRequest, Taken, int_of, number_of
from inferometer.exchange.importing.source import Source

_STATISTIC = re.compile(r"^(mean|median|std|min|max|p[0-9.]+)_(.+)$")
_PLACES = {"median": "50"}


def take_statistics(taken: Taken, metrics: Mapping[str, tuple[str, str]], count: int | None) -> None:
    """Take ``mean_ttft_ms``, ``p99.9_ttft_ms`` and so on.

    Args:
        taken: the object.
        metrics: by the tool's name ("ttft_ms"): our key, and how the tool defines it where that differs.
        count: values that a statistic over requests is of; ITL is pooled and has another one, which nobody tells.
    """
    names: dict[str, dict[str, str]] = {}
    for name in taken.rest():
        found = _STATISTIC.match(name)
        if found is not None and found[2] in metrics:
            place = _PLACES.get(found[1], found[1].removeprefix("p"))
            places = names.setdefault(found[2], {})
            # "median" and "p50" are the same number twice: one is taken, the other stays as stated
            places.setdefault(place, name)
    for metric, places in names.items():
        key, definition = metrics[metric]
        taken.stat(key, places, count=None if key == "itl_ms" else count, definition=definition)


def requests_of(source: Source, taken: Taken) -> list[FoundRequest]:
    """The requests of a result with details; empty without, and then every array stays as stated.

    Raises:
        UsageError: the arrays differ in length.
    """
    arrays = {
        name: taken.peek(name)
        for name in ("input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "errors")
    }
    listed = {name: values for name, values in arrays.items() if isinstance(values, list) and values}
    if not {"ttfts", "output_lens"} <= set(listed):
        return []
    lengths = {name: len(values) for name, values in listed.items()}
    if len(set(lengths.values())) > 1:
        raise source.broken(f"arrays differ in length: {lengths}", "was the file changed by hand?")
    for name in listed:
        taken.take(name)
    texts = taken.take("generated_texts")
    del texts  # answers are not kept; the original file has them
    columns = [listed.get(name, [None] * lengths["ttfts"]) for name in arrays]
    return [_request(dict(zip(arrays, row, strict=True))) for row in zip(*columns, strict=True)]


def _request(row: Mapping[str, Any]) -> FoundRequest:
    ttft_s, gaps = number_of(row["ttfts"]), row["itls"]
    error, output = str(row["errors"] or ""), int_of(row["output_lens"])
    common: dict[str, Any] = {
        "start_s": number_of(row["start_times"]),
        "input_tokens": int_of(row["input_lens"]),
    }
    if error or (not ttft_s and not output):
        return FoundRequest(**common, status="http_error", error=error[:500] or "no answer")
    gaps_s = [gap for gap in map(number_of, gaps) if gap is not None] if isinstance(gaps, Sequence) else None
    e2el_s = number_of(row["latencies"])
    if e2el_s is None and ttft_s is not None and gaps_s is not None:
        e2el_s = ttft_s + sum(gaps_s)
    return FoundRequest(**common, ttft_s=ttft_s or None, e2el_s=e2el_s, gaps_s=gaps_s, output_tokens=output)
