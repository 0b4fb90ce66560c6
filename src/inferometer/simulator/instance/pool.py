"""KV blocks of an instance: counted, and with a prefix cache also known by name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from inferometer.simulator.instance.limits import EngineLimits, Job


class Holder(Protocol):
    """What a pool knows of a sequence: see ``Sequence``."""

    job: Job
    computed: int
    blocks: int
    named: list[int]
    filled: int

    @property
    def tokens(self) -> int:
        """Tokens known of it: prompt and answer so far."""
        ...


class Pool:
    """Blocks that are only counted.

    Attributes:
        blocks: in all.
        block_tokens: tokens of each.
        free: that no sequence holds.
    """

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.free = blocks

    @property
    def used(self) -> int:
        """Blocks that sequences hold; one that several share counts once."""
        return self.blocks - self.free

    def blocks_of(self, tokens: int) -> int:
        """Blocks that hold so many tokens."""
        return -(-tokens // self.block_tokens)

    def find(self, sequence: Holder) -> int:
        """Full blocks at the beginning of ``sequence`` that are there already."""
        return 0

    def fits(self, sequence: Holder, tokens: int, found: int) -> bool:
        """Whether the first ``tokens`` of a waiting sequence could be held, ``found`` blocks of which are there."""
        return self.missing(sequence, tokens, found) <= self.free

    def missing(self, sequence: Holder, tokens: int, found: int) -> int:
        """How many of the free blocks that would take."""
        return self.blocks_of(tokens)

    def admit(self, sequence: Holder, tokens: int, found: int) -> None:
        """Hold the first ``tokens`` of a sequence that holds nothing; ``fits`` must have said so."""
        self.take(sequence, self.blocks_of(tokens))

    def take(self, sequence: Holder, blocks: int) -> None:
        """Give ``sequence`` so many of the free blocks."""
        self.free -= blocks
        sequence.blocks += blocks

    def unname(self, blocks: int) -> None:
        """So many of the free blocks are about to be taken: those of them that have a name lose it."""

    def release(self, sequence: Holder) -> None:
        """Take back all that ``sequence`` holds."""
        self.free += sequence.blocks
        sequence.blocks = 0

    def fill(self, sequence: Holder, tokens: int) -> None:
        """A step computes ``tokens`` more of ``sequence``; who is admitted from now on finds its full blocks."""

    def forget(self) -> bool:
        """Empty the prefix cache, as vLLM's ``/reset_prefix_cache``: False, and nothing done, while blocks are held."""
        return self.free == self.blocks


class CachingPool(Pool):
    """Blocks with vLLM's prefix cache: full blocks keep their name when they are free, until they are needed.

    A name stands for a block's tokens and all tokens before it. Free blocks without a name are given out first, then
    those with one, least recently freed first, and of one sequence the later ones before the earlier (vLLM's free
    queue: blocks are evicted at its head, a hit takes one out of it, a freed one is appended in reverse order).

    Of sequences that compute the same block at the same time each has its own: several blocks may have one name, and
    the oldest is the one that is found.
    """

    def __init__(self, blocks: int, block_tokens: int) -> None:
        super().__init__(blocks, block_tokens)
        self._idle: OrderedDict[int, None] = OrderedDict()  # free ones with a name, next to go first
        self._holders: dict[int, int] = {}  # of named blocks that are held: by how many sequences
        self._names: dict[int, int] = {}  # of blocks that have one
        self._called: dict[int, dict[int, None]] = {}  # by name, the blocks of that name, oldest first
        self._named = 0  # blocks that ever got a name; numbers the next one

    def find(self, sequence: Holder) -> int:
        """See ``Pool``. The last known token is computed in any case, as its logits are needed."""
        names = sequence.job.names or ()
        most = min(len(names), (sequence.tokens - 1) // self.block_tokens)
        for place in range(most):
            if names[place] not in self._called:
                return place
        return most

    def missing(self, sequence: Holder, tokens: int, found: int) -> int:
        """See ``Pool``. Of the blocks that were found, those that nobody holds are among the free ones."""
        names = sequence.job.names or ()
        idle = sum(self._oldest(name) in self._idle for name in names[:found])
        return self.blocks_of(tokens) - found + idle

    def admit(self, sequence: Holder, tokens: int, found: int) -> None:
        """See ``Pool``."""
        for name in (sequence.job.names or ())[:found]:
            block = self._oldest(name)
            if block in self._idle:
                del self._idle[block]
                self.free -= 1
            self._hold(sequence, block)
        sequence.blocks = sequence.filled = found
        self.take(sequence, self.blocks_of(tokens) - found)

    def take(self, sequence: Holder, blocks: int) -> None:
        """See ``Pool``."""
        self.unname(blocks)
        super().take(sequence, blocks)

    def unname(self, blocks: int) -> None:
        """See ``Pool``."""
        nameless = self.free - len(self._idle)
        for _ in range(blocks - nameless):
            block, _ = self._idle.popitem(last=False)
            name = self._names.pop(block)
            del self._called[name][block]
            if not self._called[name]:
                del self._called[name]

    def release(self, sequence: Holder) -> None:
        """See ``Pool``."""
        self.free += sequence.blocks - len(sequence.named)
        for block in reversed(sequence.named):
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                self._idle[block] = None
                self.free += 1
        sequence.named.clear()
        sequence.blocks = sequence.filled = 0

    def fill(self, sequence: Holder, tokens: int) -> None:
        """See ``Pool``."""
        names = sequence.job.names
        if names is None:
            return
        full = min(len(names), (sequence.computed + tokens) // self.block_tokens)
        for name in names[sequence.filled : full]:
            self._names[self._named] = name
            self._called.setdefault(name, {})[self._named] = None
            self._hold(sequence, self._named)
            self._named += 1
        sequence.filled = full

    def forget(self) -> bool:
        """See ``Pool``."""
        if self.free < self.blocks:
            return False
        self._idle.clear()
        self._names.clear()
        self._called.clear()
        return True

    def _oldest(self, name: int) -> int:
        return next(iter(self._called[name]))

    def _hold(self, sequence: Holder, block: int) -> None:
        self._holders[block] = self._holders.get(block, 0) + 1
        sequence.named.append(block)


def make_pool(limits: EngineLimits) -> Pool:
    """The pool that ``limits`` ask for."""
    kind = CachingPool if limits.prefix_cache else Pool
    return kind(limits.kv_blocks, limits.block_tokens)
