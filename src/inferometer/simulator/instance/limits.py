"""What the scheduler of an instance may do, in the words of the engines."""

from __future__ import annotations

from typing import Literal

import msgspec

from inferometer.errors import UsageError

SchedulerName = Literal["chunked", "prefill-first", "static"]
Order = Literal["fcfs", "priority", "shortest"]

_OWNERS: dict[str, SchedulerName] = {
    "reserve_full_prompt": "chunked",
    "long_prefill_token_threshold": "chunked",
    "max_prefill_seqs": "prefill-first",
    "prefill_delay_s": "prefill-first",
    "select_batch": "prefill-first",
    "max_preempt": "prefill-first",
}


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
        long_prefill_token_threshold: of ``chunked``: tokens of a prompt in one step at most, unless it is the only
            request; 0 = not limited.
        reserve_full_prompt: of ``chunked``: admit a prompt only if all of it fits into the free blocks; it takes those
            of its first chunk (vLLM scheduler_reserve_full_isl).
        prefill_delay_s: of ``prefill-first``: how long a request may wait for its prefill batch to become full (MindIE
            maxQueueDelayMicroseconds).
        select_batch: of ``prefill-first``: prefill only when waiting x ``prefill_time_s`` is at least running x
            ``decode_time_s`` (MindIE supportSelectBatch, whose rule is not published: this is our reading of it).
        prefill_time_s: weight of a waiting request then (MindIE prefillTimeMsPerReq).
        decode_time_s: weight of a running request then (MindIE decodeTimeMsPerReq).
        max_preempt: of ``prefill-first``: sequences that lose their blocks in one step at most (MindIE
            maxPreemptCount); others that need a block then wait. None = not limited.
        order: which waiting request comes first.
        prefix_cache: whether full blocks of prompts are kept and found again.
        draft_tokens: drafted for each decoding sequence and step.
        acceptance: by position, the probability that a draft is right if all before it were; the last one goes for all
            later positions.

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
    long_prefill_token_threshold: int = 0
    prefill_delay_s: float = 0.0
    select_batch: bool = False
    prefill_time_s: float = 0.15
    decode_time_s: float = 0.05
    max_preempt: int | None = None
    order: Order = "fcfs"
    prefix_cache: bool = False
    draft_tokens: int = 0
    acceptance: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens", "block_tokens", "kv_blocks", "max_model_len"):
            self._at_least(name, 1)
        for name in ("max_prefill_seqs", "max_preempt"):
            if getattr(self, name) is not None:
                self._at_least(name, 1)
        for name in (
            "draft_tokens",
            "long_prefill_token_threshold",
            "prefill_delay_s",
            "prefill_time_s",
            "decode_time_s",
        ):
            self._at_least(name, 0)
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
        self._check_scheduler()
        self._check_drafts()

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not least <= value < float("inf"):
            raise UsageError(f"{name}={value} of the simulated engine must be at least {least}, and finite")

    def _check_scheduler(self) -> None:
        """No limit may be given that its scheduler would not look at."""
        plain = {field.name: field.default for field in msgspec.structs.fields(self)}
        for name, owner in _OWNERS.items():
            if getattr(self, name) != plain[name] and self.scheduler != owner:
                raise UsageError(
                    f"{name}={getattr(self, name)} has no meaning with scheduler={self.scheduler}",
                    f"leave it out, or use scheduler={owner}",
                )
        if self.scheduler == "static" and (self.prefix_cache or self.draft_tokens):
            raise UsageError(
                "scheduler=static computes padded batches, without prefix_cache and draft_tokens",
                "leave them out",
            )

    def _check_drafts(self) -> None:
        if self.draft_tokens and not self.acceptance:
            raise UsageError(
                f"draft_tokens={self.draft_tokens} without acceptance: nobody knows how many drafts are right",
                "give acceptance, one probability or one for each position",
            )
        if any(not 0 <= value <= 1 for value in self.acceptance) or len(self.acceptance) > self.draft_tokens:
            raise UsageError(
                f"acceptance={self.acceptance} must be probabilities from 0 to 1, not more of them than "
                f"draft_tokens={self.draft_tokens}"
            )


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request as the engine sees it.

    Attributes:
        prompt_tokens: at least 1.
        output_tokens: at least 1.
        arrival_ns: no step that begins before touches it.
        priority: lower first, with ``order`` priority.
        names: of the prompt's full blocks, and of the answer's where they are known, for the prefix cache; None = not
            looked for. A name stands for a block's tokens and all tokens before it.
    """

    prompt_tokens: int
    output_tokens: int
    arrival_ns: int = 0
    priority: int = 0
    names: tuple[int, ...] | None = None
