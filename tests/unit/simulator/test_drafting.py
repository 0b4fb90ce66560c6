"""Speculative decoding of the simulated engine: nothing lost, acceptance as set, its price, vLLM's counters."""

from __future__ import annotations

import pytest
from sim_world import World, events

from inferometer.client.exposition import name_and_labels, series_of
from inferometer.errors import UsageError
from inferometer.simulator import SimSettings
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import Job

DRAFTS = SimSettings(speculative_tokens=3, acceptance_rate=0.8, max_num_seqs=8)


def decode(
    settings: SimSettings, requests: int, tokens: int
) -> tuple[list[int], list[tuple[int, int]], float]:
    """Tokens that each request got, the checks, and the time it took."""
    engine, got, checks, took_s = (
        Instance(settings.limits(), settings.step_model(), seed=settings.seed),
        {},
        [],
        0.0,
    )
    sequences = [engine.add(Job(prompt_tokens=16, output_tokens=tokens)) for _ in range(requests)]
    while (step := engine.step(0)) is not None:
        took_s += step.step_s
        checks += step.checked
        for sequence in step.emitted:
            got[sequence] = got.get(sequence, 0) + sequence.made
    assert engine.kv_blocks_used == 0
    return [got[sequence] for sequence in sequences], checks, took_s


def test_every_answer_has_its_length_though_the_last_step_may_make_more() -> None:
    got, checks, _ = decode(DRAFTS, 20, 50)
    assert got == [50] * 20
    assert {drafted for drafted, _ in checks} == {3}


def test_acceptance_is_that_of_the_settings_place_by_place() -> None:
    _, checks, _ = decode(DRAFTS, 60, 500)
    for place in range(3):
        share = sum(right > place for _, right in checks) / len(checks)
        assert share == pytest.approx(0.8 ** (place + 1), abs=0.02)


@pytest.mark.parametrize(("rate", "steps"), [(0.0, 48), (1.0, 12)])
def test_nothing_or_all_accepted_is_exact(rate: float, steps: int) -> None:
    got, checks, _ = decode(SimSettings(speculative_tokens=3, acceptance_rate=rate, max_num_seqs=8), 1, 49)
    assert (got, len(checks)) == ([49], steps)


def test_drafts_that_are_never_right_only_cost() -> None:
    plain = decode(SimSettings(max_num_seqs=8), 1, 40)[2]
    useless = decode(SimSettings(speculative_tokens=3, acceptance_rate=0.0, max_num_seqs=8), 1, 40)[2]
    good = decode(SimSettings(speculative_tokens=3, acceptance_rate=0.9, max_num_seqs=8), 1, 40)[2]
    assert good < plain < useless


def test_drafts_end_at_the_context_and_the_seed_decides_all() -> None:
    short = SimSettings(speculative_tokens=3, max_model_len=64, max_num_seqs=8)
    got, checks, _ = decode(short, 1, 48)
    assert got == [48]
    assert decode(short, 1, 48)[1] == checks
    assert (
        decode(SimSettings(speculative_tokens=3, max_model_len=64, max_num_seqs=8, seed=1), 1, 48)[1]
        != checks
    )


@pytest.mark.parametrize(
    "wrong",
    [{"speculative_tokens": 8}, {"acceptance_rate": 1.1}, {"acceptance_rate": -0.1}, {"per_draft_s": -1}],
)
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SimSettings(**wrong)


def test_a_step_is_one_chunk_and_the_counters_are_those_of_vllm() -> None:
    world = World(SimSettings(speculative_tokens=2, acceptance_rate=1.0, max_num_seqs=8))
    peer = world.peer()
    peer.post(
        "/v1/completions",
        {"prompt": "one two", "max_tokens": 9, "ignore_eos": True, "stream": True,
         "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    )  # fmt: skip
    while world.step():
        pass
    counted = [
        event["usage"]["completion_tokens"] for event in events(peer.reply()[2])[:-1] if event["choices"]
    ]
    assert counted == [1, 4, 7, 9], "the last step made a token too many"
    found = series_of(world.peer().get("/metrics")[2].decode())
    short = {
        name_and_labels(series)[0].removeprefix("vllm:spec_decode_num_"): value
        for series, value in found.items()
        if "spec_decode" in series and "per_pos" not in series
    }
    assert short == {"drafts_total": 3, "draft_tokens_total": 6, "accepted_tokens_total": 6}
    places = [value for series, value in found.items() if "per_pos" in series]
    assert places == [3, 3]
    assert not [series for series in exposition(SimSettings()) if "spec_decode" in series]


def exposition(settings: SimSettings) -> dict[str, float]:
    return series_of(World(settings).peer().get("/metrics")[2].decode())
