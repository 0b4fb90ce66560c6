"""Prompts of exactly so many tokens, told apart by their first ones: words, prose, or bare token ids."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import numpy as np

from inferometer.errors import DataError
from inferometer.workload.corpus import HasStarts, is_cjk, passages
from inferometer.workload.request import Tokenizer
from inferometer.workload.words import WORDS

Prompt = str | list[int]
HEAD_BITS = 36  # distinct heads: far more than one run can send
_LEAST_SYMBOLS = 16
_TRIES = 24
_WHOLE = 512  # tokens: up to here nothing is assumed, and the whole text is counted
_TRIALS = 4
_TRIAL_TOKENS = 1000
_SEAM_CUTS = 4
_MOST_FILLERS = 8
_MOST_HEAD_SIGNS = 1000


class NoSuchLengthError(DataError):
    """No text was found that a tokenizer counts as exactly so many tokens."""


@runtime_checkable
class HasWords(Protocol):
    """A tokenizer that can name its one-token words."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that are one token each, at the start of a text and after a space."""
        ...


@runtime_checkable
class HasPlainIds(Protocol):
    """A tokenizer that has a vocabulary."""

    @property
    def plain_ids(self) -> list[int]:
        """Ids without special tokens."""
        ...


class Maker(ABC):
    """Makes prompts from numbers.

    The head of a prompt is its number, written in base W (W = number of ``symbols``), lowest digit first, so that
    prompts with different numbers differ in their first tokens: any W numbers in a row in the very first one.

    Attributes:
        symbols: how many different signs a head is made of.
        head_len: signs of a whole head; a prompt that is shorter has the first of them.
    """

    symbols: int
    head_len: int

    def _settle(self, symbols: int) -> None:
        self.symbols = symbols
        self.head_len = math.ceil(HEAD_BITS / math.log2(symbols))

    @property
    def numbers(self) -> int:
        """How many numbers there are; a larger one stands for its remainder."""
        return int(self.symbols**self.head_len)

    @abstractmethod
    def prompt(
        self, number: int, tokens: int, rng: np.random.Generator, lead: Prompt | None = None
    ) -> Prompt:
        """A prompt of exactly ``tokens`` tokens.

        Args:
            number: tells it from others.
            tokens: of all of it, the lead included.
            rng: draws what comes after the head.
            lead: what it begins with, from ``lead``.

        Raises:
            DataError: no prompt of this length was found.
        """

    @abstractmethod
    def lead(self, number: int, tokens: int, rng: np.random.Generator) -> Prompt:
        """A shared beginning of exactly ``tokens`` tokens, for prompts and for other text."""

    def _digits(self, number: int, length: int) -> list[int]:
        digits: list[int] = []
        for _ in range(length):
            number, digit = divmod(number, self.symbols)
            digits.append(digit)
        return digits


class BlankMaker(Maker):
    """Prompts without text, for those who look at lengths alone: a simulated service reads none."""

    def __init__(self) -> None:
        self._settle(1 << HEAD_BITS)

    def prompt(self, number: int, tokens: int, rng: np.random.Generator, lead: Prompt | None = None) -> str:
        """Nothing; see Maker."""
        return ""

    def lead(self, number: int, tokens: int, rng: np.random.Generator) -> str:
        """Nothing; see Maker."""
        return ""


class IdMaker(Maker):
    """Random token ids: for servers that take ids. They are no text that anyone would write.

    Raises:
        DataError: the tokenizer has no vocabulary.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not isinstance(tokenizer, HasPlainIds) or len(tokenizer.plain_ids) < _LEAST_SYMBOLS:
            raise DataError(
                f"tokenizer {tokenizer.name} has no vocabulary to draw token ids from",
                "give the model's own: --tokenizer PATH/tokenizer.json",
            )
        self._ids = np.array(tokenizer.plain_ids)
        self._settle(len(self._ids))

    def prompt(
        self, number: int, tokens: int, rng: np.random.Generator, lead: Prompt | None = None
    ) -> list[int]:
        """Ids; see Maker."""
        before = lead if isinstance(lead, list) else []
        digits = self._digits(number, min(self.head_len, tokens - len(before)))
        rest = rng.integers(self.symbols, size=tokens - len(before) - len(digits))
        return [*before, *self._ids[[*digits, *rest.tolist()]].tolist()]

    def lead(self, number: int, tokens: int, rng: np.random.Generator) -> list[int]:
        """Ids; see Maker."""
        return self.prompt(number, tokens, rng)


class TextMaker(Maker):
    """Text, counted with the tokenizer and mended until it is exact.

    Short texts are counted as a whole. Of long ones only the seams are, because what is between them was counted
    once, with the corpus: that this comes out is tried beforehand with whole texts, and where it does not (a
    tokenizer that joins words), every text is counted as a whole.

    Args:
        tokenizer: decides what a token is.
        kind: ``words`` (random English words) or a kind of ``corpus``.

    Raises:
        DataError: the tokenizer has too few one-token words.
    """

    def __init__(self, tokenizer: Tokenizer, kind: str) -> None:
        self._tokenizer = tokenizer
        self._words = tokenizer.words if isinstance(tokenizer, HasWords) else WORDS
        if len(self._words) < _LEAST_SYMBOLS:
            raise DataError(
                f"tokenizer {tokenizer.name} has {len(self._words)} one-token English words, and random text "
                f"needs {_LEAST_SYMBOLS}",
                "use --tokenizer builtin, or a file data set",
            )
        self._passages = None if kind == "words" else passages(tokenizer, kind)
        self._signs, self._joint = self._words, " "
        # Which characters are one token is asked of each: too much for a tokenizer that sits behind a network.
        signs = _head_signs(tokenizer) if kind == "chinese" and isinstance(tokenizer, HasStarts) else ()
        if len(signs) >= _LEAST_SYMBOLS:
            self._signs, self._joint = signs, ""
        self._lead_tokens: dict[str, int] = {}
        self._settle(len(self._signs))
        self._additive = (self._passages is None or self._passages.additive) and self._parts_add_up()

    def _parts_add_up(self) -> bool:
        """Whether a few long texts that are right by their parts are right as a whole."""
        rng = np.random.default_rng(0)
        for number in range(_TRIALS):
            text = self._by_parts("", self._head(number * number, self.head_len), _TRIAL_TOKENS, rng)
            if text is None or self._tokenizer.count(text) != _TRIAL_TOKENS:
                return False
        return True

    def _head(self, number: int, length: int) -> str:
        return self._joint.join(self._signs[digit] for digit in self._digits(number, length))

    def prompt(self, number: int, tokens: int, rng: np.random.Generator, lead: Prompt | None = None) -> str:
        """Text; see Maker."""
        before = lead if isinstance(lead, str) else ""
        known = self._lead_tokens.get(before) or self._tokenizer.count(before)
        head = self._head(number, min(self.head_len, tokens - known))
        if self._additive and tokens > _WHOLE:
            text = self._by_parts(before, head, tokens - known, rng)
            if text is not None:
                return text
        return self._by_count(before + head, tokens, rng)

    def lead(self, number: int, tokens: int, rng: np.random.Generator) -> str:
        """A paragraph: it ends with a line break, after which any text has its own tokens."""
        text = self._by_count(self._head(number, min(self.head_len, tokens - 1)), tokens, rng, "\n")
        self._lead_tokens[text] = tokens
        return text

    def _by_count(self, head: str, tokens: int, rng: np.random.Generator, end: str = "") -> str:
        """Text after ``head``, drawn anew or made longer and shorter until the tokenizer counts what is asked."""
        fixed = self._tokenizer.count(head + end)
        counted = fixed
        for attempt in range(_TRIES):
            if attempt % 6 == 0:  # the place before has no such length: another one
                start, wanted = int(rng.integers(1 << 40)), max(0, tokens - fixed)
            text = head + self._body(start, wanted) + end
            counted = self._tokenizer.count(text)
            if counted == tokens:
                return text
            if attempt % 6 > 2 and 0 < tokens - counted <= _MOST_FILLERS:
                # A character can be several tokens, so that prose alone does not come to every length.
                filled = head + self._body(start, wanted) + self._fillers(rng, tokens - counted) + end
                if self._tokenizer.count(filled) == tokens:
                    return filled
            right = round(wanted * (tokens - fixed) / max(1, counted - fixed))
            wanted = max(0, right if right != wanted else wanted + (1 if counted < tokens else -1))
        raise NoSuchLengthError(
            f"no random prompt of exactly {tokens} tokens in {_TRIES} tries with tokenizer "
            f"{self._tokenizer.name} (the last one had {counted})",
            "use a longer --input-len, or --tokenizer builtin",
        )

    def _body(self, start: int, tokens: int) -> str:
        """About so many tokens, from a place that ``start`` decides; of a smaller number, the beginning."""
        if self._passages is None:
            return self._fillers(np.random.default_rng(start), tokens)
        return self._prose(start % len(self._passages.cuts), tokens)

    def _prose(self, first: int, tokens: int) -> str:
        """Text from a cut on, round and round; its end need not be a cut."""
        found = self._passages
        assert found is not None
        parts: list[str] = []
        last = len(found.cuts) - 1
        while tokens > found.cuts[last] - found.cuts[first]:
            parts.append(found.between(first, last))
            tokens -= found.cuts[last] - found.cuts[first]
            first = 0
        end = found.cuts[first] + tokens
        char = found.starts[end]
        if char > found.chars[first]:
            trimmed = char - 1 if found.text[char - 1] == " " else char  # the space belongs to what follows
            parts.append(found.text[found.chars[first] : trimmed])
        return "".join(parts)

    def _by_parts(self, before: str, head: str, tokens: int, rng: np.random.Generator) -> str | None:
        """Text whose seams alone are counted; None where they do not come out."""
        count = self._tokenizer.count
        opening = "\n" if before else ""  # what a lead ends with
        found = self._passages
        if found is None:
            (first,) = self._draw(rng, 1)
            shift = count(f"{opening}{head} {first}") - count(opening)
            return f"{before}{head} {first}{self._fillers(rng, tokens - shift)}"
        first_cut = int(rng.integers(len(found.cuts) - _SEAM_CUTS))
        seam = found.between(first_cut, first_cut + _SEAM_CUTS)
        inside = found.cuts[first_cut + _SEAM_CUTS] - found.cuts[first_cut]
        wanted = tokens - (count(opening + head + seam) - count(opening) - inside)
        last, lap = len(found.cuts) - 1, found.cuts[-1] - found.cuts[0]
        left = wanted - (found.cuts[last] - found.cuts[first_cut])
        end = found.cuts[first_cut] + wanted if left <= 0 else found.cuts[0] + (left - 1) % lap + 1
        cut = found.before(end)
        anchor = max(0, cut - _SEAM_CUTS)
        lead_in = "a" + found.between(anchor, cut)
        short = end - found.cuts[cut]
        for filler in range(short + 1):
            tail = self._tail(cut, short - filler) + self._fillers(rng, filler)
            if count(lead_in + tail) == 1 + end - found.cuts[anchor]:
                return before + head + self._prose(first_cut, wanted - short) + tail
        return None

    def _tail(self, cut: int, tokens: int) -> str:
        found = self._passages
        assert found is not None
        if not tokens:
            return ""
        char = found.starts[found.cuts[cut] + tokens]
        return found.text[found.chars[cut] : char].removesuffix(" ")

    def _fillers(self, rng: np.random.Generator, count: int) -> str:
        return "".join(f" {word}" for word in self._draw(rng, count))

    def _draw(self, rng: np.random.Generator, count: int) -> list[str]:
        return [self._words[place] for place in rng.integers(len(self._words), size=count).tolist()]


def _head_signs(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Chinese characters that are one token each, in the order in which the corpus first has them."""
    signs = [sign for sign in dict.fromkeys(passages(tokenizer, "chinese").text) if is_cjk(sign)]
    return tuple(sign for sign in signs[:_MOST_HEAD_SIGNS] if tokenizer.count(sign) == 1)


def make_maker(tokenizer: Tokenizer, kind: str) -> Maker:
    """The maker of ``--text``.

    Raises:
        DataError: the tokenizer does not suit it.
    """
    return IdMaker(tokenizer) if kind == "token-ids" else TextMaker(tokenizer, kind)
