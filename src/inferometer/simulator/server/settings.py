"""What the simulated engine is and how fast it is."""

from __future__ import annotations

import math

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.server.faults import Fault

_AT_LEAST: dict[str, float] = {
    "per_token_s": 0,
    "per_seq_s": 0,
    "per_kv_token_s": 0,
    "max_num_seqs": 1,
    "max_num_batched_tokens": 1,
    "block_size": 1,
    "num_blocks": 1,
    "prefix_cache_blocks": 0,
    "max_model_len": 2,
    "stream_interval": 1,
    "chat_overhead_tokens": 0,
    "answer_tokens_median": 1,
    "answer_tokens_sigma": 0,
    "speculative_tokens": 0,
    "acceptance_rate": 0,
    "per_draft_s": 0,
}


class SimSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Model, speed and limits of a simulated engine. Names are vLLM's where vLLM has the thing.

    A step takes ``base_s + per_token_s * scheduled tokens + per_seq_s * sequences + per_kv_token_s * KV tokens
    read``. With the defaults one stream makes a token in about 5 ms, 32 streams of 1,000 tokens of context in
    less than 8 ms, and prefill runs at about 20,000 tokens/s.

    Raises:
        UsageError: a value out of range, or limits that contradict each other.
    """

    model: str = "sim-llama-8b"
    adapters: tuple[str, ...] = ()  # further model names, as of LoRA adapters; they are as fast as the model
    base_s: float = 0.0049
    per_token_s: float = 5e-5
    per_seq_s: float = 2e-5
    per_kv_token_s: float = 2e-8
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    block_size: int = 16
    num_blocks: int = 32768
    prefix_cache: bool = True  # full blocks of prompts are computed once
    prefix_cache_blocks: int = 1_048_576  # of block_size, kept beside the KV blocks; some 150 bytes each
    max_model_len: int = 32768
    stream_interval: int = 1  # tokens per chunk; the first token is always a chunk of its own
    chat_overhead_tokens: int = 0  # what a chat template would add to each message
    answer_tokens_median: int = 200  # log-normal length of an answer that ends by itself
    answer_tokens_sigma: float = 0.7
    speculative_tokens: int = 0  # drafted per sequence and decoding step; 0 = no speculation
    acceptance_rate: float = 0.7  # that a draft token is accepted, if all before it were
    per_draft_s: float = 0.0004  # the drafts are made one after the other, for all sequences at once
    seed: int = 0
    api_key: str | None = None
    fault: Fault | None = None  # hits its share of all generation requests

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if not (value >= least and math.isfinite(value)):
                raise UsageError(f"{name}={value} of the simulated server must be at least {least}")
        if not (self.base_s > 0 and math.isfinite(self.base_s)):
            raise UsageError(
                f"base_s={self.base_s} must be above 0", "a step without duration never ends a run"
            )
        if self.acceptance_rate > 1:
            raise UsageError(
                f"acceptance_rate={self.acceptance_rate} of the simulated server must be at most 1"
            )
        if len({*self.models}) < len(self.models):
            raise UsageError(f"the simulated server has a model name twice: {', '.join(self.models)}")
        if self.max_num_batched_tokens < self.max_num_seqs * (1 + self.speculative_tokens):
            drafts = f" x {1 + self.speculative_tokens} with drafts" if self.speculative_tokens else ""
            raise UsageError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} is less than "
                f"max_num_seqs={self.max_num_seqs}{drafts}, so not every running sequence could get its token",
                "raise the one or lower the other",
            )
        if self.num_blocks * self.block_size < self.max_model_len:
            raise UsageError(
                f"num_blocks={self.num_blocks} of block_size={self.block_size} hold "
                f"{self.num_blocks * self.block_size} tokens, less than max_model_len={self.max_model_len}",
                "raise num_blocks or lower max_model_len",
            )

    @property
    def models(self) -> tuple[str, ...]:
        """All model names that are served."""
        return (self.model, *self.adapters)


class StartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a new server process is told on standard input, where no list of processes shows the API key."""

    host: str
    port: int
    settings: SimSettings
