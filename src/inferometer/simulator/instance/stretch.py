"""Stretches of pure decode steps: how long they take, how far they reach, and the times of all tokens in them.

While the same sequences decode and nothing else happens, every step adds one token of context for each of them and a
step's duration is affine in that context. With ``n`` sequences, ``kv`` tokens of context before the first step and a
step of ``a + g * context`` nanoseconds, ``k`` steps take ``k a + g (k kv + n k (k - 1) / 2)`` nanoseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Piece = tuple[float | None, int, int]
"""Tokens of a sequence: when that of a prompt came, if one did; decode steps before it and after the last one."""


class Stretch(NamedTuple):
    """Steps that the same sequences decode in.

    Attributes:
        begin_ns: of the first step.
        fixed_ns: ``a``, of each step.
        slope_ns: ``g``, of each token of context.
        kv_tokens: context of all sequences before the first step.
        decodes: sequences, thus how much the context grows a step.
    """

    begin_ns: float
    fixed_ns: float
    slope_ns: float
    kv_tokens: int
    decodes: int

    def end_ns(self, steps: int) -> float:
        """When so many steps are over."""
        context = steps * self.kv_tokens + self.decodes * (steps * (steps - 1) // 2)
        return self.begin_ns + (steps * self.fixed_ns + self.slope_ns * context)

    def steps_until(self, time_ns: float, most: int) -> int:
        """The fewest steps, at least 1 and at most ``most``, after which it is ``time_ns`` or later."""
        if self.end_ns(most) < time_ns:
            return most
        half = self.slope_ns * self.decodes / 2.0
        linear = self.fixed_ns + self.slope_ns * self.kv_tokens - half
        span = time_ns - self.begin_ns
        bottom = linear + sqrt(max(0.0, linear * linear + 4.0 * half * span))
        steps = min(most, max(1, ceil(2.0 * span / bottom))) if bottom > 0.0 else 1
        # The root is rounded; the comparison that steps are compared with is not.
        while steps > 1 and self.end_ns(steps - 1) >= time_ns:
            steps -= 1
        while steps < most and self.end_ns(steps) < time_ns:
            steps += 1
        return steps


class BlockNeeds:
    """When decoding sequences need their next KV block: each once in ``block_tokens`` steps.

    Steps are numbered; a sequence whose context fills its blocks at a step needs one more in it. So sequences are
    counted by the number of that step modulo the size of a block, and what a run of steps needs costs no look at
    the sequences.
    """

    __slots__ = ("by_slot", "decodes", "size")

    def __init__(self, block_tokens: int) -> None:
        self.size = block_tokens
        self.by_slot = [0] * block_tokens
        self.decodes = 0

    def join(self, step: int, context: int) -> None:
        """A sequence with so much context takes part from this step on."""
        self.by_slot[(step - context) % self.size] += 1
        self.decodes += 1

    def leave(self, step: int, context: int) -> None:
        """A sequence that has so much context before this step takes part no more."""
        self.by_slot[(step - context) % self.size] -= 1
        self.decodes -= 1

    def at(self, step: int) -> int:
        """Blocks that this step takes."""
        return self.by_slot[step % self.size]

    def over(self, step: int, steps: int) -> int:
        """Blocks that so many steps take, from this one on."""
        rounds, rest = divmod(steps, self.size)
        begin = step % self.size
        end = begin + rest
        partial = sum(self.by_slot[begin:end])
        if end > self.size:
            partial += sum(self.by_slot[: end - self.size])
        return rounds * self.decodes + partial

    def steps_within(self, blocks: int, step: int, most: int) -> int:
        """How many steps, from this one on and at most ``most``, need no more than ``blocks``."""
        rounds, left = divmod(blocks, self.decodes)
        steps = rounds * self.size
        while steps < most:
            left -= self.by_slot[(step + steps) % self.size]
            if left < 0:
                return steps
            steps += 1
        return most


class NoNeeds(BlockNeeds):
    """Sequences that hold the blocks of their whole answers from the beginning; only their number counts."""

    __slots__ = ()

    def at(self, step: int) -> int:
        """See ``BlockNeeds``."""
        return 0

    def over(self, step: int, steps: int) -> int:
        """See ``BlockNeeds``."""
        return 0

    def steps_within(self, blocks: int, step: int, most: int) -> int:
        """See ``BlockNeeds``."""
        return most


class Timeline:
    """When each decode step ended, as stretches: memory by stretch, not by step or token."""

    def __init__(self) -> None:
        self._before = array("q")  # steps before the stretch
        self._stretches = array("d")  # five to a stretch

    def __len__(self) -> int:
        return len(self._before)

    def add(self, steps_before: int, stretch: Stretch) -> None:
        """A stretch that begins after so many steps; they are added in order."""
        self._before.append(steps_before)
        self._stretches.extend(stretch)

    def ends_ns(self, first: int, last: int) -> NDArray[np.float64]:
        """Ends of steps ``first`` to ``last`` (both included), counted from 1."""
        # Views of the arrays, which cannot grow while there are any: all of them end with this call.
        before = np.frombuffer(self._before, dtype=np.int64)
        low, high = np.searchsorted(before, (first, last), side="left")
        before = before[low - 1 : high]
        steps = np.empty_like(before)
        steps[:-1] = before[1:]
        steps[-1] = last
        steps -= np.maximum(before, first - 1)
        rows = np.frombuffer(self._stretches).reshape(-1, 5)[low - 1 : high]
        begin, fixed, slope, kv, decodes = np.repeat(rows, steps, axis=0).T
        count = np.arange(first, last + 1, dtype=np.int64) - np.repeat(before, steps)
        ends: NDArray[np.float64] = begin + (
            count * fixed + slope * (count * kv + decodes * (count * (count - 1) // 2))
        )
        return ends

    def tokens_ns(self, pieces: Sequence[Piece]) -> NDArray[np.float64]:
        """Times of the tokens of these pieces, in their order."""
        times: list[NDArray[np.float64]] = []
        for token_ns, before, last in pieces:
            if token_ns is not None:
                times.append(np.array([token_ns]))
            if last > before:
                times.append(self.ends_ns(before + 1, last))
        return np.concatenate(times) if times else np.zeros(0)

    def forget(self, steps_before: int) -> None:
        """Drop the stretches that lie wholly in the first ``steps_before`` steps; nobody asks for them any more."""
        gone = (
            int(np.searchsorted(np.frombuffer(self._before, dtype=np.int64), steps_before, side="right")) - 1
        )
        if gone > 0:
            del self._before[:gone]
            del self._stretches[: 5 * gone]
