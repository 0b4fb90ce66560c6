"""What a tool printed, pasted into a file: blocks of vLLM, SGLang and LMDeploy, and EvalScope's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from inferometer.exchange.importing import evalscope, sglang, vllm
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, number_of
from inferometer.exchange.importing.source import Source

_BLOCK = re.compile(r"=+ Serving Benchmark Result =+")
_ROW = re.compile(r"^[\s#>]*([A-Za-z][^:|│]*?):\s+(\S+)\s*$")
_STATISTIC = re.compile(r"^(Mean|Median|Std|Max|P[\d.]+) (TTFT|TPOT|ITL|E2EL|E2E Latency) \(ms\)$")
_NAMES = {
    "successful requests": "completed",
    "failed requests": "failed",
    "maximum request concurrency": "max_concurrency",
    "max request concurrency": "max_concurrency",
    "request rate configured (rps)": "request_rate",
    "traffic request rate": "request_rate",
    "benchmark duration (s)": "duration",
    "total input tokens": "total_input_tokens",
    "total generated tokens": "total_output_tokens",
    "request throughput (req/s)": "request_throughput",
    "request goodput (req/s)": "request_goodput",
    "input token throughput (tok/s)": "input_throughput",
    "output token throughput (tok/s)": "output_throughput",
    "peak output token throughput (tok/s)": "max_output_tokens_per_s",
    "peak concurrent requests": "max_concurrent_requests",
    "total token throughput (tok/s)": "total_token_throughput",
    "total throughput (tok/s)": "total_token_throughput",
    "concurrency": "concurrency",
    "backend": "backend",
}
_CELLS = re.compile(r"[|│┃]")
_THREE = "total / success / failed"


def sniff(source: Source) -> str | None:
    """Text with such a block."""
    if source.is_sqlite:
        return None
    if _BLOCK.search(source.text):
        return "block"
    pairs = dict(_pairs(source.text))
    return "pairs" if any(name in pairs for name in _OF_EVALSCOPE) else None


_OF_EVALSCOPE = ("Test Duration (s)", "Time taken for tests (s)", "Succeed requests")


def read(parts: Sequence[Part]) -> Found:
    """One load point a block; its figures are rounded as they were printed."""
    found: list[tuple[str, FoundPoint]] = []
    for part in parts:
        if part.kind == "block":
            found += [_of_block(part.source, block) for block in _blocks(part.source.text)]
        else:
            found.append(("evalscope", _of_pairs(dict(_pairs(part.source.text)))))
    tools = list(dict.fromkeys(tool for tool, _ in found))
    return Found(
        tool=tools[0],
        format=f"printed result of {' and '.join(tools)}",
        points=[point for _, point in found],
        notes=["read from printed text: figures are rounded, and the model is not in it"],
    )


def _blocks(text: str) -> Iterator[dict[str, Any]]:
    """The rows of each block, and of the lines before it since the block before."""
    row: dict[str, Any] = {}
    inside = False
    for line in text.splitlines():
        if _BLOCK.search(line):
            inside = True
        elif inside and re.fullmatch(r"[\s#>]*=+\s*", line):
            yield row
            row, inside = {}, False
        elif (found := _ROW.match(line)) is not None:
            row[found[1].strip()] = found[2]
    if inside:
        yield row  # the last line of it was not pasted


def _of_block(source: Source, block: dict[str, Any]) -> tuple[str, FoundPoint]:
    flat: dict[str, Any] = {}
    for label, text in block.items():
        number = number_of(text)
        value = text if number is None else int(number) if number.is_integer() else number
        statistic = _STATISTIC.match(label)
        if statistic is not None:
            metric = statistic[2].lower().replace(" ", "_")
            flat[f"{statistic[1].lower()}_{metric}_ms"] = value
        else:
            flat[_NAMES.get(label.lower(), label)] = value
    theirs = "input_throughput" in flat
    if theirs:
        flat["total_throughput"] = flat.pop("total_token_throughput", None)
        backend = str(flat.get("backend", ""))
        return "lmdeploy" if backend == "lmdeploy" else "sglang", sglang.point_of(source, flat)
    return "vllm", vllm.point_of(source, flat)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Rows of two cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in _CELLS.split(line) if cell.strip()]
        if len(cells) == 2:
            yield cells[0], cells[1]


def _of_pairs(pairs: dict[str, str]) -> FoundPoint:
    flat: dict[str, Any] = {}
    for name, text in pairs.items():
        if name.lower() == _THREE:
            flat |= zip(
                ("Total Requests", "Success Requests", "Failed Requests"), text.split("/"), strict=False
            )
            continue
        number = number_of(text)
        names = {"TTFT (ms)": "Avg TTFT (ms)", "TPOT (ms)": "Avg TPOT (ms)", "ITL (ms)": "Avg ITL (ms)"}
        flat[names.get(name, name)] = text if number is None else number
    point = evalscope.point_of(Taken(flat), {}, {}, [])
    return FoundPoint(point.load, msgspec.structs.replace(point.reported, definitions={}))


FORMAT = Format("console", "a printed result", sniff, read)
