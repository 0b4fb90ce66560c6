import math
from dataclasses import replace
from itertools import islice

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Load, Prefix, RunSpec, Workload
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.make import (
    GUIDE_INPUT,
    GUIDE_OUTPUT,
    Moments,
    make,
    miscounted,
    moments,
    plan_by_moments,
    settled,
)

BUILTIN = BuiltinTokenizer()


@pytest.mark.parametrize("text", ["words", "english", "chinese"])
def test_the_guides_data_set_comes_out_as_asked(text):
    spec = RunSpec(workload=Workload(text=text), load=Load(seed=5))
    plan = settled(plan_by_moments(GUIDE_INPUT, GUIDE_OUTPUT), 1000, 5)
    requests = list(islice(make(spec, plan, BUILTIN), 1000))
    inputs = [request.input_tokens_target for request in requests]
    outputs = [request.output_tokens_target for request in requests]
    for asked, made in ((GUIDE_INPUT, moments(inputs)), (GUIDE_OUTPUT, moments(outputs))):
        assert abs(made.mean / asked.mean - 1) < 0.02
        assert abs(made.std / asked.std - 1) < 0.05
        assert asked.least <= made.least
        assert made.most <= asked.most
    texts = [request.text for request in requests]
    assert miscounted(texts[::10], inputs[::10], BUILTIN) == 0
    assert len(set(texts)) == 1000


def test_the_seed_decides_all():
    plan = plan_by_moments(Moments(50, 10, 10, 90), Moments(5, 1, 1, 9))
    assert settled(plan, 20, 1) == settled(plan, 20, 1)
    assert settled(plan, 20, 1) != settled(plan, 20, 2)


def test_a_prefix_longer_than_the_shortest_prompt_is_refused():
    spec = RunSpec(prefix=Prefix(prefix_len=40))
    plan = settled(plan_by_moments(Moments(50, 10, 30, 90), Moments(5, 1, 1, 9)), 50, 0)
    with pytest.raises(UsageError, match="--prefix-len 40 leaves nothing of a prompt of 30 tokens"):
        make(spec, plan, BUILTIN)


def test_a_length_of_nothing_is_refused():
    with pytest.raises(UsageError, match="--min-input 0 is no whole number of tokens from 1"):
        plan_by_moments(Moments(50, 10, 0, 90), GUIDE_OUTPUT)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("least", math.nan, "--min-input nan is no whole number"),
        ("least", 0, "--min-input 0 is no whole number"),
        ("least", 1.5, "--min-input 1.5 is no whole number"),
        ("most", math.inf, "--max-input inf is no whole number"),
        ("mean", math.nan, "--avg-input nan is outside"),
        ("std", math.nan, "--std-input nan is no deviation"),
        ("std", -5, "--std-input -5 is no deviation"),
        ("std", math.inf, "--std-input inf is impossible"),
    ],
)
def test_moments_that_are_none_are_refused(field, value, told):
    with pytest.raises(UsageError, match=told):
        plan_by_moments(replace(GUIDE_INPUT, **{field: value}), GUIDE_OUTPUT)
