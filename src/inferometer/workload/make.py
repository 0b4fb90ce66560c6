"""Data sets made to measure: as many prompts as are wanted, whose lengths have the moments that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from inferometer.errors import UsageError
from inferometer.spec import RunSpec, derive_seed
from inferometer.spec.lengths import MOST_TOKENS, Dist, LengthPlan
from inferometer.workload.exact import make_maker
from inferometer.workload.lengths import clipped_normal, draw_pairs, spread_evenly
from inferometer.workload.prefix import Prefixes
from inferometer.workload.random_text import RandomDataset
from inferometer.workload.request import Request, Tokenizer


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, deviation and limits of lengths, in tokens."""

    mean: float
    std: float
    least: float
    most: float


# What the Ascend guide's generate_dataset.py takes where nothing is said.
GUIDE_INPUT = Moments(1800, 500, 100, 3600)
GUIDE_OUTPUT = Moments(160, 30, 40, 256)


def plan_by_moments(inputs: Moments, outputs: Moments) -> LengthPlan:
    """Lengths that are normal, clipped to their limits, and have the moments asked for after that.

    Raises:
        UsageError: moments that no lengths within these limits have; see ``lengths.clipped_normal``.
    """
    return LengthPlan(_side("input", inputs), _side("output", outputs))


def _side(name: str, asked: Moments) -> Dist:
    for word, length in (("min", asked.least), ("max", asked.most)):
        if not 1 <= length <= MOST_TOKENS or length != int(length):
            raise UsageError(
                f"--{word}-{name} {length:g} is no whole number of tokens from 1 to {MOST_TOKENS}",
                "correct it",
            )
    return clipped_normal(name, asked.mean, asked.std, int(asked.least), int(asked.most))


def settled(plan: LengthPlan, count: int, seed: int) -> LengthPlan:
    """The plan with its lengths drawn, each so often as its distribution says, however few they are."""
    if plan.pairs:
        return replace(plan, pairs=tuple(islice(draw_pairs(plan, seed), count)), in_order=True)
    first, second = (
        np.random.default_rng(derive_seed(seed, concern)) for concern in ("input lengths", "output lengths")
    )
    inputs = spread_evenly(plan.input, first, count).tolist()
    outputs = spread_evenly(plan.output, second, count).tolist()
    return replace(plan, pairs=tuple(zip(inputs, outputs, strict=True)), in_order=True)


def make(spec: RunSpec, plan: LengthPlan, tokenizer: Tokenizer) -> Iterator[Request]:
    """Prompts of the lengths of ``plan``, without end.

    Args:
        spec: ``workload.text``, ``prefix`` and ``load.seed`` say the rest.
        plan: its pairs are used in order where it says so.
        tokenizer: decides what a token is.

    Raises:
        UsageError: a prefix that leaves nothing of the shortest prompt.
        DataError: the tokenizer does not suit the text.
    """
    if spec.prefix.prefix_len >= plan.shortest_input and spec.prefix.prefix_len:
        raise UsageError(
            f"--prefix-len {spec.prefix.prefix_len} leaves nothing of a prompt of {plan.shortest_input} tokens, of "
            "which it is a part",
            "lower it, or make the shortest prompt longer",
        )
    maker = make_maker(tokenizer, spec.workload.text)
    prefixes = Prefixes(spec.prefix, maker) if spec.prefix.prefix_len else None
    return RandomDataset(tokenizer, plan, maker, prefixes).requests(spec.load.seed, "made")


def moments(lengths: Iterable[int]) -> Moments:
    """Of lengths that were made; of none, all are 0."""
    values = np.fromiter(lengths, dtype=float)
    if not len(values):
        return Moments(0, 0, 0, 0)
    return Moments(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


def miscounted(texts: Sequence[str], lengths: Sequence[int], tokenizer: Tokenizer) -> int:
    """How many texts do not have their length, when they are counted as a whole."""
    return sum(tokenizer.count(text) != length for text, length in zip(texts, lengths, strict=True))
