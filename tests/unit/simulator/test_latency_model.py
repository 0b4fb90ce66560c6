"""Steps: the formula, mixtures, corrections; a stretch of decodes is a line in its KV tokens under each of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.errors import DataError, UsageError
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.experts import MixtureModel, TouchedExperts
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.simulator.latency.residual import (
    LARGEST,
    Residual,
    ResidualModel,
    fit_residual,
    token_seconds,
)

COST = Coefficients(
    weights_s=8e-3,
    token_s=4e-5,
    step_s=2e-3,
    sequence_s=1e-5,
    kv_token_s=1e-7,
    attention_s=2e-9,
    comm_token_s=1e-6,
)
EXPERTS = TouchedExperts(routed=0.9, picked=2 / 8)
TABLE = Residual(
    token_knots=(1.0, 64.0, 200.0, 2048.0),
    added_s=(-2e-3, -1e-3, 1e-3, 2e-3),
    decode_knots=(1.0, 64.0),
    kv_factors=(1.2, 0.8),
)
MODELS = [LinearModel(COST), MixtureModel(COST, EXPERTS), ResidualModel(LinearModel(COST), TABLE)]


def decode(sequences: int, kv: int) -> StepShape:
    return StepShape(sequences, sequences, kv, 0.0, 0, sequences)


def prefill(tokens: int) -> StepShape:
    return StepShape(tokens, 1, 0, tokens**2 / 2, tokens, 0)


def test_a_step_is_the_sum_of_its_parts():
    mixed = StepShape(1010, 11, 5000, 500_000.0, 1000, 10)

    assert LinearModel(COST).step_s(mixed) == pytest.approx(
        1010 * 4e-5 + 1010 * 1e-6 + 2e-3 + 11e-5 + 5000e-7 + 1e-3
    )
    assert LinearModel(COST).step_s(decode(1, 100)) == pytest.approx(8e-3 + 1e-6 + 2e-3 + 1e-5 + 1e-5)


def test_no_coefficient_is_negative_or_not_a_number():
    for value in (-1e-9, float("nan")):
        with pytest.raises(UsageError, match="kv_token_s"):
            Coefficients(weights_s=1.0, token_s=0.0, step_s=0.0, kv_token_s=value)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@given(sequences=st.integers(1, 400), kv=st.integers(0, 10**6))
def test_decode_steps_are_a_line_in_kv(model, sequences, kv):
    fixed, slope = model.decode_line(sequences)

    assert model.step_s(decode(sequences, kv)) == pytest.approx(fixed + slope * kv, rel=1e-12)


def test_a_mixture_reads_the_experts_that_are_touched():
    model, whole = MixtureModel(COST, EXPERTS), LinearModel(COST)

    # One token goes to a quarter of the experts: 0.1 + 0.9 / 4 of the weights.
    assert whole.step_s(decode(1, 0)) - model.step_s(decode(1, 0)) == pytest.approx(8e-3 * (1 - 0.325))
    assert EXPERTS.read(0) == pytest.approx(0.1)
    assert EXPERTS.read(2) == pytest.approx(0.1 + 0.9 * (1 - 0.75**2))
    assert model.step_s(prefill(4000)) == pytest.approx(whole.step_s(prefill(4000)))  # bound by compute


def test_shares_of_experts_are_shares():
    with pytest.raises(UsageError, match="picked=0"):
        TouchedExperts(routed=0.5, picked=0.0)


def test_corrections_end_at_double_and_half_of_what_was_seen():
    assert TABLE.added(64) == pytest.approx(-1e-3)
    assert TABLE.added(3072) == pytest.approx(1e-3)
    assert TABLE.added(5000) == 0.0
    assert TABLE.kv_factor(96) == pytest.approx(0.9)
    assert TABLE.kv_factor(128) == 1.0


@settings(max_examples=25)
@given(
    tokens=st.lists(st.integers(1, 4000), min_size=200, max_size=240),
    noise=st.lists(st.floats(0.4, 2.5), min_size=240, max_size=240),
)
def test_corrected_times_never_fall_with_more_tokens(tokens, noise):
    model = LinearModel(COST)
    shapes = [prefill(count) for count in tokens]
    seconds = [model.step_s(shape) * noise[index] for index, shape in enumerate(shapes)]
    corrected = ResidualModel(model, fit_residual(model, shapes, seconds))

    times = [corrected.step_s(StepShape(count, 0, 0, 0.0, 0, 0)) for count in range(1, 9000, 13)]

    assert all(low <= high + 1e-12 for low, high in pairwise(times))
    for count in (min(tokens), max(tokens)):
        plain = token_seconds(model, count)
        assert abs(corrected.step_s(StepShape(count, 0, 0, 0.0, 0, 0)) - plain) <= LARGEST * plain * (
            1 + 1e-9
        )


def test_corrections_find_what_the_formula_lacks():
    """An engine whose steps above 256 tokens take 15 % more, and whose KV is read a fifth faster by large batches."""
    model = LinearModel(COST)
    chooser = np.random.default_rng(5)
    shapes, seconds = [], []
    for _ in range(600):
        if chooser.random() < 0.5:
            shape = prefill(int(chooser.integers(16, 2048)))
            extra = 0.15 * token_seconds(model, shape.tokens) if shape.tokens > 256 else 0.0
        else:
            count = int(chooser.integers(1, 128))
            shape = decode(count, count * int(chooser.integers(100, 4000)))
            extra = -0.2 * COST.kv_token_s * shape.decode_kv_tokens if count > 64 else 0.0
        shapes.append(shape)
        seconds.append((model.step_s(shape) + extra) * float(chooser.normal(1.0, 0.01)))
    corrected = ResidualModel(model, fit_residual(model, shapes, seconds))

    for shape, wanted in (
        (prefill(1500), 0.15 * token_seconds(model, 1500)),
        (decode(100, 300_000), -0.2 * 0.03),
    ):
        gained = corrected.step_s(shape) - model.step_s(shape)
        assert gained == pytest.approx(wanted, rel=0.35)


def test_a_few_records_are_no_table():
    with pytest.raises(DataError, match="at least 200 step records"):
        fit_residual(LinearModel(COST), [prefill(8)] * 199, [1.0] * 199)
    with pytest.raises(DataError, match="ascending"):
        Residual(token_knots=(2.0, 2.0), added_s=(0.0, 0.0))
