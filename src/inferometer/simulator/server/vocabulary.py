"""Token ids of the simulated model, there and back, without a file."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from inferometer.workload.builtin import WORDS, BuiltinTokenizer

_REMEMBERED = 1 << 20  # pieces, some 100 bytes each


class Vocabulary:
    """The builtin tokenizer, which also finds the text of ids again.

    An id is a hash of its piece, the one that ``BuiltinTokenizer`` gives it. The pieces of all texts that were encoded
    here are remembered, up to a number; an id that is not among them reads as a word of the vocabulary, so that any ids
    make a text of as many tokens.
    """

    def __init__(self) -> None:
        self._tokenizer = BuiltinTokenizer()
        known = [*WORDS, *(f" {word}" for word in WORDS)]
        self._pieces = dict(zip(map(self.id, known), known, strict=True))

    def count(self, text: str) -> int:
        """Number of tokens."""
        return self._tokenizer.count(text)

    def pieces(self, text: str) -> list[str]:
        """The text of each token."""
        return self._tokenizer.pieces(text)

    def encode(self, text: str) -> list[int]:
        """One id for each token."""
        pieces = self._tokenizer.pieces(text)
        ids = [self.id(piece) for piece in pieces]
        if len(self._pieces) < _REMEMBERED:
            self._pieces.update(zip(ids, pieces, strict=True))
        return ids

    def id(self, piece: str) -> int:
        """The id of one token."""
        return crc32(piece.encode("utf-8", "surrogatepass"))

    def decode(self, ids: Sequence[int]) -> str:
        """A text of these tokens."""
        return "".join(self.piece(one) for one in ids)

    def piece(self, one: int) -> str:
        """The text of one token."""
        found = self._pieces.get(one)
        return f" {WORDS[one % len(WORDS)]}" if found is None else found
