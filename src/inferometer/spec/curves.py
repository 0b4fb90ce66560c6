"""How a rate, or a number of requests in flight, goes over time: pieces in closed form, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

Form = Literal["linear", "exponential", "hyperbolic"]
_ROUNDING = 1e-9


class Piece(NamedTuple):
    """A part of a curve: from one level to another in ``length_s`` seconds, which may be infinite if they are equal.

    Attributes:
        length_s: how long it lasts.
        begin: level at its start.
        end: level at its end.
        form: the level (linear), its logarithm (exponential) or its reciprocal (hyperbolic) is linear in time.
    """

    length_s: float
    begin: float
    end: float
    form: Form = "linear"

    @property
    def flat(self) -> bool:
        """Whether its ends are the same, but for rounding."""
        return abs(self.end - self.begin) <= _ROUNDING * self.end

    def level(self, at_s: float) -> float:
        """The level ``at_s`` seconds after its start."""
        if self.flat:
            return self.begin
        share = at_s / self.length_s
        if self.form == "exponential":
            return self.begin * math.exp(share * math.log(self.end / self.begin))
        if self.form == "hyperbolic":
            return 1.0 / ((1.0 - share) / self.begin + share / self.end)
        return self.begin + (self.end - self.begin) * share

    def area(self, at_s: float) -> float:
        """The integral of the level from its start to ``at_s``: with a rate, the expected number of arrivals."""
        if self.flat:
            return self.begin * at_s
        if self.form == "exponential":
            growth = math.log(self.end / self.begin) / self.length_s
            return self.begin * math.expm1(growth * at_s) / growth
        if self.form == "hyperbolic":
            fall = (1.0 / self.begin - 1.0 / self.end) / self.length_s
            return -math.log1p(-self.begin * fall * at_s) / fall
        return self.begin * at_s + (self.end - self.begin) * at_s * at_s / (2.0 * self.length_s)

    def time_of_area(self, area: float) -> float:
        """When the integral reaches ``area``; the inverse of ``area``."""
        if self.flat:
            return area / self.begin
        if self.form == "exponential":
            growth = math.log(self.end / self.begin) / self.length_s
            return math.log1p(area * growth / self.begin) / growth
        if self.form == "hyperbolic":
            fall = (1.0 / self.begin - 1.0 / self.end) / self.length_s
            return -math.expm1(-fall * area) / (self.begin * fall)
        slope = (self.end - self.begin) / self.length_s
        # The usual root of the quadratic, turned round so that a flat or rising start loses no digits.
        root = math.sqrt(max(0.0, self.begin * self.begin + 2.0 * slope * area))
        return 2.0 * area / (self.begin + root) if area else 0.0

    def time_of_level(self, level: float) -> float:
        """When a piece whose ends differ passes ``level``, which lies between them."""
        if self.form == "exponential":
            return self.length_s * math.log(level / self.begin) / math.log(self.end / self.begin)
        if self.form == "hyperbolic":
            return self.length_s * (1.0 / self.begin - 1.0 / level) / (1.0 / self.begin - 1.0 / self.end)
        return self.length_s * (level - self.begin) / (self.end - self.begin)


class Curve:
    """Pieces one after the other; the last one lasts for ever.

    Args:
        pieces: at least one; all but the last are finite and longer than 0.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        if not math.isinf(pieces[-1].length_s):
            raise ValueError("the last piece of a curve has no end")
        self.pieces = tuple(pieces)

    @property
    def end_s(self) -> float:
        """From when on the level stays as it is."""
        return sum(piece.length_s for piece in self.pieces[:-1])

    @property
    def last(self) -> float:
        """The level from then on."""
        return self.pieces[-1].end

    @property
    def peak(self) -> float:
        """The highest level."""
        return max(max(piece.begin, piece.end) for piece in self.pieces)

    def level(self, at_s: float) -> float:
        """The level at a time; where pieces meet at different levels, that of the later one."""
        for piece in self.pieces[:-1]:
            if at_s < piece.length_s:
                return piece.level(at_s)
            at_s -= piece.length_s
        return self.last

    def area(self, at_s: float) -> float:
        """The integral of the level from 0 to ``at_s``."""
        total = 0.0
        for piece in self.pieces:
            if at_s <= piece.length_s:
                return total + piece.area(at_s)
            total += piece.area(piece.length_s)
            at_s -= piece.length_s
        raise AssertionError("the last piece has no end")

    def times_of(self, areas: Iterable[float]) -> Iterator[float]:
        """When the integral reaches each of ``areas``, which do not decrease: arrivals drawn in operational time.

        Time-rescaling: a process of mean rate 1, mapped through the inverse of the integrated rate, has that rate, and
        keeps the form of its gaps (Poisson stays Poisson; Cinlar, Introduction to Stochastic Processes, 4.7).
        """
        at_s, before, place = 0.0, 0.0, 0
        piece = self.pieces[0]
        whole = piece.area(piece.length_s) if len(self.pieces) > 1 else math.inf
        for area in areas:
            while area - before > whole:
                at_s, before, place = at_s + piece.length_s, before + whole, place + 1
                piece = self.pieces[place]
                whole = piece.area(piece.length_s) if place + 1 < len(self.pieces) else math.inf
            yield at_s + piece.time_of_area(area - before)

    def time_of(self, area: float) -> float:
        """When the integral reaches ``area``: with a rate, how long so many arrivals take."""
        return next(self.times_of((area,)))

    def raised(self, factor: float, at_s: float, time_s: float) -> Curve:
        """The same curve, ``factor`` times as high from ``at_s`` on for ``time_s``."""
        before, rest = _cut(self.pieces, at_s)
        during, after = _cut(rest, time_s)
        higher = [piece._replace(begin=piece.begin * factor, end=piece.end * factor) for piece in during]
        return Curve([*before, *higher, *after])


def _cut(pieces: Sequence[Piece], at_s: float) -> tuple[list[Piece], list[Piece]]:
    """The pieces before and after a time; one that goes on across it is parted."""
    before: list[Piece] = []
    for place, piece in enumerate(pieces):
        if at_s <= 0:
            return before, list(pieces[place:])
        if at_s >= piece.length_s:
            before.append(piece)
            at_s -= piece.length_s
            continue
        level = piece.level(at_s)
        before.append(piece._replace(length_s=at_s, end=level))
        return before, [
            piece._replace(length_s=piece.length_s - at_s, begin=level),
            *pieces[place + 1 :],
        ]
    return before, []


def level_for_ever(level: float) -> Curve:
    """A curve that never changes."""
    return Curve([Piece(math.inf, level, level)])


def ramp_over_time(form: Literal["linear", "exponential"], begin: float, end: float, time_s: float) -> Curve:
    """From one level to another in a time, then on at the second."""
    return Curve([Piece(time_s, begin, end, form), Piece(math.inf, end, end)])


def ramp_over_arrivals(
    form: Literal["linear", "exponential"], begin: float, end: float, arrivals: float
) -> Curve:
    """From one rate to another over a number of arrivals, linear or exponential in their number, then on.

    The ramp of ``vllm bench serve`` (``--ramp-up-strategy``), whose rate follows the number of the request and not the
    time. What is linear in the number grows exponentially in time (the integral grows as fast as the level), and what
    is exponential in it has a reciprocal that falls linearly.
    """
    if begin == end:
        return level_for_ever(end)
    growth = math.log(end / begin)
    if form == "linear":
        first = Piece(arrivals * growth / (end - begin), begin, end, "exponential")
    else:
        first = Piece(arrivals / growth * (1.0 / begin - 1.0 / end), begin, end, "hyperbolic")
    return Curve([first, Piece(math.inf, end, end)])


def stairs(levels: Sequence[float], lengths_s: Sequence[float]) -> Curve:
    """Level after level, each for its time; the last one for ever."""
    steps = [Piece(length_s, level, level) for level, length_s in zip(levels, lengths_s, strict=False)]
    return Curve([*steps[: len(levels) - 1], Piece(math.inf, levels[-1], levels[-1])])
