"""Bundled prose, cut where tokens do not depend on what stands beside them."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from inferometer.errors import UsageError
from inferometer.workload.request import Tokenizer

KINDS = ("english", "chinese", "mixed")
_DATA = Path(__file__).parent / "data"
_SAMPLES = 16
_SAMPLE_CUTS = 40
_LEAST_CUTS = _SAMPLE_CUTS * (_SAMPLES + 1)


@runtime_checkable
class HasStarts(Protocol):
    """A tokenizer that can say where its tokens begin."""

    def starts(self, text: str) -> list[int]:
        """Character at which each token of ``text`` begins, in order."""
        ...


@cache
def corpus(kind: str) -> str:
    """The text of ``english``, ``chinese`` or ``mixed`` (paragraphs of both in turn); see data/NOTICE."""
    if kind == "mixed":
        both = (corpus("english").split("\n"), corpus("chinese").split("\n"))
        return "\n".join(chain.from_iterable(zip_longest(*both, fillvalue="")))
    if kind not in KINDS:
        raise UsageError(f"there is no text {kind!r}", f"choose one of {', '.join(KINDS)}")
    return (_DATA / f"{kind}.txt").read_text("utf-8").strip()


@dataclass(frozen=True)
class Passages:
    """A text with the places where it may be cut.

    A cut is a place where every tokenizer begins a new token whatever stands there: between a letter and a space
    that another letter follows, or between a Chinese character and the punctuation after it. Text between two cuts
    therefore has the same tokens wherever it is put, as long as it follows a letter.

    Attributes:
        text: all of it.
        starts: character where each token begins; the end of the text is the last entry.
        cuts: numbers of the tokens that begin at a cut, ascending.
        chars: character of each cut.
        additive: the tokenizer was seen to count parts between cuts as their sum; else counts are estimates.
    """

    text: str
    starts: list[int]
    cuts: list[int]
    chars: list[int]
    additive: bool

    def before(self, token: int) -> int:
        """The last cut (its place in ``cuts``) that is not after ``token``."""
        return max(0, bisect_right(self.cuts, token) - 1)

    def between(self, first: int, last: int) -> str:
        """Text from one cut to another, by their places in ``cuts``."""
        return self.text[self.chars[first] : self.chars[last]]


_SEEN: WeakKeyDictionary[Tokenizer, dict[str, Passages]] = WeakKeyDictionary()


def passages(tokenizer: Tokenizer, kind: str) -> Passages:
    """The corpus as ``tokenizer`` sees it; encoding it takes some tenths of a second, once for each tokenizer."""
    seen = _SEEN.setdefault(tokenizer, {})
    if kind not in seen:
        seen[kind] = _encoded(tokenizer, kind)
    return seen[kind]


def _encoded(tokenizer: Tokenizer, kind: str) -> Passages:
    text = corpus(kind)
    if isinstance(tokenizer, HasStarts):
        starts = tokenizer.starts(text)
        found = Passages(text, [*starts, len(text)], *_cuts(text, starts, exact=True), additive=False)
        if len(found.cuts) >= _LEAST_CUTS:
            return replace(found, additive=_adds_up(found, tokenizer))
    total = tokenizer.count(text)
    starts = [at * len(text) // total for at in range(total)]
    return Passages(text, [*starts, len(text)], *_cuts(text, starts, exact=False), additive=False)


def _cuts(text: str, starts: list[int], *, exact: bool) -> tuple[list[int], list[int]]:
    """Tokens that begin at a cut, with its character; without exact starts, the token that is nearest."""
    cuts: list[int] = []
    chars: list[int] = []
    if exact:
        for token, start in enumerate(starts):
            # Some tokenizers leave the space before a word out of its token.
            char = start - 1 if start and text[start - 1] == " " else start
            if _may_cut(text, char) and (not chars or chars[-1] < char):
                cuts.append(token)
                chars.append(char)
        return cuts, chars
    for char in range(1, len(text) - 1):
        if _may_cut(text, char):
            cuts.append(bisect_right(starts, char) - 1)
            chars.append(char)
    return cuts, chars


def _may_cut(text: str, char: int) -> bool:
    if not 0 < char < len(text) - 1:
        return False
    left, here, right = text[char - 1], text[char], text[char + 1]
    if here == " ":
        return right.isascii() and right.isalpha() and left.isalpha()
    return is_cjk(left) and here in "，。：；？！、" and is_cjk(right)


def is_cjk(sign: str) -> bool:
    """Whether it is a Chinese character."""
    return unicodedata.category(sign) == "Lo" and "\u3400" <= sign <= "\U0003ffff"


def _adds_up(found: Passages, tokenizer: Tokenizer) -> bool:
    """Whether parts of the text, joined in another order, have the tokens that they had in place."""
    span = len(found.cuts) // (_SAMPLES + 1)
    firsts = [span * (at + 1) % (len(found.cuts) - _SAMPLE_CUTS) for at in range(_SAMPLES)]
    firsts = [*firsts[1::2], *firsts[::2]]
    joined = "".join(found.between(first, first + _SAMPLE_CUTS) for first in firsts)
    tokens = [found.cuts[first + _SAMPLE_CUTS] - found.cuts[first] for first in firsts]
    alone = [tokenizer.count("a" + found.between(first, first + _SAMPLE_CUTS)) for first in firsts]
    return tokenizer.count("a" + joined) == sum(tokens) + 1 and alone == [count + 1 for count in tokens]
