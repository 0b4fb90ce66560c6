"""Data set ``random``: endless prompts of an exact token count that share no prefix by accident."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from inferometer.errors import UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.spec.lengths import Fixed, LengthPlan, length_plan
from inferometer.workload.exact import HEAD_BITS, BlankMaker, Maker, make_maker
from inferometer.workload.lengths import draw_pairs, mean_input
from inferometer.workload.prefix import Prefixes, generator
from inferometer.workload.request import DatasetInfo, Request, Tokenizer


class RandomDataset:
    """Prompts of exactly as many tokens as their plan says, as the tokenizer counts.

    Each prompt has a running number, scrambled by seed and salt, and begins with it (after its shared prefix, if
    it has one): see ``exact.Maker``. So within one load point any W prompts in a row differ in their first token,
    any W*W in their first two, and all of a run in their first few; prompts of two load points agree in their
    first k tokens only with a chance of 1/W**k.

    Args:
        tokenizer: decides what a token is.
        plan: lengths of prompts and answers; they follow from the seed alone, whatever text and salt are.
        maker: makes the prompts; None = of words.
        prefixes: what prompts share; part of their length.

    Raises:
        DataError: the tokenizer does not suit the text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        plan: LengthPlan,
        maker: Maker | None = None,
        prefixes: Prefixes | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._plan = plan
        self._maker = maker or make_maker(tokenizer, "words")
        self._prefixes = prefixes

    def info(self) -> DatasetInfo:
        """Identity; a generated data set has neither path nor number of rows."""
        notes = list(self._plan.notes)
        if not self._tokenizer.exact:
            notes.append("prompt lengths are estimates of the builtin tokenizer")
        shortest = self._plan.shortest_input - (self._prefixes.tokens if self._prefixes else 0)
        heads = self._maker.symbols ** min(shortest, self._maker.head_len)
        if heads < 1 << HEAD_BITS:
            notes.append(f"prompts of {self._plan.shortest_input} tokens repeat after {heads} requests")
        return DatasetInfo(
            name="random",
            tokenizer=self._tokenizer.name,
            tokenizer_exact=self._tokenizer.exact,
            expected_hit_share=self._prefixes.hit_share(mean_input(self._plan)) if self._prefixes else None,
            notes=notes,
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Endless prompts, the same for the same ``seed`` and ``salt``.

        Raises:
            DataError: no prompt of the right length was found.
        """
        maker, below = self._maker, self._maker.numbers
        rng = generator(seed, salt)
        number = int(rng.integers(below))
        step = _coprime(rng, maker.symbols, below)
        leads = self._prefixes.leads(seed, salt) if self._prefixes else []
        groups = self._prefixes.groups(seed) if self._prefixes else None
        for input_tokens, output_tokens in draw_pairs(self._plan, seed):
            group = None if groups is None else next(groups)
            prompt = maker.prompt(number, input_tokens, rng, None if group is None else leads[group])
            yield Request(
                text=prompt if isinstance(prompt, str) else None,
                token_ids=prompt if isinstance(prompt, list) else None,
                input_tokens_target=input_tokens,
                input_tokens_counted=input_tokens,
                output_tokens_target=output_tokens,
                group=group,
            )
            number = (number + step) % below


def open_random(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> RandomDataset:
    """The data set ``random`` for one load point.

    Raises:
        UsageError: a path was given, or lengths that cannot be.
        DataError: see RandomDataset and ``spec.lengths``.
    """
    workload = spec.workload
    if workload.dataset_path is not None:
        raise UsageError(
            f"data set 'random' is generated and reads no file, but --dataset-path {workload.dataset_path} was given",
            "leave it out, or choose --dataset sharegpt or openqa",
        )
    maker = BlankMaker() if spec.simulation.wanted else make_maker(tokenizer, workload.text)
    prefixes = Prefixes(spec.prefix, maker) if spec.prefix.prefix_len else None
    return RandomDataset(tokenizer, length_plan(workload, point.input_len, point.output_len), maker, prefixes)


def fixed_lengths(input_len: int, output_len: int) -> LengthPlan:
    """All prompts and all answers of one length."""
    return LengthPlan(Fixed(input_len), Fixed(output_len))


def _coprime(rng: np.random.Generator, base: int, below: int) -> int:
    """A step that walks through all numbers below a power of ``base`` before it repeats."""
    while True:
        step = int(rng.integers(1, below))
        if math.gcd(step, base) == 1:
            return step
