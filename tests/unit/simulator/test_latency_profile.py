"""Profiles as files: what comes back, what is refused and how."""

import json

import pytest

from inferometer.errors import DataError, UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.experts import MixtureModel, TouchedExperts
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.simulator.latency.profile import Profile, Provenance, read_profile, write_profile
from inferometer.simulator.latency.residual import Residual, ResidualModel

COST = Coefficients(weights_s=8e-3, token_s=4e-5, step_s=2e-3, kv_token_s=1e-7)
SLOWER = Coefficients(weights_s=9e-3, token_s=4e-5, step_s=2e-3, kv_token_s=1e-7)
SHAPE = StepShape(4, 4, 1000, 0.0, 0, 4)
PROFILE = Profile(
    coefficients=COST,
    limits=EngineLimits(max_num_seqs=64, kv_blocks=4096, max_model_len=8192),
    ensemble=(COST, SLOWER),
    experts=TouchedExperts(routed=0.9, picked=0.25),
    residual=Residual(token_knots=(1.0, 64.0), added_s=(1e-3, 1e-3)),
    hull={"decodes": (1.0, 64.0), "input_tokens": (128.0, 2048.0)},
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


def test_what_is_outside_of_the_hull_is_said():
    assert PROFILE.outside({"decodes": 64, "input_tokens": 4096, "concurrency": 9}) == (
        "input_tokens=4096 is outside of the calibrated 128 to 2048",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "inferometer.profile/2"}, r"has schema inferometer\.profile/2; this version reads .*/1"),
        ({"schema": "inferometer.run/1"}, "is no profile: its schema is 'inferometer.run/1'"),
        ({"schema": None}, "is no profile: its schema is None"),
        ({"coefficients": {"weights_s": 1, "token_s": 1}}, r"missing required field `step_s`.*coefficients"),
        ({"coefficients": {"weights_s": 1, "token_s": 1, "step_s": -1}}, "step_s=-1"),
        ({"colour": "red"}, "unknown field `colour`"),
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
