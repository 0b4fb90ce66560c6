"""What a data set holds: lengths, languages, duplicates, and how much of it a prefix cache could serve."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from inferometer.workload.corpus import is_cjk
from inferometer.workload.request import Tokenizer
from inferometer.workload.samples import Sample

PERCENTILES = (0, 25, 50, 75, 90, 99, 100)
_LOOKED_AT = 400  # characters, for the language
_MOST_CJK, _SOME_CJK = 0.3, 0.05  # of the letters; a Chinese sentence says as much in a third of the letters
_ASCII_LETTERS = 0.9
_BAR = 40
_BINS = 12


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        rows: usable ones.
        inputs: percentiles of prompt tokens, in the order of ``PERCENTILES``.
        outputs: of answers; empty when no row says.
        mean_input: tokens.
        languages: rows by language, the most frequent first.
        duplicates: rows whose prompt an earlier row has, word for word.
        shared: share of the prompt tokens that an endless prefix cache would serve, if all were sent one by one.
        bins: lower end and rows of each bin of prompt tokens.
    """

    rows: int
    inputs: tuple[float, ...]
    outputs: tuple[float, ...]
    mean_input: float
    languages: dict[str, int]
    duplicates: int
    shared: float
    bins: tuple[tuple[int, int], ...]


def inspect(found: Iterable[Sample], tokenizer: Tokenizer) -> Inspection:
    """Look at every sample; keeps their token ids, 4 bytes each, in memory."""
    ids: list[bytes] = []
    outputs: list[int] = []
    languages: Counter[str] = Counter()
    seen: set[bytes] = set()
    rows = 0
    for sample in found:
        rows += 1
        ids.append(np.array(tokenizer.encode(sample.prompt), dtype=">u4").tobytes())
        languages[language(sample.prompt)] += 1
        seen.add(blake2b(sample.prompt.encode("utf-8", "surrogatepass"), digest_size=16).digest())
        if sample.output_tokens is not None:
            outputs.append(sample.output_tokens)
    lengths = [len(each) // 4 for each in ids]
    return Inspection(
        rows=rows,
        inputs=_percentiles(lengths),
        outputs=_percentiles(outputs),
        mean_input=sum(lengths) / max(1, rows),
        languages=dict(languages.most_common()),
        duplicates=rows - len(seen),
        shared=shared_share(ids),
        bins=_bins(lengths),
    )


def shared_share(ids: Sequence[bytes]) -> float:
    """Share of all tokens that stand in a beginning which another prompt has too, less its first occurrence.

    An endless cache with blocks of one token misses each different beginning once, in whatever order the prompts
    come. There are as many of those as tokens, less those that a prompt has in common with the one before it when
    all are sorted.

    Args:
        ids: of each prompt, as big-endian 32-bit numbers.
    """
    ordered = sorted(ids)
    total = sum(len(each) for each in ordered) // 4
    shared = sum(_common(one, other) for one, other in pairwise(ordered))
    return shared / total if total else 0.0


def _common(one: bytes, other: bytes) -> int:
    length = min(len(one), len(other)) // 4
    first, second = (np.frombuffer(each, dtype=">u4", count=length) for each in (one, other))
    different = np.flatnonzero(first != second)
    return int(different[0]) if len(different) else length


def language(text: str) -> str:
    """``chinese``, ``mixed``, ``english`` (Latin letters without accents, code too) or ``other``, by its letters."""
    letters = [sign for sign in text[:_LOOKED_AT] if unicodedata.category(sign).startswith("L")]
    if not letters:
        return "other"
    share = sum(map(is_cjk, letters)) / len(letters)
    if share > _MOST_CJK:
        return "chinese"
    if share > _SOME_CJK:
        return "mixed"
    return "english" if sum(map(str.isascii, letters)) / len(letters) > _ASCII_LETTERS else "other"


def _percentiles(lengths: Sequence[int]) -> tuple[float, ...]:
    return tuple(np.percentile(lengths, PERCENTILES).tolist()) if lengths else ()


def _bins(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    if not lengths:
        return ()
    low, high = min(lengths), max(lengths) + 1
    counted, edges = np.histogram(lengths, bins=min(_BINS, high - low), range=(low, high))
    return tuple((int(np.ceil(edge)), int(number)) for edge, number in zip(edges, counted, strict=False))


def inspection_lines(found: Inspection, tokenizer: Tokenizer) -> Iterator[str]:
    """The findings as text, a line at a time."""
    estimated = "" if tokenizer.exact else ", estimated"
    yield f"rows        {found.rows:,}"
    names = (
        "  ".join(f"{f'p{p}':>8}" for p in PERCENTILES)
        .replace("      p0", "     min")
        .replace("p100", " max")
    )
    yield f"tokens      {names}   (tokenizer {tokenizer.name}{estimated})"
    for name, values in (("prompts", found.inputs), ("answers", found.outputs)):
        if values:
            yield f"  {name:<10}" + "  ".join(f"{value:>8,.0f}" for value in values)
    yield f"mean prompt {found.mean_input:,.1f} tokens"
    yield "languages   " + ", ".join(f"{name} {number:,}" for name, number in found.languages.items())
    yield f"duplicates  {found.duplicates:,} prompts that an earlier row has word for word"
    yield f"prefixes    {found.shared * 100:.1f} % of prompt tokens could come from an endless prefix cache"
    most = max((number for _, number in found.bins), default=0)
    if most:
        yield "prompts by tokens, from"
    for low, number in found.bins:
        yield f"  {low:>9,} {'#' * round(_BAR * number / most):<{_BAR}} {number:,}"
