"""Requests for the load points of one run: fresh rows for each, and a count of what could not be fresh."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from inferometer.errors import DataError
from inferometer.spec import LoadPoint
from inferometer.workload.images import IllustratedDataset
from inferometer.workload.request import Dataset, DatasetInfo, Request, Trace


class RowFeed:
    """Hands out requests, load point by load point, so that no point is served from another one's prefix cache.

    One feed lives as long as the run. Each call of ``take`` opens the data set for its load point (kept while
    the lengths stay the same) and prefers rows that this run has not drawn yet; when these are used up, it starts
    again with those whose last use is longest ago, which is the top of the order. A row is known by
    ``Request.row``, so the rule holds across points of different seed and length. Generated data sets
    (``rows_total`` is None) are simply drawn from.

    Args:
        open_point: opens the data set for a load point, e.g.
            ``lambda point: open_dataset(spec, point, tokenizer)``.
        oversample: a point may use a row more than once when the file is too short.
        same: every point of the same seed, lengths and salt draws the same requests in the same order instead.

    Attributes:
        dataset: the data set of the latest ``take``, without pictures; ``info`` after the point has them, too.
        reused: requests of the latest ``take`` whose row, or whose prompt, an earlier point of this run had drawn.
        repeated: requests of the latest ``take`` whose row this point itself had drawn.
        turns: turns of the latest ``take``, a single request being one; None where it was not drawn beforehand.
    """

    def __init__(
        self, open_point: Callable[[LoadPoint], Dataset], oversample: bool = False, same: bool = False
    ) -> None:
        self.dataset: Dataset | None = None
        self.reused = 0
        self.repeated = 0
        self.turns: int | None = None
        self._open_point = open_point
        self._oversample = oversample
        self._same = same
        # Prompts made so far of a seed and a prompt length, where all points draw the same.
        self._made: dict[tuple[int, int | None], int] = {}
        self._lengths: tuple[int | None, int | None] | None = None
        self._drawn: dict[int | None, int] = {}  # row -> running number of its latest draw
        self._draws = 0
        # Rows are kept without their pictures, which would fill the memory; each gets them as it is sent.
        self._illustrated: IllustratedDataset | None = None
        self._with_pictures = 0  # requests of the points before

    def take(self, point: LoadPoint, salt: str) -> Iterator[Request]:
        """Requests for ``point``: ``num_prompts`` of them, or without end when only time bounds it.

        A point with a number is checked, and its rows are drawn, before this returns, so a file that is too
        short fails before the load begins. One without is lazy: its rows repeat when the file ends, and
        ``reused`` and ``repeated`` grow as requests are drawn.

        Args:
            point: the load point; decides number, seed and lengths.
            salt: differs from point to point, see ``Dataset.requests``.

        Raises:
            DataError: the file has no usable row, or fewer than ``num_prompts`` without ``oversample``.
        """
        requests = self._take(point, salt)
        if self._illustrated is None:
            return requests
        start = 0 if self._same else self._with_pictures
        self._with_pictures += point.num_prompts or 0
        return self._illustrated.illustrate(requests, point.seed, salt, start)

    def _take(self, point: LoadPoint, salt: str) -> Iterator[Request]:
        dataset = self._open(point)
        self.reused = self.repeated = 0
        self.turns = None
        if isinstance(dataset, Trace):  # its order is part of it: the same rows in each load point, salted
            self.dataset = dataset.for_point(point)
            return self.dataset.requests(point.seed, salt)
        if dataset.info().rows_total is None:
            made = islice(dataset.requests(point.seed, salt), point.num_prompts)
            return self._counted(made, (point.seed, point.input_len)) if self._same else made
        rows = self._rows(dataset, point.seed, salt)
        if point.num_prompts is None:
            first = next(rows, None)
            if first is None:
                raise self._too_few(dataset, 0, 1)
            return _prepend(first, rows)
        taken = list(islice(rows, point.num_prompts))
        usable = len(taken) - self.repeated
        # What a warm-up repeats is in no number.
        may_repeat = self._oversample or point.kind == "warmup"
        if len(taken) < point.num_prompts or (self.repeated and not may_repeat):
            raise self._too_few(dataset, usable, point.num_prompts)
        self.turns = sum(1 + len(request.later) for request in taken)
        return iter(taken)

    def _counted(self, requests: Iterator[Request], kind: tuple[int, int | None]) -> Iterator[Request]:
        """Generated requests; those that an earlier point has had are counted as they are drawn."""
        known = self._made.get(kind, 0)
        for number, request in enumerate(requests, start=1):
            self.reused += number <= known
            self._made[kind] = max(number, self._made.get(kind, 0))
            yield request

    def draw_again(self, point: LoadPoint, requests: int) -> None:
        """Draw what an earlier sitting of the run has drawn, and send nothing of it.

        Args:
            point: a load point of that sitting.
            requests: how many it sent, for one that only time bounds.

        Raises:
            DataError: as ``take``.
        """
        self._with_pictures += point.num_prompts or 0
        if self.dataset is not None and self.dataset.info().rows_total is None and not self._same:
            return  # generated: nothing is used up
        drawn = self._take(point, salt="")
        if point.num_prompts is None or self._same:
            deque(islice(drawn, requests), maxlen=0)

    def settle(self, point: LoadPoint) -> LoadPoint:
        """The load point with the number of requests that a trace holds for it; others as they are.

        Raises:
            DataError: see ``Dataset``.
        """
        return replace(point, num_prompts=len(self.offsets_ns(point))) if point.trace else point

    def offsets_ns(self, point: LoadPoint) -> Sequence[int]:
        """When the requests of a replayed trace are due, in ns from the epoch; nothing for another load.

        Raises:
            DataError: see ``Dataset``.
        """
        dataset = self._open(point) if point.trace else None
        return dataset.for_point(point).offsets_ns() if isinstance(dataset, Trace) else ()

    def _open(self, point: LoadPoint) -> Dataset:
        lengths = (point.input_len, point.output_len)
        if self.dataset is None or lengths != self._lengths:
            self.dataset = None  # free the old rows before the new ones are read
            opened = self._open_point(point)
            self._illustrated = opened if isinstance(opened, IllustratedDataset) else None
            self.dataset = opened if self._illustrated is None else self._illustrated.plain
            self._lengths = lengths
        return self.dataset

    def info(self) -> DatasetInfo | None:
        """The data set of the latest ``take``, with its pictures; None before."""
        if self.dataset is None:
            return None
        info = self.dataset.info()
        return info if self._illustrated is None else self._illustrated.describe(info)

    def _rows(self, dataset: Dataset, seed: int, salt: str) -> Iterator[Request]:
        """Fresh rows, then rows of earlier points, then all of them again, without end."""
        earlier = dict(self._drawn)
        old: list[Request] = []
        mine: list[Request] = []
        for request in dataset.requests(seed, salt):
            if self._same:
                self.reused += request.row in earlier
                yield self._draw(request, mine)
            elif request.row in earlier:
                old.append(request)
            else:
                yield self._draw(request, mine)
        for request in sorted(old, key=lambda request: earlier[request.row]):
            self.reused += 1
            yield self._draw(request, mine)
        while mine:
            for request in mine:
                self.repeated += 1
                yield request

    def _draw(self, request: Request, mine: list[Request]) -> Request:
        self._draws += 1
        self._drawn[request.row] = self._draws
        mine.append(request)
        return request

    def _too_few(self, dataset: Dataset, usable: int, asked: int) -> DataError:
        info = dataset.info()
        left_out = f"dropped: {_reasons(info.dropped)}"
        if info.skipped:
            left_out += f"; skipped as bad: {_reasons(info.skipped)}"
        what = f"data set file {info.path} has {usable} usable rows of {info.rows_total} ({left_out})"
        if not usable and info.skipped:
            return DataError(what, "drop --on-bad-row skip to see what is wrong with the first of them")
        if not usable:
            return DataError(what, "loosen the length limits, or use another file")
        return DataError(
            f"{what}, and {asked} requests were asked for",
            f"ask for at most --num-prompts {usable}, or allow rows to repeat: --oversample",
        )


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())) or "none"


def _prepend(first: Request, rest: Iterator[Request]) -> Iterator[Request]:
    yield first
    yield from rest
