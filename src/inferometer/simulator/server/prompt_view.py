"""A prompt as the simulated model sees it: its tokens, counted, and named block by block for the prefix cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

_WORD_SIGNS = b"abcdefghijklmnopqrstuvwxyz "
_LETTERS = 7  # of a word make a token, see BuiltinTokenizer


class Pieces(Protocol):
    """Takes a text apart into tokens."""

    def count(self, text: str) -> int:
        """Number of tokens."""
        ...

    def pieces(self, text: str) -> list[str]:
        """The tokens as texts."""
        ...


class PromptView(NamedTuple):
    """Tokens of a prompt, and the names of its full blocks: hashes of all tokens up to the end of each."""

    tokens: int
    blocks: list[int]


class PromptViewer:
    """Looks at prompts, a message at a time.

    Args:
        tokenizer: what a token is.
        block_tokens: tokens of a block; 0 = blocks are not named.
    """

    def __init__(self, tokenizer: Pieces, block_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._block_tokens = block_tokens

    def of_text(self, text: str, origin: str = "") -> PromptView:
        """A prompt of one text; prompts of another ``origin`` share no blocks with it."""
        if not self._block_tokens:
            return PromptView(self._tokenizer.count(text), [])
        words = _words_view(text, self._block_tokens, origin)
        return self._of_pieces(self._tokenizer.pieces(text), origin) if words is None else words

    def of_messages(
        self, messages: Sequence[tuple[str, Sequence[str]]], overhead: int, origin: str = ""
    ) -> PromptView:
        """A conversation.

        Args:
            messages: role and texts of each.
            overhead: tokens that a template adds to each message.
            origin: see ``of_text``.
        """
        texts = [text for _, parts in messages for text in parts]
        if not self._block_tokens:
            return PromptView(overhead * len(messages) + sum(map(self._tokenizer.count, texts)), [])
        if len(texts) == 1 and not overhead:
            return self.of_text(texts[0], origin)
        pieces: list[str] = []
        for role, parts in messages:
            pieces += [f"\0{role}\0"] * overhead
            for text in parts:
                pieces += self._tokenizer.pieces(text)
        return self._of_pieces(pieces, origin)

    def of_ids(self, ids: Sequence[int], origin: str = "") -> PromptView:
        """A prompt of token ids."""
        if not self._block_tokens:
            return PromptView(len(ids), [])
        return self._of_pieces([f"{each}\0" for each in ids], origin)

    def _of_pieces(self, pieces: list[str], origin: str) -> PromptView:
        size = self._block_tokens
        starts = range(0, len(pieces) - size + 1, size)
        blocks = ("".join(pieces[at : at + size]) for at in starts)
        return PromptView(len(pieces), _chained(blocks, origin))


def _chained(blocks: Iterable[str], origin: str) -> list[int]:
    """A name for each block, from its text and the name before it."""
    name, names = hash(origin), []
    for block in blocks:
        name = hash((name, block))
        names.append(name)
    return names


def _words_view(text: str, size: int, origin: str) -> PromptView | None:
    """The view of lower-case words with one space between them, several times as fast; None for another text.

    Of such a text a token is a space and the next letters of a word, seven at most.
    """
    data = text.encode("utf-8", "surrogatepass")
    if not data or data[0] == 32 or data[-1] == 32 or b"  " in data or data.translate(None, _WORD_SIGNS):
        return None
    spaces = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 32)
    starts = np.concatenate(([-1], spaces)) + 1  # of the letters
    ends = np.concatenate((spaces, [len(data)]))
    upto = np.cumsum((ends - starts + _LETTERS - 1) // _LETTERS)  # tokens up to the end of each word
    total = int(upto[-1])
    last = np.arange(size, total + 1, size)  # tokens up to the end of each block
    word = np.searchsorted(upto, last)
    before = np.concatenate(([0], upto))[word]
    edges = np.minimum(starts[word] + _LETTERS * (last - before), ends[word])
    cuts = [0, *edges.tolist()]
    return PromptView(total, _chained((text[begin:end] for begin, end in pairwise(cuts)), origin))
