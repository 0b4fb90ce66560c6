"""The sample files of other tools, and what a run folder holds of a number."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from inferometer.api.importing import ImportResult, import_files
from inferometer.exchange.importing import Found, read_all, sources_of
from inferometer.exchange.importing.found import quantity_of

DATA = Path(__file__).parents[2] / "data" / "exchange"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)

# Path, tool, load points, requests listed one by one.
SAMPLES: tuple[tuple[str, str, int, int], ...] = (
    ("vllm/detailed.json", "vllm", 1, 6),
    ("vllm/appended.jsonl", "vllm", 2, 0),
    ("vllm/console.txt", "vllm", 1, 0),
    ("evalscope", "evalscope", 1, 6),
    ("guidellm", "guidellm", 1, 2),
    ("guidellm_table", "guidellm", 1, 0),
    ("aiperf", "aiperf", 1, 6),
    ("aiperf/profile_export_aiperf.csv", "aiperf", 1, 0),
    ("aiperf/profile_export.jsonl", "aiperf", 1, 6),
    ("genai-bench", "genai-bench", 1, 44),
    ("made_sglang", "sglang", 2, 0),
    ("made_lmdeploy/restful.csv", "lmdeploy", 2, 0),
    ("made_lmdeploy/old_restful.csv", "lmdeploy", 1, 0),
    ("made_lmdeploy/generation.csv", "lmdeploy", 2, 0),
    ("made_lmdeploy/chat", "lmdeploy", 1, 3),
    ("made_mindie", "mindie", 1, 0),
    ("made_mindie_old", "mindie", 1, 0),
    ("made_aisbench", "aisbench", 1, 0),
    ("made_llmperf", "llmperf", 1, 3),
    ("made_inference_benchmarker", "inference-benchmarker", 2, 0),
    ("made_inference_perf", "inference-perf", 2, 0),
    ("made_llm_d", "llm-d", 1, 0),
    ("made_llm_d_v0.2", "llm-d", 1, 0),
    ("made_inferencex", "inferencex", 1, 0),
    ("made_pytorch", "pytorch", 1, 0),
    ("made_openmetrics", "openmetrics", 1, 0),
    ("made_console/dcu.txt", "vllm", 2, 0),
    ("made_console/sglang.txt", "sglang", 1, 0),
    ("made_console/evalscope.txt", "evalscope", 1, 0),
    ("made_evalscope_2025", "evalscope", 1, 0),
    ("made_evalscope_2025_early", "evalscope", 1, 0),
    ("made_inferometer", "inferometer", 2, 0),
)

# Of a request, only what a record of ours has a place for; the rest follows from it, and the kept file has it.
_LISTS = {
    "guidellm": ("requests",),
    "genai-bench": ("individual_request_metrics",),
    "aiperf": ("metrics", "metadata"),
    "llmperf": ("request_output_throughput_token_per_s", "number_total_tokens", "inter_token_latency_s"),
}
_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
_REQUEST_NAMES = (
    "ttft", "e2e_latency", "num_input_tokens", "num_output_tokens", "time_to_first_token_ms", "prompt_tokens",
    "output_tokens", "request_latency", "time_to_first_token", "inter_chunk_latency", "usage_prompt_tokens",
    "usage_completion_tokens",
)  # fmt: skip


def imported(name: str, out: Path) -> ImportResult:
    """One sample as a run folder."""
    [result] = import_files([DATA / name], out, now_utc=NOW)
    return result


def found_in(name: str) -> tuple[Found, list[Path]]:
    """What the reader makes of a sample, and the files that it read."""
    found, files = read_all(sources_of(DATA / name))
    return found, [source.path for source in files]


def numbers_in(path: Path, tool: str) -> Iterator[tuple[str, float]]:
    """Every number of a sample that a reader has to keep, with where it stands."""
    if path.suffix in (".json", ".jsonl"):
        text = path.read_text("utf-8")
        contents = (
            [json.loads(text)] if path.suffix == ".json" else [json.loads(li) for li in text.splitlines()]
        )
        for content in contents:
            yield from _walk(content, "", _LISTS.get(tool, ()))
    elif path.suffix == ".yaml":
        yield from _walk(yaml.safe_load(path.read_text("utf-8")), "", ())
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            next(file)  # the header, in which some write percentiles
            for row in csv.reader(file):
                for cell in row:
                    number, rest = quantity_of(cell)
                    if (
                        number is not None and not rest.startswith("-") and not _IDENTIFIER.match(cell)
                    ):  # "-": a date
                        yield row[0], number


def _walk(value: Any, where: str, lists: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _walk(each, f"{where}/{name}", lists)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, where, lists)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        parts = where.split("/")[1:]
        listed = bool(lists) and any(name in parts[:3] for name in lists)
        if not (listed and not any(name in parts[-2:] for name in _REQUEST_NAMES)):
            yield where, float(value)


def kept_in(found: Found) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Every number that a reader has kept: as stated, as taken, and of requests, sorted."""
    plain = msgspec.to_builtins([point.reported for point in found.points])
    values = [
        value for _, value in _walk([plain, found.stated, [point.load for point in found.points]], "", ())
    ]
    for point in found.points:
        values += [float(p) for stat in point.reported.stats.values() for p in stat.percentiles]
        values += [value for _, value in _walk(msgspec.to_builtins(point.requests), "", ())]
        values += [value for *_, at_s, value in point.series for value in (at_s, value)]
    return np.sort([value for value in values if math.isfinite(value)])


def is_kept(number: float, kept: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether a number is among those kept, in its unit or in ours."""
    for scale in (1.0, 1e3, 1e-3, 1.0 / 60.0):
        wanted = number * scale
        place = int(np.searchsorted(kept, wanted))
        for near in kept[max(place - 1, 0) : place + 1]:
            if abs(near - wanted) <= 1e-9 * max(abs(wanted), 1.0) * max(scale, 1.0):
                return True
    return False
