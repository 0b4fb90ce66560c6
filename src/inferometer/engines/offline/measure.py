"""The procedure: rows one after the other, warm-ups and repeats, and what happens when one does not fit."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from inferometer.engines.offline import Ask, BrokenError, OfflineEngine
from inferometer.record.speed import EngineFacts, Generation
from inferometer.spec.speed import SpeedSpec

Row = tuple[int, int]


def measure(
    engine: OfflineEngine, spec: SpeedSpec, on_facts: Callable[[EngineFacts], None]
) -> Generator[Generation]:
    """Every generation as soon as it has ended, warm-ups too; the engine is closed at the end, however that comes.

    A row that fails ends with the generation that failed, and the engine is loaded anew for the next row: a library
    that has run out of memory is not what it was.

    Args:
        engine: who generates.
        spec: rows, lengths, repeats.
        on_facts: told what the engine says of itself, each time that it is loaded.

    Raises:
        InferometerError: nothing can be measured, or it was interrupted.
    """
    loader = _Loader(engine, spec, on_facts)
    try:
        for place, row in enumerate(spec.rows):
            yield from _row(loader, row, spec.rows[place:])
    finally:
        engine.close()


def _row(loader: _Loader, row: Row, left: list[Row]) -> Iterator[Generation]:
    spec = loader.spec
    first = Ask(*row, spec.generate_len, 1)
    try:
        loader.ready(row, left)
    except BrokenError as error:
        yield first.failed(error.outcome, error.reason)
        return
    asks = [Ask(*row, min(spec.warmup_len, spec.generate_len), 0)] * spec.warmup
    asks += [Ask(*row, spec.generate_len, repeat) for repeat in range(1, spec.repeats + 1)]
    for ask in asks:
        done = loader.engine.generate(ask)
        yield done
        if done.outcome != "ok":
            if done.outcome != "too_long":  # which an engine refuses before it begins
                loader.drop()
            return


class _Loader:
    """Keeps the engine loaded for the rows that it can take."""

    def __init__(
        self, engine: OfflineEngine, spec: SpeedSpec, on_facts: Callable[[EngineFacts], None]
    ) -> None:
        self.engine, self.spec = engine, spec
        self._on_facts = on_facts
        self._positions = spec.max_model_len
        self._loaded = False
        self._too_large: dict[int, BrokenError] = {}  # by tokens that the engine could not make room for
        self._broken: BrokenError | None = None  # it cannot be loaded, whatever is asked of it

    def ready(self, row: Row, left: list[Row]) -> None:
        """Have the engine loaded for ``row``.

        Raises:
            BrokenError: it does not fit.
        """
        need = self._need(row)
        self._check(need)
        while not self._loaded:
            needs = {self._need(other) for other in left} - set(self._too_large)
            self._load(tuple(sorted(n for n in needs if self._positions is None or n <= self._positions)))
            self._check(need)

    def drop(self) -> None:
        """The engine is not what it was."""
        self.engine.close()
        self._loaded = False

    def _need(self, row: Row) -> int:
        return row[0] + self.spec.generate_len

    def _check(self, need: int) -> None:
        if self._positions is not None and need > self._positions:
            raise BrokenError(
                "too_long",
                f"{need:,} tokens with the answer, the model has {self._positions:,} positions",
                self._positions,
            )
        if self._broken is not None or need in self._too_large:
            raise self._broken or self._too_large[need]

    def _load(self, needs: tuple[int, ...]) -> None:
        try:
            facts = self.engine.load(needs)
        except BrokenError as error:
            self.engine.close()
            if error.outcome == "too_long" and error.positions is not None:
                self._positions = error.positions
                return
            if error.outcome == "oom" and self.engine.shrinks:
                self._too_large[needs[-1]] = error
            else:
                self._broken = error
            return
        self._loaded = True
        if self._positions is None:
            self._positions = facts.positions
        self._on_facts(facts)
