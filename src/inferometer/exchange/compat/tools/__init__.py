"""The tools whose command lines are known: one module each, and what to use in place of those that are not."""

from __future__ import annotations

from functools import cache
from typing import cast

from inferometer.exchange.compat.tool import Sentence, Tool
from inferometer.registry import Registry

_HERE = "inferometer.exchange.compat.tools"
TOOLS = Registry(
    "load test",
    {
        "vllm": f"{_HERE}.vllm:SERVE",
        "vllm-script": f"{_HERE}.vllm:SCRIPT",
        "vllm-latency": f"{_HERE}.vllm_latency:TOOL",
        "sglang": f"{_HERE}.sglang:TOOL",
        "lmdeploy": f"{_HERE}.lmdeploy:TOOL",
        "evalscope": f"{_HERE}.evalscope:TOOL",
        "evalscope-perf": f"{_HERE}.evalscope:EARLY",
        "qwen-transformers": f"{_HERE}.qwen:TRANSFORMERS",
        "qwen-vllm": f"{_HERE}.qwen:VLLM",
        "aiperf": f"{_HERE}.aiperf:TOOL",
        "genai-perf": f"{_HERE}.genai_perf:TOOL",
        "guidellm": f"{_HERE}.guidellm:TOOL",
        "guidellm-early": f"{_HERE}.guidellm:EARLY",
        "genai-bench": f"{_HERE}.genai_bench:TOOL",
        "aisbench": f"{_HERE}.aisbench:TOOL",
        "mindie": f"{_HERE}.mindie:TOOL",
        "llm-tools-parallel": f"{_HERE}.llm_tools:PARALLEL",
        "llm-tools-modal": f"{_HERE}.llm_tools:MODAL",
        "llm-tools-serving": f"{_HERE}.llm_tools:SERVING",
        "llm-tools-speculative": f"{_HERE}.llm_tools:SPECULATIVE",
        "llm-tools-dataset": f"{_HERE}.llm_tools:DATASET",
        "llmperf": f"{_HERE}.llmperf:TOOL",
    },
    group="inferometer.compat",
)

_URLS = "inferometer run --url URL --max-concurrency N --num-prompts N"
SENTENCES = (
    Sentence(
        ("vllm bench throughput", "benchmark_throughput.py"),
        "it feeds all prompts to an engine of its own; the same of a server: "
        'inferometer run --launch "vllm serve MODEL" --request-rate inf --num-prompts 1000',
    ),
    Sentence(
        ("vllm bench sweep",),
        "it runs vllm bench serve for each line of its JSON files; here lists are flags: --max-concurrency 1 4 16, "
        "--request-rate 1 2 4, --input-len 512 2048, --pair grid",
    ),
    Sentence(
        ("profile_throughput.py", "profile_pipeline_api.py", "profile_generation.py"),
        "it runs LMDeploy's engine in its own process; serve the model and measure that: "
        'inferometer run --launch "lmdeploy serve api_server MODEL" --request-rate inf --num-prompts 1000',
    ),
    Sentence(
        ("benchmark.py",),
        "the Ascend guide's combined test is three runs: inferometer run --preset guide, guide-alpaca, guide-sharegpt",
    ),
    Sentence(
        ("inference-perf",),
        f"its load is in its YAML file; stages of a rate are --request-rate R1 R2 --duration TIME: {_URLS}",
    ),
    Sentence(
        ("wrk", "wrk2", "ab", "hey", "oha", "bombardier", "k6", "locust", "siege", "vegeta"),
        f"it measures whole answers and knows no tokens; {_URLS} (a rate: --request-rate R --duration 60s)",
    ),
    Sentence(("curl",), f"it sends one request; {_URLS}, with N = 1"),
    Sentence(
        ("vllm serve", "sglang.launch_server", "lmdeploy serve", "mindieservice_daemon", "trtllm-serve"),
        'it starts a server: inferometer launch "vllm serve MODEL ...", or run --launch "vllm serve MODEL ..."',
    ),
    Sentence(
        ("msserviceprofiler", "modelevalstate"),
        "the largest load within limits is what inferometer search finds; profiles and engine options are no load test",
    ),
    Sentence(
        ("run.sh",),
        "performance_maxbs is inferometer search --target max-batch --batch-range LB-RB --tpot-limit T",
    ),
)


@cache
def tools() -> tuple[Tool, ...]:
    """All tools, also those of installed packages (entry-point group ``inferometer.compat``)."""
    return tuple(cast("Tool", TOOLS.get(name)) for name in TOOLS.names())


def is_program(word: str) -> bool:
    """Whether command lines of a tool begin with this word, and it is no common one."""
    begins = [begin for tool in tools() for begin in tool.begins]
    return any(begin.split()[0] == word and not begin.isalpha() for begin in begins)
