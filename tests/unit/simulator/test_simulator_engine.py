"""The engine that the settings describe: as fast as they say, within their limits, and refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.errors import DataError, UsageError
from inferometer.simulator import SimSettings
from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile
from inferometer.simulator.server.serve import flag_fields, settings_from_flags
from inferometer.simulator.server.settings import settings_of

SMALL = SimSettings(max_num_seqs=4, max_num_batched_tokens=16, block_size=4, num_blocks=16, max_model_len=64)
COST = Coefficients(
    weights_s=8e-3,
    token_s=4e-5,
    step_s=6e-3,
    sequence_s=4e-5,
    kv_token_s=5e-8,
    attention_s=4e-9,
    arrival_s=2e-3,
    first_token_s=1e-3,
    comm_token_s=1e-6,
    prompt_step_s=3e-3,
)
LIMITS = EngineLimits(
    scheduler="prefill-first", max_num_seqs=7, kv_blocks=900, block_tokens=32, max_model_len=4096
)
PROFILE = Profile(
    coefficients=COST,
    limits=LIMITS,
    experts=TouchedExperts(routed=0.9, picked=0.25),
    provenance=Provenance(method="steps"),
)


def engine(settings: SimSettings) -> Instance:
    return Instance(settings.limits(), settings.step_model())


def add(one: Instance, prompt: int, output: int) -> Sequence:
    return one.add(Job(prompt_tokens=prompt, output_tokens=output))


def steps(one: Instance) -> list[Step]:
    return list(iter(lambda: one.step(0), None))


def test_one_request_takes_the_closed_form() -> None:
    cost = SimSettings()
    one = engine(cost)
    add(one, 1000, 50)
    gaps = [step.step_s for step in steps(one)]
    assert len(gaps) == 50
    assert gaps[0] == pytest.approx(cost.base_s + 1000 * cost.per_token_s + cost.per_seq_s)
    each = cost.base_s + cost.per_token_s + cost.per_seq_s
    assert gaps[1:] == pytest.approx([each + cost.per_kv_token_s * (1000 + made) for made in range(49)])


def test_a_long_prompt_is_computed_in_chunks_while_decode_goes_on() -> None:
    one = engine(SimSettings(max_num_batched_tokens=512))
    short = add(one, 10, 20)
    one.step(0)
    long = add(one, 1200, 2)
    some = [one.step(0) for _ in range(3)]
    assert [step.shape.tokens for step in some] == [512, 512, 1 + 1200 - 2 * 511]
    assert [step.emitted for step in some] == [[short], [short], [short, long]]
    assert [step.shape.decode_kv_tokens for step in some] == [10, 11, 12]


def test_the_defaults_make_the_promised_speeds() -> None:
    one = engine(SimSettings())
    add(one, 1000, 500)
    one.step(0)
    assert one.step(0).step_s == pytest.approx(0.005, rel=0.02)
    for _ in range(31):
        add(one, 1000, 500)
    while one.num_waiting:
        one.step(0)
    one.step(0)
    assert one.step(0).step_s < 0.008
    prefill = engine(SimSettings())
    add(prefill, 20_000, 1)
    seconds = sum(step.step_s for step in steps(prefill))
    assert 20_000 / seconds == pytest.approx(20_000, rel=0.1)


def test_scarce_blocks_preempt_the_last_and_lose_no_token() -> None:
    one = engine(SMALL)
    sequences = [add(one, 14, 24) for _ in range(4)]
    taken = steps(one)
    assert sum(len(step.preempted) for step in taken) > 0
    assert [sum(sequence in step.emitted for step in taken) for sequence in sequences] == [24] * 4
    assert next(step.finished for step in taken if step.finished)[0] is sequences[0]
    assert one.kv_blocks_used == 0


@pytest.mark.parametrize(("prompt", "output"), [(60, 5), (0, 1), (1, 0)])
def test_what_can_never_run_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(UsageError, match=f"{prompt} prompt"):
        add(engine(SMALL), prompt, output)


@pytest.mark.parametrize(
    ("field", "value"),
    [("per_token_s", -1.0), ("per_seq_s", float("nan")), ("base_s", 0.0), ("max_num_seqs", 0), ("num_blocks", 3),
     ("max_num_batched_tokens", 100), ("base_s", float("inf"))],
)  # fmt: skip
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{field}={value}"):
        SimSettings(**{field: value})


def test_every_cost_and_limit_of_the_simulator_is_a_setting() -> None:
    renamed = {"step_s": "base_s", "token_s": "per_token_s", "sequence_s": "per_seq_s",
               "kv_token_s": "per_kv_token_s", "block_tokens": "block_size", "kv_blocks": "num_blocks",
               "draft_tokens": "speculative_tokens"}  # fmt: skip
    names = (*Coefficients.__struct_fields__, *EngineLimits.__struct_fields__)
    assert {renamed.get(name, name) for name in names} <= {field.name for field in flag_fields()}


def test_a_profile_is_what_it_says() -> None:
    made = settings_of(PROFILE)
    assert made.limits() == LIMITS
    assert (made.arrival_s, made.first_token_s) == (2e-3, 1e-3)
    one = Instance(LIMITS, PROFILE.step_model())
    for prompt in (10, 700, 33):
        add(one, prompt, 20)
    for step in steps(one):
        assert made.step_model().step_s(step.shape) == step.step_s


def test_flags_beside_a_profile_win(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    write_profile(PROFILE, file)
    given = settings_from_flags({"profile": str(file), "max_num_seqs": "3", "base_s": "0.5", "seed": None})
    assert (given.max_num_seqs, given.base_s, given.num_blocks) == (3, 0.5, 900)
    assert given.experts == PROFILE.experts
    assert given.per_draft_s == 0.0
    with pytest.raises(UsageError, match="no_such_file"):
        settings_from_flags({"profile": "no_such_file"})
    file.write_text(file.read_text().replace("inferometer.profile/1", "inferometer.profile/99"))
    with pytest.raises(DataError, match="profile/99"):
        settings_from_flags({"profile": str(file)})


def test_a_flag_that_is_gone_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="shares the KV blocks"):
        settings_from_flags({"prefix_cache_blocks": "1000"})


def test_a_time_scale_stretches_everything() -> None:
    slow, plain = (
        SimSettings(time_scale=4.0, speculative_tokens=2, max_num_seqs=8),
        SimSettings(speculative_tokens=2, max_num_seqs=8),
    )
    one = engine(plain)
    add(one, 100, 30)
    for step in steps(one):
        assert slow.step_model().step_s(step.shape) == pytest.approx(
            4 * plain.step_model().step_s(step.shape)
        )
    waiting = {"scheduler": "prefill-first", "prefill_delay_s": 0.5}
    assert SimSettings(time_scale=4.0, **waiting).limits().prefill_delay_s == 2.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scheduler": "prefill-first", "reserve_full_prompt": False}, "scheduler=prefill-first"),
        ({"max_prefill_seqs": 4}, "scheduler=chunked"),
        ({"time_scale": 0.0}, "time_scale=0.0"),
        ({"acceptance": (0.5, 0.5), "speculative_tokens": 1}, "draft_tokens=1"),
        ({"acceptance": (1.5,), "speculative_tokens": 1}, "at most 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SimSettings(**given)
