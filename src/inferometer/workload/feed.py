"""Requests for the load points of one run: fresh rows for each, and a count of what could not be fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from inferometer.errors import DataError
from inferometer.spec import LoadPoint
from inferometer.workload.request import Dataset, Request


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

    Attributes:
        dataset: the data set of the latest ``take``; ask it for ``info()`` after the point.
        reused: requests of the latest ``take`` whose row an earlier point of this run had drawn.
        repeated: requests of the latest ``take`` whose row this point itself had drawn.
    """

    def __init__(self, open_point: Callable[[LoadPoint], Dataset], oversample: bool = False) -> None:
        self.dataset: Dataset | None = None
        self.reused = 0
        self.repeated = 0
        self._open_point = open_point
        self._oversample = oversample
        self._lengths: tuple[int | None, int | None] | None = None
        self._drawn: dict[int | None, int] = {}  # row -> running number of its latest draw
        self._draws = 0

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
        dataset = self._open(point)
        self.reused = self.repeated = 0
        if dataset.info().rows_total is None:
            return islice(dataset.requests(point.seed, salt), point.num_prompts)
        rows = self._rows(dataset, point.seed, salt)
        if point.num_prompts is None:
            first = next(rows, None)
            if first is None:
                raise self._too_few(dataset, 0, 1)
            return _prepend(first, rows)
        taken = list(islice(rows, point.num_prompts))
        usable = len(taken) - self.repeated
        if len(taken) < point.num_prompts or (self.repeated and not self._oversample):
            raise self._too_few(dataset, usable, point.num_prompts)
        return iter(taken)

    def _open(self, point: LoadPoint) -> Dataset:
        lengths = (point.input_len, point.output_len)
        if self.dataset is None or lengths != self._lengths:
            self.dataset = None  # free the old rows before the new ones are read
            self.dataset = self._open_point(point)
            self._lengths = lengths
        return self.dataset

    def _rows(self, dataset: Dataset, seed: int, salt: str) -> Iterator[Request]:
        """Fresh rows, then rows of earlier points, then all of them again, without end."""
        earlier = dict(self._drawn)
        old: list[Request] = []
        mine: list[Request] = []
        for request in dataset.requests(seed, salt):
            if request.row in earlier:
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
        drops = ", ".join(f"{reason} {count}" for reason, count in sorted(info.dropped.items())) or "none"
        what = f"data set file {info.path} has {usable} usable rows of {info.rows_total} (dropped: {drops})"
        if not usable:
            return DataError(what, "loosen the length limits, or use another file")
        return DataError(
            f"{what}, and {asked} requests were asked for",
            f"ask for at most --num-prompts {usable}, or allow rows to repeat: --oversample",
        )


def _prepend(first: Request, rest: Iterator[Request]) -> Iterator[Request]:
    yield first
    yield from rest
