"""The procedure: which generations are asked for, and what happens to the others when one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inferometer.engines.offline import Ask, BrokenError
from inferometer.engines.offline.measure import measure
from inferometer.errors import UsageError
from inferometer.record.speed import EngineFacts, Generation, Outcome
from inferometer.spec.speed import SpeedSpec, speed_spec

Judge = Callable[[Ask], Outcome]


class Scripted:
    """An engine of so many positions and so much room, which fails where a script says so."""

    def __init__(
        self, room: int = 1 << 30, positions: int | None = None, judge: Judge = lambda ask: "ok"
    ) -> None:
        self.shrinks = False
        self.loads: list[tuple[int, ...]] = []
        self.asked: list[Ask] = []
        self.open = False
        self._room, self._positions, self._judge = room, positions, judge

    def load(self, needs: tuple[int, ...]) -> EngineFacts:
        self.loads.append(needs)
        fitting = [need for need in needs if self._positions is None or need <= self._positions]
        if not fitting:
            raise BrokenError("too_long", "too long", self._positions)
        if max(fitting) > self._room:
            raise BrokenError("oom", "no room", self._positions)
        self.open = True
        return EngineFacts(positions=self._positions)

    def generate(self, ask: Ask) -> Generation:
        assert self.open
        self.asked.append(ask)
        return ask.failed(self._judge(ask), None)

    def close(self) -> None:
        self.open = False


def spec_of(**values: Any) -> SpeedSpec:
    return speed_spec({"model": "owner/name", "generate_len": 10, "repeats": 2, **values})


def outcomes(engine: Scripted, spec: SpeedSpec) -> list[tuple[int, int, int, str]]:
    done = list(measure(engine, spec, lambda facts: None))
    assert not engine.open
    return [(each.input_tokens, each.batch, each.repeat, each.outcome) for each in done]


def test_each_row_is_warmed_up_and_repeated() -> None:
    engine = Scripted()
    found = outcomes(engine, spec_of(input_len=(1, 64), batch_size=(1, 4), warmup_len=3))
    rows = [(1, 1), (64, 1), (1, 4), (64, 4)]
    assert found == [(*row, repeat, "ok") for row in rows for repeat in (0, 1, 2)]
    assert [ask.tokens for ask in engine.asked[:3]] == [3, 10, 10]
    assert len(engine.loads) == 1


def test_after_oom_the_rest_runs_in_a_fresh_engine() -> None:
    engine = Scripted(judge=lambda ask: "oom" if ask.input_tokens == 64 else "ok")
    found = outcomes(engine, spec_of(input_len=(1, 64, 2)))
    assert found == [
        (1, 1, 0, "ok"), (1, 1, 1, "ok"), (1, 1, 2, "ok"), (64, 1, 0, "oom"),
        (2, 1, 0, "ok"), (2, 1, 1, "ok"), (2, 1, 2, "ok"),
    ]  # fmt: skip
    assert len(engine.loads) == 2


def test_what_is_beyond_the_positions_is_not_tried() -> None:
    engine = Scripted(positions=100)
    found = outcomes(engine, spec_of(input_len=(91, 90), repeats=1, warmup=0))
    assert found == [(91, 1, 1, "too_long"), (90, 1, 1, "ok")]


def test_a_server_that_refuses_a_length_stays() -> None:
    engine = Scripted(judge=lambda ask: "too_long" if ask.input_tokens == 64 else "ok")
    found = outcomes(engine, spec_of(input_len=(64, 2), repeats=1, warmup=0))
    assert found == [(64, 1, 1, "too_long"), (2, 1, 1, "ok")]
    assert len(engine.loads) == 1


def test_a_model_too_short_for_every_row_is_loaded_for_none() -> None:
    engine = Scripted(positions=100)
    assert outcomes(engine, spec_of(input_len=(200, 300))) == [
        (200, 1, 1, "too_long"),
        (300, 1, 1, "too_long"),
    ]
    assert len(engine.loads) == 1


def test_positions_may_be_said_to_be_others() -> None:
    found = outcomes(Scripted(), spec_of(input_len=(90, 91), repeats=1, warmup=0, max_model_len=100))
    assert [outcome for *_, outcome in found] == ["ok", "too_long"]


def test_weights_that_do_not_fit_are_tried_once() -> None:
    engine = Scripted(room=5)
    assert outcomes(engine, spec_of(input_len=(1, 2))) == [(1, 1, 1, "oom"), (2, 1, 1, "oom")]
    assert len(engine.loads) == 1


def test_an_engine_that_makes_room_for_the_longest_prompt_is_tried_with_shorter_ones() -> None:
    engine = Scripted(room=60)
    engine.shrinks = True
    found = outcomes(engine, spec_of(input_len=(1, 100, 50, 200), repeats=1, warmup=0))
    assert [outcome for *_, outcome in found] == ["ok", "oom", "ok", "oom"]
    assert engine.loads == [(11, 60, 110, 210), (11, 60, 110), (11, 60)]


def test_what_a_person_has_to_change_ends_it_and_closes_the_engine() -> None:
    class Unusable(Scripted):
        def load(self, needs: tuple[int, ...]) -> EngineFacts:
            self.open = True
            raise UsageError("no such library")

    engine = Unusable()
    with pytest.raises(UsageError):
        outcomes(engine, spec_of(input_len=(1,)))
    assert not engine.open
