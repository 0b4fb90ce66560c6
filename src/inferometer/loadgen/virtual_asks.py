"""From the requests of a load point to what a simulated service is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inferometer.errors import UsageError
from inferometer.loadgen.plan import counted_tokens, prompt_text
from inferometer.loadgen.virtual_names import BlockNames
from inferometer.simulator.cluster.service import Ask, Later, Service
from inferometer.spec import LoadPoint, RunSpec, resolve_ignore_eos
from inferometer.workload import Request, Tokenizer, Turn
from inferometer.workload.conversation import text_of


class Asked(NamedTuple):
    """One request, or session, as records tell of it; ``row`` to ``input_tokens_target`` as in its ``Request``.

    Attributes:
        first_index: of its first turn, in the load point.
        prompt_tokens: of its first turn, as a run would count them.
        answers: tokens that each turn asks for at most, and those that its answer has.
    """

    row: int | None
    session: str | None
    model: str | None
    input_tokens_target: int | None
    first_index: int
    prompt_tokens: int
    answers: tuple[tuple[int, int], ...]


class Asking:
    """Turns requests into asks, in the order in which they are drawn, and keeps what records need of them.

    How long an answer is, is known where the engine is told to fill its length (``ignore_eos``). Else it is taken to be
    as long as the one that the data set has for it, but no longer than ``--max-tokens``; where the data set has none,
    it is as long as it may be.

    Args:
        spec: what was asked for.
        point: the load point.
        tokenizer: counts prompts.
        service: the simulated service; whether and how it caches prefixes.

    Attributes:
        asked: what was drawn so far, by number in the order of the schedule.
    """

    def __init__(self, spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer, service: Service) -> None:
        self.asked: list[Asked] = []
        self._tokenizer = tokenizer
        sampling = spec.sampling
        self._limit = sampling.max_tokens or (point.output_len if spec.workload.range_ratio is None else None)
        self._least = sampling.min_tokens or 1
        self._fills = resolve_ignore_eos(spec)
        self._names = _names(spec, tokenizer, service)
        self._converses = spec.sessions.wanted and point.kind != "warmup"
        self._next = 0

    def asks(self, requests: Iterator[Request]) -> Iterator[Ask]:
        """What the service is asked, one by one.

        Raises:
            UsageError: nobody knows how long an answer would be.
        """
        for request in requests:
            yield self._ask(request)

    def _ask(self, request: Request) -> Ask:
        text = "" if request.input_tokens_counted is not None and not self._names else prompt_text(request)
        tokens = max(1, counted_tokens(request, text, self._tokenizer))
        first = self._answer(request.output_tokens_target, request.row)
        later = tuple(self._later(turn, request.row) for turn in request.later)
        answers = (first, *(answer for answer, _ in later))
        self.asked.append(
            Asked(
                row=request.row,
                session=request.session or (f"session-{self._next}" if self._converses else None),
                model=request.model,
                input_tokens_target=request.input_tokens_target,
                first_index=self._next,
                prompt_tokens=tokens,
                answers=answers,
            )
        )
        self._next += len(answers)
        return Ask(
            prompt_tokens=tokens,
            output_tokens=first[1],
            names=None if self._names is None else self._names.of(request, text, tokens),
            later=tuple(turn for _, turn in later),
        )

    def _later(self, turn: Turn, row: int | None) -> tuple[tuple[int, int], Later]:
        answer = self._answer(turn.output_tokens_target, row)
        tokens = turn.input_tokens_target
        if tokens is None:
            tokens = self._tokenizer.count(text_of(turn.content))
        return answer, Later(new_tokens=max(1, tokens), output_tokens=answer[1], think_s=turn.think_s)

    def _answer(self, own: int | None, row: int | None) -> tuple[int, int]:
        """Tokens that are asked for, and those that the answer has."""
        most = self._limit or own
        if most is None:
            raise _unknown_length(row)
        if self._fills or own is None:
            return most, most
        return most, max(min(self._least, most), min(own, most))


def _names(spec: RunSpec, tokenizer: Tokenizer, service: Service) -> BlockNames | None:
    """What names blocks, where the service looks for them."""
    caching = [
        each for each in (service.limits, service.prefill_limits) if each is not None and each.prefix_cache
    ]
    if not caching and service.router != "prefix-affinity":
        return None
    limits = caching[0] if caching else service.limits
    return BlockNames(spec.workload.dataset, limits.block_tokens, spec.prefix.prefix_len, tokenizer.encode)


def check_lengths(spec: RunSpec, points: Sequence[LoadPoint], first: Request | None) -> None:
    """Refuse data whose answers have no length, as far as its first request shows.

    Raises:
        UsageError: nobody knows how long an answer would be.
    """
    bounded = spec.sampling.max_tokens or all(point.output_len for point in points)
    if first is not None and first.output_tokens_target is None and not bounded:
        raise _unknown_length(first.row)


def _unknown_length(row: int | None) -> UsageError:
    where = "a request" if row is None else f"row {row} of the data set"
    return UsageError(
        f"{where} does not say how long its answer is, and a simulated one does not end by itself",
        "give --max-tokens N, or --output-len N: every answer is then taken to be as long",
    )


def length_notes(spec: RunSpec, point: LoadPoint, first: Request | None) -> list[str]:
    """What is assumed of the length of answers, for a reader of the numbers."""
    if resolve_ignore_eos(spec) or first is None:
        return []
    limit = spec.sampling.max_tokens or point.output_len
    if first.output_tokens_target is None:
        return [
            f"answers may end by themselves, but each is taken to be as long as it may be, {limit} tokens"
        ]
    cut = "" if limit is None else f", at most {limit} tokens"
    return [f"answers are taken to be as long as those of the data set{cut}"]
