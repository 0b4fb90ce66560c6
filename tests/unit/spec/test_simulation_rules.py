"""What a simulated service leaves no place for, and that a spec of one is not measured."""

import pytest

from inferometer.errors import UsageError
from inferometer.spec import RunSpec, Sampling, check_spec, public_dict
from inferometer.spec.options import options
from inferometer.spec.simulation import Simulation
from inferometer.spec.simulation_rules import (
    _REFUSED,
    _TIMELESS,
    belongs_to_server,
    is_refused,
    refuse_simulation,
    timeless,
)
from inferometer.spec.stored import check_kind

SIMULATED = Simulation(profile="engine.json")


def test_rules_name_options_that_exist():
    assert {*_REFUSED, *_TIMELESS} <= set(options())


def test_a_simulation_needs_no_server_and_keeps_the_models_name():
    check_spec(RunSpec(simulation=SIMULATED, endpoint={"model": "llama"}))
    assert belongs_to_server("endpoint.url")
    assert not belongs_to_server("endpoint.model")
    assert is_refused("images.image_count")
    assert not is_refused("load.request_rate")


@pytest.mark.parametrize(
    ("part", "field", "value", "words"),
    [
        ("endpoint", "url", "http://127.0.0.1:8000", "--url is about a server"),
        ("launch", "command", "vllm serve x", "--launch is about a server"),
        ("cluster", "nodes", "auto", "--nodes is about machines that send load"),
        ("images", "image_count", 1, "--image-count asks for pictures"),
        ("load", "workers", 2, "--workers is about processes"),
        ("prefix", "flush_cache", True, "--flush-cache empties the cache of a server"),
        ("shape", "cancel_share", 0.1, "--cancel-share is not simulated"),
        ("sampling", "stop", ("END",), "--stop ends answers at texts"),
        ("output", "keep_text", True, "--keep-text stores answers"),
    ],
)
def test_what_has_no_meaning_is_refused(part, field, value, words):
    spec = RunSpec.model_validate({"simulation": SIMULATED, part: {field: value}})
    with pytest.raises(UsageError, match=words):
        check_spec(spec)


def test_options_without_effect_are_told():
    spec = RunSpec(simulation=SIMULATED, sampling=Sampling(temperature=0.0, top_p=0.9))
    check_spec(spec)
    assert timeless(spec) == ["--temperature", "--top-p"]


def test_a_simulated_service_is_not_measured_and_its_run_not_gone_on_with():
    refuse_simulation(RunSpec(), "run")
    with pytest.raises(UsageError, match="--instances describe a simulated service"):
        refuse_simulation(RunSpec(simulation=Simulation(instances=(2,))), "search")
    with pytest.raises(UsageError, match="was simulated"):
        check_kind(public_dict(RunSpec(simulation=SIMULATED)), "run-1", "run")
