"""Profiles as files: what comes back, what is refused and how."""

import json
import math

import pytest

from inferometer.errors import DataError, UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.experts import MixtureModel, TouchedExperts
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.simulator.latency.profile import (
    EXTRAPOLATED,
    Noise,
    Profile,
    Provenance,
    read_profile,
    write_profile,
)
from inferometer.simulator.latency.residual import Residual, ResidualModel
from inferometer.simulator.latency.trust import Where


def load(decodes, input_tokens):
    return Where(
        step_tokens=512, decodes=decodes, kv_tokens=4000, input_tokens=input_tokens, output_tokens=100
    )


COST = Coefficients(weights_s=8e-3, token_s=4e-5, step_s=2e-3, kv_token_s=1e-7)
SLOWER = Coefficients(weights_s=9e-3, token_s=4e-5, step_s=2e-3, kv_token_s=1e-7)
SHAPE = StepShape(4, 4, 1000, 0.0, 0, 4)
PROFILE = Profile(
    coefficients=COST,
    limits=EngineLimits(max_num_seqs=64, kv_blocks=4096, max_model_len=8192),
    ensemble=(COST, SLOWER),
    experts=TouchedExperts(routed=0.9, picked=0.25),
    residual=Residual(token_knots=(1.0, 64.0), added_s=(1e-3, 1e-3)),
    noise={"ttft": Noise(share=0.05, seconds=0.01), "mean_ttft": Noise(share=0.02, freedom=4.0)},
    seen=tuple(load(*each) for each in ((1, 128), (64, 128), (1, 2048), (64, 2048))),
    engine="vllm 0.19",
    provenance=Provenance(method="steps", runs=("runs/a",), observations=900, held_out={"tpot_mape": 0.021}),
)


def test_a_profile_comes_back_as_it_was(tmp_path):
    write_profile(PROFILE, tmp_path / "p.json")

    assert read_profile(tmp_path / "p.json") == PROFILE
    assert json.loads((tmp_path / "p.json").read_text())["schema"] == "inferometer.profile/1"


def test_the_model_of_a_profile_has_all_of_its_parts():
    corrected = PROFILE.step_model()

    assert isinstance(corrected, ResidualModel)
    assert corrected.step_s(SHAPE) == pytest.approx(MixtureModel(COST, PROFILE.experts).step_s(SHAPE) + 1e-3)
    assert PROFILE.step_model(SLOWER).step_s(SHAPE) > corrected.step_s(SHAPE)
    plain = Profile(coefficients=COST, provenance=Provenance(method="priors")).step_model()
    assert isinstance(plain, LinearModel)


def test_what_is_outside_of_the_measured_loads_is_said():
    assert PROFILE.outside(load(8, 512)) == ()
    assert PROFILE.outside(load(8, 4096)) == (
        "input_tokens=4096 is outside of the calibrated 128 to 2048: extrapolated",
    )


def test_noise_is_that_of_the_statistic_or_else_of_one_request():
    assert PROFILE.noise_of("mean_ttft").share == 0.02
    assert PROFILE.noise_of("p99_ttft") == PROFILE.noise_of("ttft") == PROFILE.noise["ttft"]
    assert PROFILE.noise_of("mean_tpot") is None


def test_outside_of_the_measured_loads_noise_is_wider():
    assert PROFILE.noise_of("ttft", load(8, 512)).share == pytest.approx(0.05, rel=1e-6)
    twice = PROFILE.noise_of("ttft", load(8, 4096))
    assert twice.share == pytest.approx(math.hypot(0.05, EXTRAPOLATED * math.log(2)), rel=1e-3)
    assert twice.seconds == 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "inferometer.profile/2"}, r"has schema inferometer\.profile/2; this version reads .*/1"),
        ({"schema": "inferometer.run/1"}, "is no profile: its schema is 'inferometer.run/1'"),
        ({"schema": None}, "is no profile: its schema is None"),
        ({"coefficients": {"weights_s": 1, "token_s": 1}}, r"missing required field `step_s`.*coefficients"),
        ({"coefficients": {"weights_s": 1, "token_s": 1, "step_s": -1}}, "step_s=-1"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"noise": {"ttft": {"share": -1}}}, "noise of share=-1"),
        ({"noise": {"ttft": {"share": 0.1, "freedom": 0}}}, "freedom=0"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    file = tmp_path / "p.json"
    write_profile(PROFILE, file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(DataError, match=message) as caught:
        read_profile(file)
    assert str(file) in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_profile(tmp_path / "none.json")
    (tmp_path / "p.json").write_text("[1,")
    with pytest.raises(DataError, match="is no JSON"):
        read_profile(tmp_path / "p.json")
    (tmp_path / "p.json").write_text("[1]")
    with pytest.raises(DataError, match="is no profile"):
        read_profile(tmp_path / "p.json")
    with pytest.raises(UsageError, match="cannot be written"):
        write_profile(PROFILE, tmp_path / "no" / "p.json")
