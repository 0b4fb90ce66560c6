"""Hugging Face's Text Generation Inference.

Sources: docs/source/reference/launcher.md and launcher/src/main.rs of the repository (3.x), the schema of /info, and
router logs of 1.4 to 3.3 as users published them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.engines.adapters.flagged import Flagged
from inferometer.engines.engine import Readiness, Said, Settings
from inferometer.engines.findings import Finding, in_log, in_page, told
from inferometer.engines.flags import Flag
from inferometer.engines.troubles import CAUSE, END, Pattern

_ONE_NODE = (
    "TGI spreads a model over one machine's devices only: say how many with tensor_parallel (--num-shard)"
)


class TGI(Flagged):
    """``text-generation-launcher --model-id MODEL``."""

    name = "tgi"
    readiness = Readiness(paths=("/health",))
    pages = ("/info",)
    usual = ("text-generation-launcher",)
    programs = (("text-generation-launcher",),)
    model_flag = ("--model-id",)
    model_word = False
    default_port = 3000
    flags = (
        Flag(field="host", names=("--hostname",)),
        Flag(field="port", names=("--port", "-p"), kind="count"),
        Flag(field="tensor_parallel", names=("--num-shard",), kind="count"),
        Flag(field="max_model_len", names=("--max-total-tokens",), kind="count"),
        Flag(field="max_num_seqs", names=("--max-batch-size",), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--max-batch-prefill-tokens",), kind="count"),
        Flag(field="memory_share", names=("--cuda-memory-fraction",), kind="number"),
        Flag(field="kv_cache_dtype", names=("--kv-cache-dtype",)),
        Flag(field="dtype", names=("--dtype",)),
        Flag(field="quantization", names=("--quantize",)),
        Flag(field="trust_remote_code", names=("--trust-remote-code",), kind="switch"),
    )
    lacks = {  # noqa: RUF012 (a ClassVar of the base)
        "served_name": "it answers to any name, and tells its --model-id",
        "pipeline_parallel": _ONE_NODE,
        "data_parallel": "start several, each on its own devices, and give run their URLs (--more-url)",
        "expert_parallel": _ONE_NODE,
    }
    patterns = (
        Pattern(
            re.compile(
                r"Not enough memory to handle (?P<tokens>\d+) (?:total tokens with \d+ )?prefill tokens"
            ),
            "a prefill of {tokens} tokens does not fit the device's memory",
            "take fewer tokens in a step (--max-batch-prefill-tokens), a shorter maximum length, or more shards",
            CAUSE,
        ),
        Pattern(
            re.compile(r"`max_input_tokens` must be < `max_total_tokens`"),
            "the longest input is not below the longest total",
            "take a larger maximum length (--max-total-tokens), or set --max-input-tokens below it",
            CAUSE,
        ),
        Pattern(
            re.compile(r"Shard process was signaled to shutdown with signal (?P<signal>\d+)"),
            "a shard was ended by signal {signal}; 9 is most often the kernel, when the machine is out of memory",
            "see dmesg for oom-kill; give the container more memory and shared memory (--shm-size 1g or more)",
            END,
        ),
    )

    def environment(self, settings: Settings) -> dict[str, str]:
        """Prefix caching is no flag but a variable (launcher/src/main.rs)."""
        if settings.prefix_cache is None:
            return {}
        return {"PREFIX_CACHING": "1" if settings.prefix_cache else "0"}

    def findings(self, said: Said) -> Iterator[Finding]:
        """/info tells all; the most tokens of a batch are those that the KV cache holds, found by the warm-up."""
        info = in_page(said, "/info")
        yield Finding("version", info.get("version"), "/info")
        yield Finding("model", info.get("model_id"), "/info")
        yield Finding("max_model_len", info.get("max_total_tokens"), "/info")
        yield Finding("kv_tokens", info.get("max_batch_total_tokens"), "/info")
        yield Finding("kv_tokens", in_log(said.log, r"Setting max batch total tokens to (\d+)"), "log")
        yield Finding("max_num_seqs", info.get("max_batch_size"), "/info")
        yield Finding("flags", told(info), "/info")
