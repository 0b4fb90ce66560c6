"""What the simulated model says: words and lengths that depend on the seed and the prompt alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from inferometer.simulator.server.settings import SimSettings


def uniform(seed: int, *parts: bytes) -> tuple[float, float]:
    """Two independent numbers in (0, 1), a pure function of ``seed`` and ``parts`` on every platform."""
    digest = blake2b(key=str(seed).encode()[:64], digest_size=16)
    for part in parts:
        digest.update(part)
    raw = digest.digest()
    low, high = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
    return (low + 0.5) / 2**64, (high + 0.5) / 2**64


class Voice:
    """Makes up answers.

    Args:
        settings: seed and length distribution.
        words: the vocabulary; each word with a space before it is one token to the client's tokenizer.
    """

    def __init__(self, settings: SimSettings, words: Sequence[str]) -> None:
        self._settings = settings
        tokens = [msgspec.json.encode(f" {word}")[1:-1] for word in words]
        self._tokens = sorted(tokens, key=lambda token: uniform(settings.seed, token))

    def start(self, prompt: bytes) -> int:
        """Where in the vocabulary the answer to ``prompt`` begins."""
        return int(uniform(self._settings.seed, b"start", prompt)[0] * len(self._tokens))

    def natural_length(self, prompt: bytes) -> int:
        """Tokens after which the model would end its answer to ``prompt`` by itself (log-normal)."""
        u, v = uniform(self._settings.seed, b"length", prompt)
        normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)  # Box and Muller 1958
        median, sigma = self._settings.answer_tokens_median, self._settings.answer_tokens_sigma
        return max(1, round(median * math.exp(sigma * normal)))

    def text(self, first: int, count: int) -> bytes:
        """``count`` tokens from position ``first`` on, ready to stand inside a JSON string."""
        tokens = self._tokens
        if count == 1:
            return tokens[first % len(tokens)]
        return b"".join([tokens[at % len(tokens)] for at in range(first, first + count)])
