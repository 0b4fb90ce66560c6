"""Names of the blocks of prompts, so that a simulated prefix cache finds what prompts have in common. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from inferometer.spec.data import TRACES
from inferometer.workload import Request

_ROOT = 0


class BlockNames:
    """Names the full blocks of the prompts of one load point.

    A name stands for a block's tokens and all tokens before it, so two prompts have the same names as far as they begin
    alike. What made prompts have in common is known without a look at their text: a prefix, or blocks of a trace, and
    else nothing. Prompts of a file are cut as the run's tokenizer cuts them.

    Args:
        dataset: the data set's name.
        block_tokens: of a block of the engine.
        prefix_tokens: of a shared prefix, for requests that have one.
        encode: token ids of a text.
    """

    def __init__(
        self, dataset: str, block_tokens: int, prefix_tokens: int, encode: Callable[[str], list[int]]
    ) -> None:
        self._made = dataset == "random" or dataset in TRACES
        self._block_tokens = block_tokens
        self._prefix_tokens = prefix_tokens
        self._encode = encode
        self._known: dict[tuple[int, Hashable], int] = {}
        self._last = _ROOT

    def of(self, request: Request, text: str, tokens: int) -> tuple[int, ...]:
        """The names of a prompt's full blocks.

        Args:
            request: whose prompt it is.
            text: of the prompt; looked at for data that was not made.
            tokens: of the prompt.
        """
        full = tokens // self._block_tokens
        if request.blocks:
            shared = self._of_trace(request.blocks, request.block_tokens)
        elif self._made and request.input_tokens_counted is not None:
            has = min(self._prefix_tokens // self._block_tokens, full) if request.group is not None else 0
            shared = [request.group] * has
        else:
            ids = self._encode(text) if request.token_ids is None else request.token_ids
            shared = self._of_tokens(ids)
        return tuple(self._chained(shared[:full], full))

    def _chained(self, shared: Sequence[Hashable], full: int) -> list[int]:
        """A name for each block: of equal ones after equal ones the same, and a new one where nothing is shared."""
        names, parent = [], _ROOT
        for content in shared:
            parent = self._known.setdefault((parent, content), self._last + 1)
            self._last = max(self._last, parent)
            names.append(parent)
        alone = full - len(names)
        names += range(self._last + 1, self._last + 1 + alone)
        self._last += alone
        return names

    def _of_trace(self, numbers: Sequence[int], tokens: int) -> list[Hashable]:
        """What of a trace's blocks stands in each block of the engine that they fill."""
        size = self._block_tokens
        return [
            (at % tokens, tuple(numbers[at // tokens : (at + size - 1) // tokens + 1]))
            for at in range(0, len(numbers) * tokens - size + 1, size)
        ]

    def _of_tokens(self, ids: Sequence[int]) -> list[Hashable]:
        size = self._block_tokens
        return [tuple(ids[at : at + size]) for at in range(0, len(ids) - size + 1, size)]
