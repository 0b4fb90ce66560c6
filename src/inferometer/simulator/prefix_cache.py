"""The prefix cache: blocks of prompts that were computed before, known by all that stands before them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class PrefixCache:
    """Full blocks of prompts, the least recently used of which make room.

    A block's name stands for its tokens and for all tokens before it (see ``prompt_view``), so that a prompt finds
    its beginning block by block. The blocks are beside the engine's KV blocks, as where computed blocks are kept in
    host memory; finding one costs no time.

    Args:
        capacity: most blocks that are kept; 0 keeps none.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def match(self, names: Sequence[int]) -> int:
        """How many of ``names``, from the first on, are there; they count as used now."""
        blocks = self._blocks
        found = next((place for place, name in enumerate(names) if name not in blocks), len(names))
        # Later blocks are worth nothing without earlier ones, so the earlier ones are the last to go.
        for name in reversed(names[:found]):
            blocks.move_to_end(name)
        return found

    def store(self, names: Sequence[int]) -> None:
        """Keep the blocks ``names``, which follow each other in a prompt."""
        blocks = self._blocks
        for name in reversed(names):
            if name in blocks:
                blocks.move_to_end(name)
            else:
                blocks[name] = None
        while len(blocks) > self._capacity:
            blocks.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
