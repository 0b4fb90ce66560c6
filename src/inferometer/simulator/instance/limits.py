"""What the scheduler of an instance may do, in the words of the engines."""

from __future__ import annotations

from typing import Literal

import msgspec

from inferometer.errors import UsageError

SchedulerName = Literal["chunked", "prefill-first", "static"]
Order = Literal["fcfs", "priority", "shortest"]


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and habits of one instance. Defaults are those of vLLM V1.

    Attributes:
        scheduler: ``chunked`` = decode first, prompts in chunks beside it (vLLM V1); ``prefill-first`` = steps either
            prefill whole prompts or decode (vLLM V0, MindIE, LMDeploy); ``static`` = a batch runs to the end of its
            longest answer (offline tools).
        max_num_seqs: sequences that hold KV blocks at the same time (MindIE maxBatchSize).
        max_num_batched_tokens: tokens of a step; of ``prefill-first`` of a prefill step (MindIE maxPrefillTokens).
        max_prefill_seqs: prompts of one prefill step (MindIE maxPrefillBatchSize); None = not limited.
        block_tokens: tokens of a KV block.
        kv_blocks: blocks of the pool.
        max_model_len: tokens of prompt and answer.
        reserve_full_prompt: admit a prompt only if all of it fits into the free blocks.
        order: which waiting request comes first.
        prefix_cache: whether full blocks of prompts are kept and found again.
        draft_tokens: drafted for each decoding sequence and step.
        acceptance: by position, the probability that a draft is right if all before it were.

    Raises:
        UsageError: limits that contradict each other.
    """

    scheduler: SchedulerName = "chunked"
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    max_prefill_seqs: int | None = None
    block_tokens: int = 16
    kv_blocks: int = 32768
    max_model_len: int = 32768
    reserve_full_prompt: bool = True
    order: Order = "fcfs"
    prefix_cache: bool = False
    draft_tokens: int = 0
    acceptance: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens", "block_tokens", "kv_blocks", "max_model_len"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} of the simulated engine must be at least 1")
        if self.kv_blocks * self.block_tokens < self.max_model_len:
            raise UsageError(
                f"kv_blocks={self.kv_blocks} of block_tokens={self.block_tokens} hold "
                f"{self.kv_blocks * self.block_tokens} tokens, less than max_model_len={self.max_model_len}",
                "raise kv_blocks or lower max_model_len",
            )
        if self.scheduler == "chunked" and self.max_num_batched_tokens < self.max_num_seqs:
            raise UsageError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} is less than "
                f"max_num_seqs={self.max_num_seqs}, so not every running sequence could get its token",
                "raise the one or lower the other",
            )


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request as the engine sees it.

    Attributes:
        prompt_tokens: at least 1.
        output_tokens: at least 1.
        arrival_ns: no step that begins before touches it.
        priority: lower first, with ``order`` priority.
        names: of the prompt's full blocks, for the prefix cache; None = not looked for.
    """

    prompt_tokens: int
    output_tokens: int
    arrival_ns: int = 0
    priority: int = 0
    names: tuple[int, ...] | None = None
