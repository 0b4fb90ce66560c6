"""Step records of an engine become coefficients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.simulator.calibration.blocks import cross_validate
from inferometer.simulator.calibration.evidence_fit import Evidence, fit_evidence, with_noise_left
from inferometer.simulator.calibration.evidence_noise import noise_from
from inferometer.simulator.calibration.residuals import compare_steps, held_out
from inferometer.simulator.calibration.steps import (
    Record,
    read_batches,
    step_seconds,
)
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import Coefficients

TRUTH = Coefficients(
    weights_s=8e-3,
    token_s=4e-5,
    step_s=6e-3,
    sequence_s=4e-5,
    kv_token_s=5e-8,
    attention_s=4e-9,
    prompt_step_s=3e-3,
)
HEADER = (
    "name,during_time(ms),prefill_batch_size,decode_batch_size,prefill_scheduled_tokens,"
    "decode_scheduled_tokens,used_blocks\n"
)


def records(count: int = 200, noise: float = 0.02) -> list[Record]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        decodes = int(random.integers(1, 128))
        prompt = int(random.choice([0, 0, 0, random.integers(16, 2048)]))
        work = prompt * prompt / 2
        context = decodes * int(random.integers(100, 2000))
        shape = StepShape(decodes + prompt, decodes + (prompt > 0), context, work, prompt, decodes)
        found.append(
            Record(shape, TRUTH.step_seconds(shape) * float(np.exp(noise * random.standard_normal())))
        )
    return found


def test_columns_equal_the_model_step_by_step() -> None:
    given = records(20)
    columns = step_seconds(np.array([r.shape for r in given], dtype=np.float64), TRUTH)
    assert columns.tolist() == pytest.approx([TRUTH.step_seconds(r.shape) for r in given], rel=1e-12)


def test_left_out_blocks_are_predicted_to_the_noise() -> None:
    evidence = Evidence(steps=tuple(records()))
    whole = fit_evidence(evidence)
    evidence = with_noise_left(evidence, whole)
    assert evidence.step_noise == pytest.approx(0.02, rel=0.2)
    left = cross_validate(evidence, whole, lambda done, of: None)
    compared = compare_steps(evidence, whole, left)
    assert held_out([], compared)["steps_step_mape"] < 0.03
    noise = noise_from([], compared)
    assert set(noise) == {"ttft", "tpot", "e2el"}, "of requests they say nothing nearer"
    assert noise["tpot"].share == pytest.approx(0.02, rel=0.35)


def test_batch_table_is_read(tmp_path: Path) -> None:
    table = tmp_path / "batch.csv"
    table.write_text(
        HEADER
        + "BatchSchedule,0.4,1,3,100,3,40\nmodelExec,25.5,1,3,100,3,40\nmodelExec,0,1,3,1,3,4\nmodelExec,9,0,4,0,4,40\n"
    )
    (prompt, decode), kv_blocks = read_batches(table, block_tokens=16)
    assert kv_blocks is None, "there is no such column"
    assert prompt == Record(StepShape(103, 4, 480, 5000.0, 100, 3), 0.0255)
    assert decode == Record(StepShape(4, 4, 640, 0.0, 0, 4), 0.009)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,x\nmodelExec,1\n", "lack the columns"),
        (HEADER + "modelExec,fast,1,1,1,1,1\n", "fast"),
        (HEADER + "other,1,1,1,1,1,1\n", "no step named modelExec"),
        (HEADER, "no step named modelExec"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "batch.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_batches(table, block_tokens=16)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_batches(tmp_path / "none.csv", block_tokens=16)
