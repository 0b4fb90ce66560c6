"""Prompt text for traces: a block number gives the same text wherever it stands, and no two numbers begin alike."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from inferometer.errors import DataError
from inferometer.workload.exact import HasWords
from inferometer.workload.request import Tokenizer
from inferometer.workload.words import WORDS

NUMBER_BITS = 36  # of block numbers
_POOL_WORDS = 1 << 16
_LEAST_WORDS = 16
_PROBED = 512  # tokens


class BlockText:
    """Makes text of exactly so many tokens from a block's number.

    A block begins with its number, scrambled by seed and salt and written in base W (W = number of one-token
    words); the other words are a stretch of one random text. So two blocks differ within their first few tokens,
    a shorter cut of a block is the beginning of a longer one, and a block takes microseconds and no memory. Each
    word has a space before it, so that the tokens of joined blocks are the sum of theirs: this is checked.

    Args:
        tokenizer: decides what a token is.
        seed: decides the text.
        salt: differs from load point to load point and from run to run.

    Raises:
        DataError: the tokenizer has too few one-token words, or joins words.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int, salt: str) -> None:
        words = tokenizer.words if isinstance(tokenizer, HasWords) else WORDS
        if len(words) < _LEAST_WORDS:
            raise DataError(
                f"tokenizer {tokenizer.name} has {len(words)} one-token English words, and the prompts of a trace "
                f"need {_LEAST_WORDS}",
                "use --tokenizer builtin",
            )
        digest = hashlib.sha256(f"{seed}\0{salt}\0trace".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        self._words = [f" {word}" for word in words]
        self._head_len = math.ceil(NUMBER_BITS / math.log2(len(words)))
        self._heads = len(words) ** self._head_len
        self._add = int(rng.integers(1 << 62)) % self._heads
        self._times = _coprime(rng, len(words), self._heads)
        pool = [self._words[place] for place in rng.integers(len(words), size=_POOL_WORDS).tolist()]
        self._pool = "".join(pool)
        self._starts = [0, *accumulate(map(len, pool))]
        self._probe(tokenizer)

    def block(self, number: int, tokens: int) -> str:
        """The first ``tokens`` tokens of block ``number`` (below 2**36); begins with a space."""
        scrambled = (number * self._times + self._add) % self._heads
        head = []
        at = scrambled
        for _ in range(min(tokens, self._head_len)):
            at, digit = divmod(at, len(self._words))
            head.append(self._words[digit])
        return "".join((*head, *self._stretch(scrambled % _POOL_WORDS, tokens - len(head))))

    def _stretch(self, start: int, tokens: int) -> Iterator[str]:
        """So many words of the pool from word ``start`` on, round and round."""
        while tokens > 0:
            end = min(start + tokens, _POOL_WORDS)
            yield self._pool[self._starts[start] : self._starts[end]]
            tokens -= end - start
            start = 0

    def _probe(self, tokenizer: Tokenizer) -> None:
        """Two blocks have the tokens that they should, alone and joined."""
        first, second = (self.block(number, _PROBED) for number in (0, 1))
        counted = [tokenizer.count(text[1:]) for text in (first, second, first + second)]
        if counted != [_PROBED, _PROBED, 2 * _PROBED]:
            raise DataError(
                f"tokenizer {tokenizer.name} counts {counted[0]}, {counted[1]} and joined {counted[2]} tokens for two "
                f"blocks of {_PROBED} one-token words: it joins words, so that prompts cannot be made of blocks",
                "use --tokenizer builtin, and compare with the prompt tokens that the server reports",
            )


def _coprime(rng: np.random.Generator, base: int, below: int) -> int:
    """A factor that makes each number below ``below``, a power of ``base``, another one."""
    while True:
        factor = int(rng.integers(1 << 62)) % below
        if math.gcd(factor, base) == 1:
            return factor
