"""Conversations of several turns: made of random prompts, and the time that a user thinks between turns."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from inferometer.spec import derive_seed
from inferometer.spec.session_rules import ThinkTime
from inferometer.workload.request import Dataset, DatasetInfo, Request, Turn


class MadeSessions:
    """Gives each prompt of a generated data set later turns, which are prompts of another.

    All answers of a session are to be as long as its first.

    Args:
        first: makes the first turns.
        later: makes what the user says in the later ones; endless.
        turns: of each session, at least 2.
    """

    def __init__(self, first: Dataset, later: Dataset, turns: int) -> None:
        self._first = first
        self._later = later
        self._turns = turns

    def info(self) -> DatasetInfo:
        """That of the first turns."""
        info = self._first.info()
        return msgspec.structs.replace(info, notes=[*info.notes, f"sessions of {self._turns} turns"])

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Sessions, the same for the same ``seed`` and ``salt``."""
        prompts = self._later.requests(derive_seed(seed, "turns"), salt)
        for request in self._first.requests(seed, salt):
            later = []
            for _ in range(self._turns - 1):
                prompt = next(prompts)
                turn = Turn(
                    content=prompt.text or "",
                    input_tokens_target=prompt.input_tokens_target,
                    output_tokens_target=request.output_tokens_target,
                )
                later.append(turn)
            yield msgspec.structs.replace(request, later=later)


class PacedSessions:
    """Bounds the turns of a data set's sessions, and draws the time before each later one.

    Args:
        dataset: gives the sessions.
        turns: at most so many of each; 0 = all.
        think: how long a user takes; None = as the data set says.
    """

    def __init__(self, dataset: Dataset, turns: int, think: ThinkTime | None) -> None:
        self._dataset = dataset
        self._turns = turns
        self._think = think

    def info(self) -> DatasetInfo:
        """That of the data set."""
        return self._dataset.info()

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """The data set's sessions; times have a seed of their own, so that they change nothing else."""
        draw = random.Random(derive_seed(seed, "think"))  # noqa: S311 - think times, not secrets
        for request in self._dataset.requests(seed, salt):
            later = request.later[: self._turns - 1] if self._turns else request.later
            if self._think is not None:
                later = [msgspec.structs.replace(turn, think_s=_drawn_s(self._think, draw)) for turn in later]
            yield msgspec.structs.replace(request, later=later)


def _drawn_s(think: ThinkTime, draw: random.Random) -> float:
    if think.kind == "fixed":
        return think.low_s
    if think.kind == "uniform":
        return draw.uniform(think.low_s, think.high_s)
    return draw.expovariate(1.0 / think.low_s) if think.low_s else 0.0
