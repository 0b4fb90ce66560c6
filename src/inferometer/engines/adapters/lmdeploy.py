"""LMDeploy with its engines turbomind and pytorch, on CUDA and Ascend.

Sources: lmdeploy/cli/serve.py and cli/utils.py of the repository, ``lmdeploy serve api_server --help`` of 0.9 as users
published it, docs/en/benchmark (DeepSeekV3, data and expert parallel ranks), pytorch/engine/cache_engine.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.engines.adapters.flagged import SizedExperts
from inferometer.engines.engine import Readiness, Said, Settings
from inferometer.engines.findings import Finding, first_model, in_log, told
from inferometer.engines.flags import Flag


class LMDeploy(SizedExperts):
    """``lmdeploy serve api_server MODEL``; the engine (``--backend``) and ranks (``--dp-rank``) are raw flags.

    Up to 0.12.3 it runs code of the model's repository unasked and has no ``--trust-remote-code`` (pull request 4511).
    """

    name = "lmdeploy"
    readiness = Readiness(paths=("/health", "/v1/models"))
    pages = ("/v1/models",)
    usual = ("lmdeploy", "serve", "api_server")
    programs = (("lmdeploy", "serve", "api_server"), ("python", "-m", "lmdeploy", "serve", "api_server"))
    default_port = 23333
    expert_flag = ("--ep",)
    flags = (
        Flag(field="served_name", names=("--model-name",)),
        Flag(field="host", names=("--server-name",)),
        Flag(field="port", names=("--server-port",), kind="count"),
        Flag(field="tensor_parallel", names=("--tp",), kind="count"),
        Flag(field="data_parallel", names=("--dp",), kind="count"),
        Flag(field="max_model_len", names=("--session-len",), kind="count"),
        Flag(field="max_num_seqs", names=("--max-batch-size",), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--max-prefill-token-num",), kind="count"),
        Flag(field="memory_share", names=("--cache-max-entry-count",), kind="number"),
        Flag(
            field="kv_cache_dtype",
            names=("--quant-policy",),
            values=(("auto", "0"), ("int4", "4"), ("int8", "8")),
        ),
        Flag(field="dtype", names=("--dtype",)),
        Flag(field="quantization", names=("--model-format",)),
        Flag(field="prefix_cache", names=("--enable-prefix-caching",), kind="switch"),
        Flag(field="trust_remote_code", names=("--trust-remote-code",), kind="switch"),
    )
    lacks = {  # noqa: RUF012 (a ClassVar of the base)
        "pipeline_parallel": "spread layers with tensor_parallel (--tp) over all devices",
    }

    def expert_ranks(self, settings: Settings) -> int:
        """All ranks: 32 with --dp 32 --tp 1, as in the DeepSeekV3 set-up."""
        return (settings.tensor_parallel or 1) * (settings.data_parallel or 1)

    def findings(self, said: Said) -> Iterator[Finding]:
        """The list of models, and what the pytorch engine writes at ``--log-level INFO``."""
        cache = in_log(said.log, r"build CacheEngine with config:CacheConfig\((.*)\)") or ""
        written = dict(re.findall(r"(\w+)=([^,]+)(?:, |$)", cache))
        yield Finding("model", first_model(said).get("id"), "/v1/models")
        yield Finding("max_model_len", first_model(said).get("max_model_len"), "/v1/models")
        yield Finding("version", in_log(said.log, r"\blmdeploy[ =]+v?(\d+\.\d+[\w.+]*)"), "log")
        yield Finding("kv_blocks", written.get("num_gpu_blocks"), "log")
        yield Finding("kv_block_tokens", written.get("block_size"), "log")
        yield Finding("max_num_seqs", written.get("max_batches"), "log")
        yield Finding("flags", told(dict(written)), "log")
