"""The peers that are held against the views: their command lines, their own stamps, their own results."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from inferometer.metrics.views.aiperf import aiperf_result
from inferometer.metrics.views.evalscope import PERCENTILES, SUMMARY, evalscope_result
from inferometer.metrics.views.guidellm import guidellm_result
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS, ChunkKind, RunMeta
from peers.tools import Place
from views.server import Served
from views.traffic import Seen, as_sent


@dataclass(frozen=True)
class Headline:
    """A figure of the printed table: its name, and the keys that lead to it in the tool's result object."""

    name: str
    keys: tuple[str | int, ...]


@dataclass(frozen=True)
class Peer:
    """A tool with a view.

    Attributes:
        name: of the tool and of the view.
        rounding: what its result file keeps of a number: half of its last digit, 0 = everything.
        relative: what else two figures may differ by: sums in another order, and the grain of its clock.
        windowed: keys of figures that its own clock around the whole run enters, which no record can hold.
        command: its command line for so many requests, one after another.
        seen: the requests by the tool's own stamps; the server's log has them in the same order.
        own: its result object.
        view: ours.
        headlines: what is printed.
    """

    name: str
    rounding: float
    relative: float
    windowed: tuple[str, ...]
    command: Callable[[Place, int], list[str]]
    seen: Callable[[Path, Sequence[Served]], list[Seen]]
    own: Callable[[Path], Any]
    view: Callable[[PointTable, RunMeta], Any]
    headlines: tuple[Headline, ...]


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _gapped(
    served: Served, start_s: float, kinds: Sequence[ChunkKind], first_s: float, gaps_s: list[float]
) -> list[float]:
    """The times of all frames, those of ``kinds`` from a first one and the gaps after it."""
    frames_s = as_sent(served, start_s)
    stamped = [place for place, frame in enumerate(served.frames) if frame.kind in kinds]
    for place, at in zip(stamped, accumulate(gaps_s, initial=first_s), strict=True):
        frames_s[place] = at
    return frames_s


# ------------------------------------------------------------------------------------------------ vLLM


def _vllm_command(place: Place, requests: int) -> list[str]:
    return [
        *(str(place.programs / "vllm"), "bench", "serve", "--backend", "openai-chat"),
        *("--endpoint", "/v1/chat/completions", "--base-url", place.url, "--model", place.model),
        *("--tokenizer", str(place.tokenizer), "--dataset-name", "random", "--max-concurrency", "1"),
        *("--random-input-len", "16", "--random-output-len", "16", "--num-prompts", str(requests)),
        *("--disable-tqdm", "--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,99"),
        *(
            "--save-result",
            "--save-detailed",
            "--result-dir",
            str(place.out),
            "--result-filename",
            "result.json",
        ),
    ]


def _vllm_seen(folder: Path, log: Sequence[Served]) -> list[Seen]:
    found = _load(folder / "result.json")
    kinds = (ChunkKind.ROLE, *OUTPUT_KINDS, ChunkKind.OTHER)
    answers = []
    rows = zip(log, found["start_times"], found["ttfts"], found["itls"], strict=True)
    for served, start_s, ttft_s, itls_s in rows:
        frames_s = _gapped(served, start_s, kinds, start_s + ttft_s, itls_s)
        answers.append(Seen(served, start_s, frames_s, frames_s[-1]))
    return answers


# ------------------------------------------------------------------------------------------- EvalScope


def _evalscope_command(place: Place, requests: int) -> list[str]:
    return [
        *(str(place.programs / "evalscope"), "perf", "--url", f"{place.url}/v1/chat/completions"),
        *("--api", "openai", "--model", place.model, "--dataset", "random", "--parallel", "1"),
        *("--tokenizer-path", str(place.tokenizer), "--number", str(requests), "--max-tokens", "16"),
        *("--min-prompt-length", "16", "--max-prompt-length", "16", "--no-test-connection"),
        *("--outputs-dir", str(place.out), "--no-timestamp"),
    ]


def _evalscope_seen(folder: Path, log: Sequence[Served]) -> list[Seen]:
    (path,) = folder.glob("**/benchmark_data.db")
    columns = "start_time, completed_time, first_chunk_latency, inter_token_latencies"
    with sqlite3.connect(path) as database:
        rows = database.execute(f"SELECT {columns} FROM result ORDER BY start_time").fetchall()
    answers = []
    for served, (start_s, completed_s, ttft_s, gaps) in zip(log, rows, strict=True):
        frames_s = _gapped(served, start_s, OUTPUT_KINDS, start_s + ttft_s, json.loads(gaps))
        # Neither the finish frame nor [DONE] is stamped; the usage frame is its end.
        usage = next(i for i, frame in enumerate(served.frames) if frame.kind is ChunkKind.USAGE)
        frames_s[usage] = completed_s
        answers.append(Seen(served, start_s, frames_s, completed_s))
    return answers


def _evalscope_own(folder: Path) -> dict[str, Any]:
    (summary,), (percentiles,) = folder.glob(f"**/{SUMMARY}"), folder.glob(f"**/{PERCENTILES}")
    return {SUMMARY: _load(summary), PERCENTILES: _load(percentiles)}


# ---------------------------------------------------------------------------------------------- AIPerf


def _aiperf_command(place: Place, requests: int) -> list[str]:
    return [
        *(str(place.programs / "aiperf"), "profile", "--url", place.url, "--model", place.model),
        *("--endpoint-type", "chat", "--streaming", "--tokenizer", str(place.tokenizer)),
        *("--concurrency", "1", "--request-count", str(requests), "--use-server-token-count"),
        *("--isl", "16", "--isl-stddev", "0", "--osl", "16", "--osl-stddev", "0"),
        *("--ui", "none", "--no-gpu-telemetry", "--no-server-metrics", "--artifact-dir", str(place.out)),
    ]


def _aiperf_seen(folder: Path, log: Sequence[Served]) -> list[Seen]:
    lines = (folder / "profile_export.jsonl").read_text(encoding="utf-8").splitlines()
    rows = sorted((json.loads(line) for line in lines), key=lambda row: row["metadata"]["request_start_ns"])
    begun_ns = rows[0]["metadata"]["request_start_ns"]
    answers = []
    for served, row in zip(log, rows, strict=True):
        start_s = (row["metadata"]["request_start_ns"] - begun_ns) / 1e9
        metrics = row["metrics"]
        gaps_s = [gap / 1e3 for gap in metrics.get("inter_chunk_latency", {"value": []})["value"]]
        first_s = start_s + metrics["time_to_first_token"]["value"] / 1e3
        frames_s = _gapped(served, start_s, OUTPUT_KINDS, first_s, gaps_s)
        answers.append(Seen(served, start_s, frames_s, (row["metadata"]["request_end_ns"] - begun_ns) / 1e9))
    return answers


def _aiperf_own(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = _load(folder / "profile_export_aiperf.json")
    return found


# -------------------------------------------------------------------------------------------- GuideLLM


def _guidellm_command(place: Place, requests: int) -> list[str]:
    return [
        *(str(place.programs / "guidellm"), "run", "--profile", "kind=concurrent,streams=1"),
        *("--backend", f"kind=openai_http,target={place.url},model={place.model}"),
        *("--constraint", f"kind=max_requests,count={requests}"),
        *("--tokenizer", f"kind=hf_auto,model={place.tokenizer}"),
        *("--data", "kind=synthetic_text,prompt_tokens=16,output_tokens=16"),
        *("--output", f"kind=json,path={place.out / 'result.json'}", "--disable-progress"),
    ]


def _guidellm_seen(folder: Path, log: Sequence[Served]) -> list[Seen]:
    found = _load(folder / "result.json")["benchmarks"][0]["requests"]["successful"]
    stamps = sorted((row["info"]["timings"] for row in found), key=lambda row: row["request_start"])
    begun_s = stamps[0]["request_start"]
    answers = []
    for served, row in zip(log, stamps, strict=True):
        frames_s = as_sent(served, row["request_start"])
        output = [i for i, frame in enumerate(served.frames) if frame.kind in OUTPUT_KINDS]
        content = next(i for i in output if served.frames[i].kind is not ChunkKind.REASONING)
        frames_s[content] = row["first_output_token_iteration"]
        frames_s[output[0]] = row["first_token_iteration"]
        frames_s[output[-1]] = row["last_token_iteration"]
        answers.append(
            Seen(
                served,
                row["request_start"] - begun_s,
                [at - begun_s for at in frames_s],
                row["request_end"] - begun_s,
            )
        )
    return answers


def _guidellm_own(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = _load(folder / "result.json")["benchmarks"][0]
    return found


_VLLM_LATENCIES = tuple(
    Headline(f"{statistic} {name} ms", (f"{statistic}_{key}_ms",))
    for key, name in (("ttft", "TTFT"), ("tpot", "TPOT"), ("itl", "ITL"), ("e2el", "E2EL"))
    for statistic in ("mean", "p99")
)
PEERS = (
    Peer(
        "vllm",
        0.0,
        1e-6,
        ("duration", "request_throughput", "output_throughput", "total_token_throughput"),
        _vllm_command,
        _vllm_seen,
        lambda folder: _load(folder / "result.json"),
        lambda table, meta: vllm_result(table, meta, percentiles=(50, 90, 99)),
        (
            *_VLLM_LATENCIES,
            Headline("peak output tok/s", ("max_output_tokens_per_s",)),
            Headline("output tok/s", ("output_throughput",)),
            Headline("requests/s", ("request_throughput",)),
        ),
    ),
    Peer(
        "evalscope",
        5e-5,
        1e-6,
        (),
        _evalscope_command,
        _evalscope_seen,
        _evalscope_own,
        evalscope_result,
        (
            Headline("mean TTFT ms", (SUMMARY, "Avg TTFT (ms)")),
            Headline("p50 TTFT ms", (PERCENTILES, 5, "TTFT (ms)")),
            Headline("mean TPOT ms", (SUMMARY, "Avg TPOT (ms)")),
            Headline("p90 TPOT ms", (PERCENTILES, 7, "TPOT (ms)")),
            Headline("mean ITL ms", (SUMMARY, "Avg ITL (ms)")),
            Headline("mean latency s", (SUMMARY, "Avg Latency (s)")),
            Headline("output tok/s", (SUMMARY, "Output Throughput (tok/s)")),
            Headline("requests/s", (SUMMARY, "Req Throughput (req/s)")),
        ),
    ),
    Peer(
        "aiperf",
        0.0,
        1e-6,
        (
            "request_throughput",
            "output_token_throughput",
            "input_token_throughput",
            "total_token_throughput",
        ),
        _aiperf_command,
        _aiperf_seen,
        _aiperf_own,
        aiperf_result,
        (
            Headline("mean TTFT ms", ("time_to_first_token", "avg")),
            Headline("p99 TTFT ms", ("time_to_first_token", "p99")),
            Headline("mean inter-token latency ms", ("inter_token_latency", "avg")),
            Headline("mean inter-chunk latency ms", ("inter_chunk_latency", "avg")),
            Headline("mean time to 2nd token ms", ("time_to_second_token", "avg")),
            Headline("mean request latency ms", ("request_latency", "avg")),
            Headline("tok/s per user", ("output_token_throughput_per_user", "avg")),
            Headline("output tok/s", ("output_token_throughput", "avg")),
            Headline("requests/s", ("request_throughput", "avg")),
        ),
    ),
    Peer(
        "guidellm",
        0.0,
        2e-4,  # it keeps Unix time in seconds, to 0.2 us; a rate is one event over some 10 ms
        (),
        _guidellm_command,
        _guidellm_seen,
        _guidellm_own,
        guidellm_result,
        (
            Headline("mean TTFT ms", ("metrics", "time_to_first_token_ms", "successful", "mean")),
            Headline("mean TPOT ms", ("metrics", "time_per_output_token_ms", "successful", "mean")),
            Headline("mean ITL ms", ("metrics", "inter_token_latency_ms", "successful", "mean")),
            Headline("p95 ITL ms", ("metrics", "inter_token_latency_ms", "successful", "percentiles", "p95")),
            Headline("mean request latency s", ("metrics", "request_latency", "successful", "mean")),
            Headline("mean concurrency", ("metrics", "request_concurrency", "total", "mean")),
            Headline("output tok/s", ("metrics", "output_tokens_per_second", "total", "mean")),
            Headline("requests/s", ("metrics", "requests_per_second", "total", "mean")),
        ),
    ),
)
