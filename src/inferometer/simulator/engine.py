"""Continuous batching without a clock and without sockets: a state machine that is stepped.

The order of business in a step is that of vLLM's V1 scheduler: running sequences first, then admission from
the queue while the token budget, the sequence limit and the KV blocks last.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence as Names
from typing import NamedTuple

from inferometer.errors import UsageError
from inferometer.simulator.prefix_cache import PrefixCache
from inferometer.simulator.server.settings import SimSettings


class Sequence:
    """One request inside the engine. Only the engine writes to it."""

    __slots__ = (
        "arrival_s",
        "blocks",
        "cached",
        "computed",
        "generated",
        "made",
        "names",
        "output_tokens",
        "prompt_tokens",
    )

    def __init__(
        self, prompt_tokens: int, output_tokens: int, arrival_s: float, names: Names[int] | None
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.arrival_s = arrival_s
        self.names = names  # of the prompt's full blocks, for the prefix cache; None = not looked for
        self.cached = 0  # prompt tokens that the prefix cache had when it was first admitted
        self.computed = 0  # tokens whose KV entries exist
        self.generated = 0
        self.made = 0  # of them in the latest step that made any
        self.blocks = 0

    @property
    def finished(self) -> bool:
        """Whether the last token has been made."""
        return self.generated == self.output_tokens


class StepResult(NamedTuple):
    """What one step does; its tokens come out ``duration_s`` after it began."""

    duration_s: float
    emitted: list[
        Sequence
    ]  # those that made tokens: one each, or with speculation up to 1 + drafts (``made``)
    finished: list[Sequence]  # those of ``emitted`` that made their last token
    preempted: list[Sequence]
    sequences: int
    scheduled_tokens: int
    kv_tokens: int  # KV entries read
    checked: list[
        tuple[int, int]
    ]  # of each sequence that had drafts: draft tokens, and how many were accepted


class Engine:
    """Waiting queue, running set and KV blocks of one simulated engine.

    Deterministic: the same calls give the same results. A sequence that was preempted loses its KV entries
    and computes prompt and generated tokens anew when it is admitted again.

    Speculative decoding is that of vLLM: a decoding step checks the sequence's next token and ``speculative_tokens``
    drafts, of which the first ones up to a wrong one are accepted. Drafts beyond the end of the answer are made, and
    counted, for nobody knows the end.
    """

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._free_blocks = settings.num_blocks
        self.prefix_cache = PrefixCache(settings.prefix_cache_blocks)
        self._draw = random.Random(f"drafts-{settings.seed}")  # noqa: S311 - a simulation, no secret

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue, preempted ones included."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Sequences that hold KV blocks."""
        return len(self._running)

    @property
    def kv_blocks_used(self) -> int:
        """KV blocks that are taken."""
        return self._settings.num_blocks - self._free_blocks

    def add(
        self, prompt_tokens: int, output_tokens: int, arrival_s: float, names: Names[int] | None = None
    ) -> Sequence:
        """Queue a request; no step that begins before ``arrival_s`` will touch it.

        ``names`` are those of the prompt's full blocks; without them the prefix cache has no part in it.

        Raises:
            UsageError: a count below 1, or more tokens than the context holds.
        """
        if prompt_tokens < 1 or output_tokens < 1:
            raise UsageError(
                f"a request of {prompt_tokens} prompt and {output_tokens} output tokens: both must be at least 1"
            )
        if prompt_tokens + output_tokens > self._settings.max_model_len:
            raise UsageError(
                f"{prompt_tokens} prompt + {output_tokens} output tokens exceed "
                f"max_model_len={self._settings.max_model_len}"
            )
        sequence = Sequence(prompt_tokens, output_tokens, arrival_s, names)
        self._waiting.append(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> bool:
        """Forget ``sequence`` and free its KV blocks; False when the engine no longer has it."""
        for place in (self._running, self._waiting):
            if sequence in place:
                place.remove(sequence)
                self._release(sequence)
                return True
        return False

    def step(self, now_s: float) -> StepResult | None:
        """Carry out the step that begins at ``now_s``; None when there is nothing to do.

        The state afterwards is that of the step's end: sequences in ``finished`` are gone.
        """
        preempted: list[Sequence] = []
        chunks = self._continue_running(preempted)
        if not preempted:
            self._admit(now_s, chunks)
        if not chunks:
            return None
        return self._commit(chunks, preempted)

    def _continue_running(self, preempted: list[Sequence]) -> list[int]:
        """Tokens for each running sequence. A partial prefill is always the last one, so decode goes first."""
        budget = self._settings.max_num_batched_tokens
        block_size = self._settings.block_size
        chunks: list[int] = []
        while len(chunks) < len(self._running):
            sequence = self._running[len(chunks)]
            tokens = min(self._left(sequence), budget)
            if tokens == 1 and sequence.generated:
                tokens += min(self._drafts(sequence), budget - 1)
            need = sequence.computed + tokens
            if need > sequence.blocks * block_size and not self._grow(sequence, need, preempted):
                break
            self._keep(sequence, tokens)
            budget -= tokens
            chunks.append(tokens)
        return chunks

    @staticmethod
    def _left(sequence: Sequence) -> int:
        """Tokens whose KV entries are missing: one, when it decodes."""
        return sequence.prompt_tokens + sequence.generated - sequence.computed

    def _drafts(self, sequence: Sequence) -> int:
        """How many tokens are drafted for a sequence that decodes; the context bounds them, the answer does not."""
        room = self._settings.max_model_len - sequence.prompt_tokens - sequence.generated
        return min(self._settings.speculative_tokens, room)

    def _accepted(self, drafts: int) -> int:
        """How many of the drafts are right, from the first on."""
        right = 0
        while right < drafts and self._draw.random() < self._settings.acceptance_rate:
            right += 1
        return right

    def _grow(self, sequence: Sequence, tokens: int, preempted: list[Sequence]) -> bool:
        """Blocks for ``tokens``, taken from the last running sequences; False when it had to give way itself."""
        missing = -(-tokens // self._settings.block_size) - sequence.blocks
        while self._free_blocks < missing:
            victim = self._running.pop()
            self._release(victim)
            victim.computed = 0
            self._waiting.appendleft(victim)
            preempted.append(victim)
            if victim is sequence:
                return False
        self._free_blocks -= missing
        sequence.blocks += missing
        return True

    def _admit(self, now_s: float, chunks: list[int]) -> None:
        budget = self._settings.max_num_batched_tokens - sum(chunks)
        while self._waiting and budget > 0 and len(self._running) < self._settings.max_num_seqs:
            sequence = self._waiting[0]
            tokens = sequence.prompt_tokens + sequence.generated
            blocks = -(-tokens // self._settings.block_size)
            if sequence.arrival_s > now_s or blocks > self._free_blocks:
                return
            self._running.append(self._waiting.popleft())
            self._free_blocks -= blocks
            sequence.blocks = blocks
            self._look_up(sequence)
            chunks.append(min(tokens - sequence.computed, budget))
            self._keep(sequence, chunks[-1])
            budget -= chunks[-1]

    def _look_up(self, sequence: Sequence) -> None:
        """Take the first blocks of the prompt from the prefix cache; its last token is computed in any case."""
        if sequence.names:
            found = self.prefix_cache.match(sequence.names)
            size = self._settings.block_size
            sequence.computed = min(found, (sequence.prompt_tokens - 1) // size) * size
            if not sequence.generated:
                sequence.cached = sequence.computed

    def _keep(self, sequence: Sequence, tokens: int) -> None:
        """Blocks of the prompt that this step fills are in the prefix cache for all that are admitted after it."""
        if sequence.names is None or sequence.generated:
            return
        size = self._settings.block_size
        first, last = sequence.computed // size, (sequence.computed + tokens) // size
        self.prefix_cache.store(sequence.names[first:last])

    def _commit(self, chunks: list[int], preempted: list[Sequence]) -> StepResult:
        emitted: list[Sequence] = []
        finished: list[Sequence] = []
        checked: list[tuple[int, int]] = []
        kv_tokens = 0
        for sequence, tokens in zip(self._running, chunks, strict=True):
            kv_tokens += sequence.computed
            drafts = max(0, tokens - self._left(sequence))
            right = self._accepted(drafts)
            if drafts:
                checked.append((drafts, right))
            sequence.computed += tokens - drafts
            if not self._left(sequence):
                sequence.made = min(1 + right, sequence.output_tokens - sequence.generated)
                sequence.generated += sequence.made
                sequence.computed += sequence.made - 1
                emitted.append(sequence)
                if sequence.finished:
                    finished.append(sequence)
        if finished:
            self._running = [sequence for sequence in self._running if not sequence.finished]
            for sequence in finished:
                self._release(sequence)
        cost = self._settings
        scheduled = sum(chunks)
        duration_s = (
            cost.base_s
            + cost.per_token_s * scheduled
            + cost.per_seq_s * len(chunks)
            + cost.per_kv_token_s * kv_tokens
            + (cost.per_draft_s * cost.speculative_tokens if checked else 0.0)
        )
        return StepResult(
            duration_s, emitted, finished, preempted, len(chunks), scheduled, kv_tokens, checked
        )

    def _release(self, sequence: Sequence) -> None:
        self._free_blocks += sequence.blocks
        sequence.blocks = 0
