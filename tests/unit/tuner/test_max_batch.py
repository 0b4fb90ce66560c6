"""The largest batch within a limit: as a scan of all batches finds it, with few probes, and doubt where it is due."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest
from services import broken, load_point, stat, summary
from virtual_servers import Batching

from inferometer.metrics.counts import Counts
from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.simulator.server.settings import SimSettings
from inferometer.spec import Measure as Judged
from inferometer.spec import Sampling
from inferometer.tuner.batch_round import BatchCase, BatchLimit, read_round
from inferometer.tuner.ledger import Measure, NoMoreProbes
from inferometer.tuner.max_batch import BatchOptions, find_max_batch, find_max_batches

CASE = BatchCase(input_tokens=64, output_tokens=24, low=1, high=300)
SMALL = BatchCase(input_tokens=32, output_tokens=12, low=1, high=100)


@cache
def _round(settings: SimSettings, case: BatchCase, batch: int, rounds: int) -> PointSummary:
    point = load_point(
        batch, 1, max_concurrency=batch, num_prompts=batch * rounds, waves=True,
        input_len=case.input_tokens, output_len=case.output_tokens,
    )  # fmt: skip
    return summarize_point(Batching(settings).serve(point), Judged(), Sampling(ignore_eos=True))


def engine(settings: SimSettings, case: BatchCase, rounds: int = 1) -> Measure:
    """Static batches on the simulated engine in virtual time."""
    return lambda batch, _: _round(settings, case, int(batch), rounds)


def steps(time_ms: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> Measure:
    """An engine whose time per token follows a formula."""
    rng = np.random.default_rng(seed)

    def measure(batch: float, _: int) -> PointSummary:
        step_ms = time_ms(batch) * math.exp(noise * rng.standard_normal())
        stats = {"tpot_ms": stat(step_ms), "ttft_ms": stat(100.0), "e2el_ms": stat(100.0 + 23 * step_ms)}
        counts = Counts(
            planned=int(batch),
            records=int(batch),
            ok=int(batch),
            failed=0,
            cut_off=0,
            by_status={},
            errors=[],
        )
        return summary(1.0, 1.0, stats=stats, counts=counts, duration_s=1.0)

    return measure


@pytest.mark.parametrize("statistic", ["mean-tpot", "median-itl"])
@pytest.mark.parametrize(
    ("settings", "limit_ms"),
    [
        (SimSettings(), 6.5),
        (SimSettings(), 8.0),
        (SimSettings(max_num_seqs=48), 40.0),
        (SimSettings(num_blocks=128, max_model_len=2048), 40.0),
    ],
)
def test_it_finds_what_a_scan_of_all_batches_finds(
    settings: SimSettings, limit_ms: float, statistic: str
) -> None:
    limit, service = BatchLimit(limit_ms, statistic), engine(settings, SMALL)
    truth = next(b for b in range(1, 102) if not read_round(service(b, 1), b, 1, SMALL, limit).met) - 1

    found = find_max_batch(service, SMALL, limit)

    assert 1 <= truth < SMALL.high
    assert (found.batch, found.doubts) == (truth, [])
    assert found.at_least is not None
    assert found.at_most is not None
    assert found.at_least <= truth <= found.at_most
    assert len(found.rounds) <= 16


def test_places_of_the_engine_end_the_batch_and_are_named() -> None:
    found = find_max_batch(engine(SimSettings(max_num_seqs=48), SMALL), SMALL, BatchLimit(40.0))

    assert (found.batch, found.sure, found.at_least, found.at_most) == (48, True, 48, 48)
    assert found.limited_by.startswith("the server, at batch 49: not decoded all at once")


def test_several_rounds_give_the_same_answer() -> None:
    once, thrice = (
        find_max_batch(engine(SimSettings(), SMALL, rounds), SMALL, BatchLimit(6.5)) for rounds in (1, 3)
    )

    assert once.batch == thrice.batch
    assert once.best is not None
    assert thrice.best is not None
    assert thrice.best.total_time_s == pytest.approx(once.best.total_time_s, rel=0.01)


def test_the_answer_and_the_batch_after_it_are_measured_twice() -> None:
    found = find_max_batch(steps(lambda batch: 5.0 + 0.1 * batch), CASE, BatchLimit(15.05))

    assert (found.batch, found.sure) == (100, True)
    measured = [entry.batch for entry in found.rounds]
    assert (measured.count(100), measured.count(101)) == (2, 2)
    assert found.limited_by == "mean TPOT: 15.1 ms at batch 101, the limit is 15.05 ms"
    assert found.best is not None
    assert found.best.non_first_token_throughput == pytest.approx(100 / 0.015)


def test_when_the_smallest_batch_is_too_slow_there_is_no_answer() -> None:
    found = find_max_batch(steps(lambda _: 20.0), CASE, BatchLimit(10.0))

    assert (found.batch, found.best, found.at_least, found.sure) == (None, None, None, True)
    assert found.limited_by == "mean TPOT: 20 ms at batch 1, the limit is 10 ms"


def test_a_range_whose_end_still_meets_the_limit_is_not_the_last_word() -> None:
    case = BatchCase(64, 24, low=20, high=30)

    found = find_max_batch(steps(lambda batch: 5.0 + 0.1 * batch), case, BatchLimit(15.0))

    assert (found.batch, found.sure) == (30, False)
    assert found.doubts == [
        "larger batches were not asked for: the end of the range: 30 still meets the limit"
    ]
    assert {entry.batch for entry in found.rounds} == {20, 30}


def test_a_time_that_falls_again_is_reported() -> None:
    # Sizes between those for which the engine has a captured graph are slow.
    case = BatchCase(64, 24, low=1, high=64)

    found = find_max_batch(
        steps(lambda batch: 12.0 if 6 <= batch <= 8 else 5.0 + 0.01 * batch), case, BatchLimit(10.0)
    )

    assert (found.batch, found.sure) == (5, False)
    assert found.doubts == ["not monotone: batch 6 does not meet the limit, but 9 does"]


def test_a_batch_well_beyond_the_border_is_always_seen() -> None:
    found = find_max_batch(steps(lambda batch: 5.0 + 0.1 * batch), CASE, BatchLimit(5.75))

    assert found.batch == 7
    assert max(entry.batch for entry in found.rounds) >= 12


def test_a_client_at_its_end_leaves_a_doubt() -> None:
    service = steps(lambda _: 5.0)

    def tired(batch: float, repeat: int) -> PointSummary:
        found = service(batch, repeat)
        return msgspec.structs.replace(found, **broken("client CPU")) if batch > 16 else found

    found = find_max_batch(tired, CASE, BatchLimit(10.0))

    assert found.batch is not None
    assert found.batch <= 16
    assert found.limited_by.startswith("the load generator, at batch")
    assert not found.sure


def test_whoever_measures_may_end_the_search() -> None:
    service = steps(lambda batch: 5.0 + 0.1 * batch)

    def for_a_while(batch: float, repeat: int) -> PointSummary:
        if batch > 60:
            raise NoMoreProbes("interrupted")
        return service(batch, repeat)

    found = find_max_batch(for_a_while, CASE, BatchLimit(15.0))

    assert found.batch is not None
    assert found.doubts[0] == "the search ended early: interrupted"


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_noise_leaves_a_range_that_holds_the_truth(noise: float) -> None:
    results = [
        find_max_batch(
            steps(lambda batch: 5.0 + 0.05 * batch, noise, seed), CASE, BatchLimit(12.52), BatchOptions(30)
        )
        for seed in range(40)
    ]

    held = [
        r.at_least <= 150 <= r.at_most for r in results if r.at_least is not None and r.at_most is not None
    ]
    assert sum(held) >= 36
    wrong = [r for r in results if r.sure and r.batch is not None and abs(r.batch - 150) > 0.05 * 150]
    assert len(wrong) <= 2
    if noise < 0.005:
        assert sum(r.sure for r in results) >= 30


def test_each_case_has_its_own_range_and_budget() -> None:
    cases = [BatchCase(64, 24, 1, 100), BatchCase(256, 24, 4, 8)]

    found = find_max_batches(
        lambda case: steps(lambda b: b * case.input_tokens / 64), cases, BatchLimit(20.5)
    )

    assert [(r.input_tokens, r.low, r.high, r.batch) for r in found] == [(64, 1, 100, 20), (256, 4, 8, 5)]


def test_a_client_that_was_held_up_once_is_asked_again() -> None:
    service, seen = steps(lambda batch: 5.0 + 0.1 * batch), set()

    def stumbling(batch: float, repeat: int) -> PointSummary:
        found = service(batch, repeat)
        first = batch not in seen
        seen.add(batch)
        return msgspec.structs.replace(found, **broken("chunk times")) if first and batch > 2 else found

    found = find_max_batch(stumbling, CASE, BatchLimit(15.05), BatchOptions(40))

    assert (found.batch, found.limited_by[:9]) == (100, "mean TPOT")


def test_a_batch_that_costs_the_server_its_life_ends_the_search_and_not_the_answer() -> None:
    service, dead = steps(lambda batch: 5.0 + 0.1 * batch), False

    def mortal(batch: float, repeat: int) -> PointSummary:
        nonlocal dead
        found = service(batch, repeat)
        if dead:
            gone = msgspec.structs.replace(
                found.counts, ok=0, by_status={"connect_error": found.counts.records}
            )
            return msgspec.structs.replace(found, counts=gone, **broken("errors"))
        dead = batch > 20
        return msgspec.structs.replace(found, **broken("errors")) if dead else found

    found = find_max_batch(mortal, CASE, BatchLimit(15.05))

    assert (found.batch, found.sure) == (8, False)
    assert found.limited_by == "the server, at batch 32: errors: see there"
    assert (
        found.doubts[0]
        == "the search ended early: at load 20 the server could not be reached any more, by no request"
    )
