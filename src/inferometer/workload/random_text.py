"""Data set ``random``: endless prompts of an exact token count that share no prefix by accident."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from inferometer.errors import DataError, UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.request import DatasetInfo, Request, Tokenizer
from inferometer.workload.words import WORDS

_HEAD_BITS = 36  # distinct heads: far more than one run can send
_TRIES = 20
_WORDS_NEEDED = 16


@runtime_checkable
class HasWords(Protocol):
    """A tokenizer that can name its one-token words."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that are one token each, at the start of a text and after a space."""
        ...


class RandomDataset:
    """Prompts of random words with exactly ``input_len`` tokens each, as the tokenizer counts.

    The first words of a prompt are its running number, scrambled by seed and salt and written in base W (W =
    number of one-token words), lowest digit first. So within one load point any W prompts in a row differ in
    their first token, any W*W in their first two, and all of a run in their first few; prompts of two load
    points agree in their first k tokens only with a chance of 1/W**k. The other words are drawn at random.

    Args:
        tokenizer: decides what a token is; each prompt is counted with it, and mended until it is exact.
        input_len: tokens per prompt, without chat template.
        output_len: tokens per answer, absent = unknown.

    Raises:
        DataError: the tokenizer has too few one-token words.
    """

    def __init__(self, tokenizer: Tokenizer, input_len: int, output_len: int | None) -> None:
        self._tokenizer = tokenizer
        self._input_len = input_len
        self._output_len = output_len
        self._words = tokenizer.words if isinstance(tokenizer, HasWords) else WORDS
        if len(self._words) < _WORDS_NEEDED:
            raise DataError(
                f"tokenizer {tokenizer.name} has {len(self._words)} one-token English words, and random text "
                f"needs {_WORDS_NEEDED}",
                "use --tokenizer builtin, or a file data set",
            )
        self._head_len = min(input_len, math.ceil(_HEAD_BITS / math.log2(len(self._words))))

    def info(self) -> DatasetInfo:
        """Identity; a generated data set has neither path nor number of rows."""
        heads = len(self._words) ** self._head_len
        notes = [] if self._tokenizer.exact else ["prompt lengths are estimates of the builtin tokenizer"]
        if heads < 1 << _HEAD_BITS:
            notes.append(f"prompts of {self._input_len} tokens repeat after {heads} requests")
        return DatasetInfo(
            name="random", tokenizer=self._tokenizer.name, tokenizer_exact=self._tokenizer.exact, notes=notes
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Endless prompts, the same for the same ``seed`` and ``salt``.

        Raises:
            DataError: no prompt of exactly ``input_len`` tokens was found.
        """
        heads = len(self._words) ** self._head_len
        rng = _generator(seed, salt)
        number = int(rng.integers(heads))
        step = _coprime(rng, len(self._words), heads)
        while True:
            head = _digits(number, self._words, self._head_len)
            yield Request(
                text=self._exact_text(head, rng),
                input_tokens_target=self._input_len,
                output_tokens_target=self._output_len,
            )
            number = (number + step) % heads

    def _exact_text(self, head: list[str], rng: np.random.Generator) -> str:
        """Words after ``head`` until the tokenizer counts ``input_len``: usually right at once."""
        words = head + self._draw(rng, self._input_len - len(head))
        for _ in range(_TRIES):
            text = " ".join(words)
            counted = self._tokenizer.count(text)
            if counted == self._input_len:
                return text
            wanted = max(1, round(len(words) * self._input_len / max(counted, 1)))
            if wanted == len(words):
                wanted += 1 if counted < self._input_len else -1
            words = words[:wanted] + self._draw(rng, max(0, wanted - len(words)))
        raise DataError(
            f"no random prompt of exactly {self._input_len} tokens in {_TRIES} tries with tokenizer "
            f"{self._tokenizer.name} (the last one had {counted})",
            "use a longer --input-len, or --tokenizer builtin",
        )

    def _draw(self, rng: np.random.Generator, count: int) -> list[str]:
        return [self._words[place] for place in rng.integers(len(self._words), size=count).tolist()]


def open_random(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> RandomDataset:
    """The data set ``random`` for one load point.

    Raises:
        UsageError: a path was given, or no prompt length.
        DataError: see RandomDataset.
    """
    workload = spec.workload
    if workload.dataset_path is not None:
        raise UsageError(
            f"data set 'random' is generated and reads no file, but --dataset-path {workload.dataset_path} was given",
            "leave it out, or choose --dataset sharegpt or openqa",
        )
    if point.input_len is None:
        raise UsageError(
            f"load point {point.index} has no prompt length, and data set 'random' needs one",
            "give --input-len N",
        )
    return RandomDataset(tokenizer, point.input_len, point.output_len)


def _generator(seed: int, salt: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{salt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _coprime(rng: np.random.Generator, base: int, below: int) -> int:
    """A step that walks through all of ``range(below)``, a power of ``base``, before it repeats."""
    while True:
        step = int(rng.integers(1, below))
        if math.gcd(step, base) == 1:
            return step


def _digits(number: int, words: Sequence[str], length: int) -> list[str]:
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(words))
        digits.append(words[digit])
    return digits
