"""LMDeploy's scripts: ``profile_restful_api`` (new and old), ``profile_throughput``, ``profile_generation``, chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.flat import take_statistics
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import (
    Found,
    FoundPoint,
    FoundRequest,
    Taken,
    int_of,
    load_of,
    number_of,
)
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import rate_of, whole_or_none
from inferometer.record.imported import ImportedPoint

_KINDS = {
    "requests": {"request_id", "ttft_s", "e2e_latency_s", "completion_tokens"},
    "chat": {"mode", "setting", "output_throughput_tok_s"},
    "restful": {"backend", "request_throughput", "output_throughput", "mean_ttft_ms", "completed"},
    "generation": {"batch", "prompt_tokens", "completion_tokens", "throughput(out tok/s)"},
    "old": {"batch", "num_prompts", "RPS", "throughput(out tok/s)"},
}
_METRICS = {
    "ttft_ms": ("ttft_ms", "to the first chunk with content; reasoning does not stop it"),
    "tpot_ms": ("tpot_ms", "(latency - TTFT) / (n - 1), the latency up to [DONE]"),
    "itl_ms": ("itl_ms", "gaps between chunks with content, also those that came in one read"),
    "e2e_latency_ms": ("e2el_ms", "to [DONE] or the end of the connection"),
}
_FIRST = {"mean": "FTL(ave)(s)", "min": "FTL(min)(s)", "max": "FTL(max)(s)"}
_CHAT = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_latency_ms")


def sniff(source: Source) -> str | None:
    """A CSV with the columns of one of its scripts."""
    table = source.table
    if not table:
        return None
    header = {cell.strip() for cell in table[0]}
    return next((kind for kind, needed in _KINDS.items() if needed <= header), None)


def read(parts: Sequence[Part]) -> Found:
    """One load point a row; requests of the chat script join the row of their data set, mode, setting and repeat."""
    listed = [row for part in parts if part.kind == "requests" for row in part.source.rows or []]
    points = [
        _READERS[part.kind](row, listed)
        for part in parts
        if part.kind != "requests"
        for row in part.source.rows or []
    ]
    notes = []
    endless = [point for point in points if point.load["request_rate"] == "inf"]
    if len(endless) > 1:
        for number, point in enumerate(endless, start=1):
            point.load["case"] = f"row {number}"  # equal loads would count as repeats
        notes.append(
            "the table does not say how many requests were under way: rows are not taken for repeats"
        )
    if listed and not points:
        points = [
            _of_requests(key, [r for r in listed if _case(r) == key])
            for key in dict.fromkeys(map(_case, listed))
        ]
    if any(part.kind in ("old", "generation", "restful") for part in parts):
        notes.append("the tables do not say how many requests failed, nor which model answered")
    return Found(tool="lmdeploy", format="LMDeploy benchmark CSV", points=points, notes=notes)


def _case(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name, "")) for name in ("dataset", "mode", "setting", "repeat"))


def _restful(row: Mapping[str, str], _: Sequence[Mapping[str, str]]) -> FoundPoint:
    taken = Taken(row)
    completed = taken.whole("completed")
    duration_s = taken.number("duration")
    for key in ("request_throughput", "input_throughput", "output_throughput"):
        taken.value(f"{key}_per_s", key)
    take_statistics(taken, _METRICS, completed)
    reported = _reported(taken, completed, duration_s=duration_s)
    load = load_of(
        max_concurrency=whole_or_none(row.get("bs")),
        request_rate=rate_of(row.get("request_rate"), row.get("bs")),
        num_prompts=whole_or_none(row.get("num_prompts")) or completed,
        input_len=whole_or_none(row.get("random_input_len")),
        output_len=whole_or_none(row.get("random_output_len")),
    )
    return FoundPoint(load, reported)


def _old(row: Mapping[str, str], _: Sequence[Mapping[str, str]]) -> FoundPoint:
    taken = Taken(row)
    completed = whole_or_none(row.get("num_prompts"))
    taken.value("request_throughput_per_s", "RPS")
    _take_old(taken, completed)
    load = load_of(max_concurrency=whole_or_none(row.get("batch")), num_prompts=completed)
    return FoundPoint(load, _reported(taken, None))


def _generation(row: Mapping[str, str], _: Sequence[Mapping[str, str]]) -> FoundPoint:
    taken = Taken(row)
    _take_old(taken, None)
    load = load_of(
        max_concurrency=whole_or_none(row.get("batch")),
        input_len=whole_or_none(row.get("prompt_tokens")),
        output_len=whole_or_none(row.get("completion_tokens")),
    )
    return FoundPoint(load, _reported(taken, None))


def _take_old(taken: Taken, count: int | None) -> None:
    taken.value("output_throughput_per_s", "throughput(out tok/s)")
    taken.value("total_throughput_per_s", "throughput(total tok/s)")
    taken.stat("ttft_ms", _FIRST, scale=1e3, count=count)


def _chat(row: Mapping[str, str], listed: Sequence[Mapping[str, str]]) -> FoundPoint:
    taken = Taken(row)
    completed, failed = taken.whole("completed"), taken.whole("failed")
    duration_s = taken.number("duration_s")
    for key, name in (
        ("request_throughput_per_s", "request_throughput_req_s"),
        ("input_throughput_per_s", "input_throughput_tok_s"),
        ("output_throughput_per_s", "output_throughput_tok_s"),
    ):
        taken.value(key, name)
    for metric in _CHAT:
        key, definition = _METRICS[metric]
        places = {"mean": f"ave_{metric}", "min": f"min_{metric}", "max": f"max_{metric}"}
        places |= {p: f"p{p}_{metric}" for p in ("50", "75", "95", "99")}
        taken.stat(key, places, count=None if key == "itl_ms" else completed, definition=definition)
    reported = _reported(taken, completed, failed, duration_s)
    load = load_of(num_prompts=whole_or_none(row.get("total")), **_setting(row))
    return FoundPoint(load, reported, [_request(each) for each in listed if _case(each) == _case(row)])


def _setting(row: Mapping[str, Any]) -> dict[str, Any]:
    value = number_of(row.get("setting"))
    if value is None:
        return {}
    return {"request_rate": value} if "rate" in str(row.get("mode", "")) else {"max_concurrency": int(value)}


def _of_requests(case: tuple[str, ...], rows: Sequence[Mapping[str, str]]) -> FoundPoint:
    requests = [_request(row) for row in rows]
    failed = sum(request.status != "ok" for request in requests)
    names = dict(zip(("dataset", "mode", "setting", "repeat"), case, strict=True))
    reported = ImportedPoint(point=0, completed=len(requests) - failed, failed=failed, stated=names)
    return FoundPoint(load_of(num_prompts=len(requests), **_setting(names)), reported, requests)


def _request(row: Mapping[str, str]) -> FoundRequest:
    whole = {name: int_of(row.get(name)) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")}
    ok = str(row.get("success", "")).strip().lower() in ("1", "true", "1.0")
    return FoundRequest(
        ttft_s=number_of(row.get("ttft_s")) if ok else None,
        e2el_s=number_of(row.get("e2e_latency_s")) if ok else None,
        input_tokens=whole["prompt_tokens"],
        output_tokens=whole["completion_tokens"],
        cached_tokens=whole["cached_tokens"],
        status="ok" if ok else "http_error",
        http_status=int_of(row.get("http_status")),
        error=None if ok else (row.get("error") or "failed")[:500],
        finish_reason=row.get("finish_reason") or None,
        response_id=row.get("request_id") or None,
    )


def _reported(
    taken: Taken, completed: int | None, failed: int | None = None, duration_s: float | None = None
) -> ImportedPoint:
    stated = {
        name: value if (number := number_of(value)) is None else number
        for name, value in taken.rest().items()
    }
    return ImportedPoint(
        point=0,
        duration_s=duration_s,
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated=stated,
    )


_READERS = {"restful": _restful, "old": _old, "generation": _generation, "chat": _chat}

FORMAT = Format("lmdeploy", "an LMDeploy benchmark table", sniff, read)
