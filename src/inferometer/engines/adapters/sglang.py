"""SGLang, on CUDA, ROCm and Ascend.

Sources: docs.sglang.io, Server Arguments (0.5) with its Ascend page; srt/managers/scheduler.py for the line with
max_total_num_tokens and the state of each data parallel rank (get_internal_state); answers of /get_server_info of 0.4
and 0.5 as users published them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from inferometer.engines.adapters.flagged import SizedExperts
from inferometer.engines.engine import Readiness, Said, Settings
from inferometer.engines.findings import Finding, first_model, in_log, in_page, labels_of, told, total
from inferometer.engines.flags import Flag
from inferometer.engines.troubles import CAUSE, Pattern


class SGLang(SizedExperts):
    """``python3 -m sglang.launch_server --model-path MODEL``, or ``sglang serve --model-path MODEL``."""

    name = "sglang"
    readiness = Readiness(paths=("/health", "/v1/models"))
    pages = ("/server_info", "/get_server_info", "/v1/models", "/metrics")
    usual = ("python3", "-m", "sglang.launch_server")
    programs = (("python", "-m", "sglang.launch_server"), ("sglang", "serve"))
    model_flag = ("--model-path", "--model")
    model_word = False
    default_port = 30000
    expert_flag = ("--ep-size", "--ep", "--expert-parallel-size")
    flags = (
        Flag(field="served_name", names=("--served-model-name",)),
        Flag(field="host", names=("--host",)),
        Flag(field="port", names=("--port",), kind="count"),
        Flag(field="tensor_parallel", names=("--tp-size", "--tp", "--tensor-parallel-size"), kind="count"),
        Flag(
            field="pipeline_parallel", names=("--pp-size", "--pp", "--pipeline-parallel-size"), kind="count"
        ),
        Flag(field="data_parallel", names=("--dp-size", "--dp", "--data-parallel-size"), kind="count"),
        Flag(field="max_model_len", names=("--context-length",), kind="count"),
        Flag(field="max_num_seqs", names=("--max-running-requests",), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--chunked-prefill-size",), kind="count"),
        Flag(field="memory_share", names=("--mem-fraction-static",), kind="number"),
        Flag(field="kv_cache_dtype", names=("--kv-cache-dtype",)),
        Flag(field="dtype", names=("--dtype",)),
        Flag(field="quantization", names=("--quantization",)),
        Flag(field="prefix_cache", kind="switch", off=("--disable-radix-cache",)),
        Flag(field="trust_remote_code", names=("--trust-remote-code",), kind="switch"),
    )
    patterns = (
        Pattern(
            re.compile(r"Not enough memory\. Please try to increase --mem-fraction-static"),
            "the weights leave no memory for the KV cache",
            "take a larger memory share (--mem-fraction-static), a larger tensor parallel size, or a smaller model",
            CAUSE,
        ),
        Pattern(
            re.compile(r"Capture cuda graph failed: (?P<why>[^.\n]+)"),
            "capturing CUDA graphs failed: {why}",
            "take a smaller memory share (--mem-fraction-static) or --cuda-graph-max-bs",
            CAUSE,
        ),
    )

    def expert_ranks(self, settings: Settings) -> int:
        """Ranks of the tensor parallel group: SGLang spreads experts over those."""
        return settings.tensor_parallel or 1

    def findings(self, said: Said) -> Iterator[Finding]:
        """Pages before the log; /server_info is the newer name. Of data parallel ranks, the sum of their caches."""
        model = first_model(said)
        for path in ("/server_info", "/get_server_info"):
            info = in_page(said, path)
            states = _objects(info.get("internal_states"))
            memory = _objects([state.get("memory_usage") for state in states])
            yield Finding("version", info.get("version"), path)
            yield Finding("model", info.get("served_model_name") or info.get("model_path"), path)
            yield Finding("max_model_len", info.get("context_length"), path)
            yield Finding("kv_tokens", total(one.get("token_capacity") for one in memory), path)
            yield Finding("kv_tokens", info.get("max_total_num_tokens"), path)
            yield Finding("kv_block_tokens", info.get("page_size"), path)
            for state in states:
                yield Finding("max_num_seqs", state.get("effective_max_running_requests_per_dp"), path)
            yield Finding("max_num_seqs", info.get("max_running_requests"), path)
            yield Finding("flags", told({key: info[key] for key in info if key != "internal_states"}), path)
        yield Finding("model", model.get("id"), "/v1/models")
        yield Finding("max_model_len", model.get("max_model_len"), "/v1/models")
        for cache in labels_of(said, "sglang:cache_config_info")[:1]:
            yield Finding("kv_block_tokens", cache.get("page_size"), "/metrics")
            yield Finding("kv_blocks", cache.get("num_pages"), "/metrics")
        yield Finding("kv_tokens", in_log(said.log, r"max_total_num_tokens=(\d+)"), "log")
        yield Finding("max_model_len", in_log(said.log, r"context_len=(\d+)"), "log")
        yield Finding("max_num_seqs", in_log(said.log, r"max_running_requests=(\d+)"), "log")


def _objects(found: Any) -> list[dict[str, Any]]:
    """The JSON objects of a list; none of anything else."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
