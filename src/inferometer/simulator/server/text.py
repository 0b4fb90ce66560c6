"""What the simulated model says: words and lengths that depend on the seed and the prompt alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from inferometer.simulator.server.generation import Generation
from inferometer.simulator.server.settings import SimSettings

_DRAWS = 1021  # different probabilities of a token; a prime, so that they do not go with the vocabulary


class Ending(NamedTuple):
    """Where an answer ends: tokens, finish reason, the stop string that ended it, and the length of its text."""

    tokens: int
    reason: str
    stopped_by: str | None = None
    text_end: int | None = None


class Scored(NamedTuple):
    """A token with its logarithmic probability."""

    text: str
    logprob: float


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
        words: the vocabulary, plain ASCII, so that a token is the same inside a JSON string; each word with a space
            before it is one token to the client's tokenizer.
    """

    def __init__(self, settings: SimSettings, words: Sequence[str]) -> None:
        self._settings = settings
        tokens = [f" {word}".encode("ascii") for word in words]
        self._tokens = sorted(tokens, key=lambda token: uniform(settings.seed, token))
        draws = (uniform(settings.seed, b"logprob", str(at).encode())[0] for at in range(_DRAWS))
        self._probabilities = [0.05 + 0.94 * draw for draw in draws]

    def start(self, prompt: bytes, index: int = 0) -> int:
        """Where in the vocabulary the answer to ``prompt`` begins; ``index`` tells several answers apart."""
        more = (str(index).encode(),) if index else ()
        return int(uniform(self._settings.seed, b"start", prompt, *more)[0] * len(self._tokens))

    def ending(self, request: Generation, start: int) -> Ending:
        """Where the answer that begins at ``start`` ends."""
        tokens, reason = request.max_tokens, "length"
        if not request.ignore_eos:
            natural = max(self.natural_length(request.prompt, request.index), request.min_tokens)
            if natural < tokens:
                tokens, reason = natural, "stop"
        found = self._stopped(request, start, tokens) if request.stop else None
        return found or Ending(tokens, reason)

    def natural_length(self, prompt: bytes, index: int = 0) -> int:
        """Tokens after which the model would end its answer to ``prompt`` by itself (log-normal)."""
        more = (str(index).encode(),) if index else ()
        u, v = uniform(self._settings.seed, b"length", prompt, *more)
        normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)  # Box and Muller 1958
        median, sigma = self._settings.answer_tokens_median, self._settings.answer_tokens_sigma
        return max(1, round(median * math.exp(sigma * normal)))

    def text(self, first: int, count: int) -> bytes:
        """``count`` tokens from position ``first`` on, ready to stand inside a JSON string."""
        tokens = self._tokens
        if count == 1:
            return tokens[first % len(tokens)]
        return b"".join([tokens[at % len(tokens)] for at in range(first, first + count)])

    def pieces(self, first: int, count: int) -> list[str]:
        """The same, token by token."""
        tokens = self._tokens
        return [tokens[at % len(tokens)].decode() for at in range(first, first + count)]

    def length(self, first: int, count: int) -> int:
        """Characters of so many tokens."""
        return len(self.text(first, count)) if count else 0

    def scored(self, at: int, others: int) -> list[Scored]:
        """The token at a position with its probability, and so many others that were less likely.

        The probabilities of all of them sum to less than 1, and none is above that of the token itself.
        """
        chosen = self._probabilities[at % _DRAWS]
        rest = min(chosen, 1 - chosen)
        scores = [chosen, *(rest / 2**place for place in range(1, others + 1))]
        names = self.pieces(at, others + 1)
        return [Scored(name, round(math.log(score), 6)) for name, score in zip(names, scores, strict=True)]

    def _stopped(self, request: Generation, start: int, tokens: int) -> Ending | None:
        """Where the first stop string ends an answer of so many tokens; as in vLLM not before ``min_tokens``."""
        pieces = self.pieces(start, tokens)
        text = "".join(pieces)
        skip = sum(map(len, pieces[: request.min_tokens]))
        best: tuple[int, int, str] | None = None
        for stop in request.stop:
            # The token that completes it must come after the first min_tokens.
            begin = text.find(stop, max(0, skip - len(stop) + 1))
            if begin >= 0 and (best is None or begin + len(stop) < best[0]):
                best = (begin + len(stop), begin, stop)
        if best is None:
            return None
        end, begin, stop = best
        made, length = 0, 0
        while length < end:
            length += len(pieces[made])
            made += 1
        return Ending(made, "stop", stop, end if request.keep_stop else begin)
