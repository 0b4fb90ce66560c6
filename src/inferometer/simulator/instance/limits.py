"""What the scheduler of an instance may do, in the words of the engines."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import msgspec

from inferometer.errors import UsageError

SchedulerName = Literal["chunked", "prefill-first", "static"]
Order = Literal["fcfs", "priority", "shortest"]

_OWNERS: dict[str, SchedulerName] = {
    "reserve_full_prompt": "chunked",
    "long_prefill_token_threshold": "chunked",
    "split_prompts": "chunked",
    "max_prefill_seqs": "prefill-first",
    "prefill_delay_s": "prefill-first",
    "select_batch": "prefill-first",
    "select_steps": "prefill-first",
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
        split_prompts: of ``chunked``: whether a prompt may be computed in several steps; else it waits for a step with
            room for all of it (vLLM --no-enable-chunked-prefill).
        reserve_answer: admit a request only if prompt and whole answer fit, and hold their blocks from then on, so that
            nobody is ever preempted (TensorRT-LLM GUARANTEED_NO_EVICT, TGI); not of ``static``, which does anyway.
        prefill_delay_s: of ``prefill-first``: how long a request may wait for its prefill batch to become full (MindIE
            maxQueueDelayMicroseconds).
        select_batch: of ``prefill-first``: prefill only when waiting x ``prefill_time_s`` is at least running x
            ``decode_time_s`` (MindIE supportSelectBatch, whose rule is not published: this is our reading of it).
        select_steps: of ``select_batch``: after so many decode steps prompts go first all the same (TGI
            max_waiting_tokens); None = never.
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
    split_prompts: bool = True
    reserve_answer: bool = False
    long_prefill_token_threshold: int = 0
    prefill_delay_s: float = 0.0
    select_batch: bool = False
    select_steps: int | None = None
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
        for name in ("max_prefill_seqs", "max_preempt", "select_steps"):
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
        for name, owner in _OWNERS.items():
            if self.scheduler != owner and getattr(self, name) != _defaults()[name]:
                raise UsageError(
                    f"{name}={getattr(self, name)} has no meaning with scheduler={self.scheduler}",
                    f"leave it out, or use scheduler={owner}",
                )
        if not self.split_prompts and self.max_num_batched_tokens < self.max_model_len:
            raise UsageError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} is less than "
                f"max_model_len={self.max_model_len}, but prompts are not to be split, so a long one could never start",
                "raise the one, lower the other, or allow chunked prefill",
            )
        if not self.split_prompts and self.long_prefill_token_threshold:
            raise UsageError(
                f"long_prefill_token_threshold={self.long_prefill_token_threshold} splits prompts, which are not to be",
                "leave it out, or allow chunked prefill",
            )
        if self.reserve_answer and self.max_preempt is not None:
            raise UsageError(
                f"max_preempt={self.max_preempt} has no meaning with reserve_answer, where nobody is preempted",
                "leave one of them out",
            )
        if self.scheduler == "static" and (self.prefix_cache or self.draft_tokens or self.reserve_answer):
            raise UsageError(
                "scheduler=static computes padded batches, without prefix_cache, draft_tokens and reserve_answer",
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


@cache
def _defaults() -> dict[str, Any]:
    """What each limit is where nothing is said; found once, for fits make limits by the thousand."""
    return {field.name: field.default for field in msgspec.structs.fields(EngineLimits)}


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request as the engine sees it.

    Attributes:
        prompt_tokens: at least 1.
        output_tokens: at least 1.
        arrival_ns: no step that begins before touches it.
        priority: lower first, with ``order`` priority.
        names: of the prompt's full blocks, and of the answer's where they are known, for the prefix cache; None = not
            looked for. A name stands for a block's tokens and all tokens before it.
        ready_tokens: of the prompt, those whose KV entries another instance computed and come with it, fewer than all.
            The step that takes them in needs blocks for them and no time; once lost, they are computed here.
    """

    prompt_tokens: int
    output_tokens: int
    arrival_ns: int = 0
    priority: int = 0
    names: tuple[int, ...] | None = None
    ready_tokens: int = 0


def check_ready(job: Job, limits: EngineLimits) -> None:
    """Whether an instance can take in what was computed elsewhere.

    Raises:
        UsageError: nothing of the prompt is left to do, or ``limits`` are those of a scheduler without admissions.
    """
    if not job.ready_tokens:
        return
    if not 0 <= job.ready_tokens < job.prompt_tokens:
        raise UsageError(
            f"ready_tokens={job.ready_tokens} of a prompt of {job.prompt_tokens} tokens must be from 0 to "
            f"{job.prompt_tokens - 1}: the last token is computed where it is answered"
        )
    if limits.scheduler == "static":
        raise UsageError(
            "scheduler=static computes padded batches and cannot go on with a prompt that was computed elsewhere",
            "use scheduler=chunked or prefill-first for instances that decode",
        )


def can_jump(limits: EngineLimits) -> bool:
    """Whether ``FastInstance`` simulates these limits."""
    if limits.scheduler == "static" or limits.draft_tokens:
        return False
    habits = (
        limits.long_prefill_token_threshold,
        limits.prefill_delay_s,
        limits.select_batch,
        limits.max_preempt,
    )
    return not any(habits)
