"""Steps as records: what is written is read again, survives a kill, and gives the coefficients back."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from instance_world import small

from inferometer.api.calibrating_engine import Effort, Measured, calibrate_engine
from inferometer.api.measured_engine import Told
from inferometer.errors import UsageError
from inferometer.record.steps import COLUMNS, Part, StepRow, StepWriter, read_steps
from inferometer.simulator.calibration.steps import read_batches
from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.simulator.server.step_log import StepLog

TRUTH = Coefficients(
    weights_s=8e-3,
    token_s=4e-5,
    step_s=2e-3,
    sequence_s=4e-5,
    kv_token_s=5e-8,
    attention_s=4e-9,
    prompt_step_s=1e-3,
)
OFFSET_NS = 1_700_000_000_000_000_000


def steps(limits: EngineLimits, requests: int, longest: int, seed: int = 0) -> Iterator[Step]:
    """Steps of random requests, some with a prefix in common."""
    draw = random.Random(seed)
    one = Instance(limits, LinearModel(TRUTH), seed=seed)
    for number in range(requests):
        prompt, output = round(longest ** draw.uniform(0.2, 1)), draw.randint(1, min(300, longest // 2))
        family = draw.randrange(3)
        names = tuple(family * 10_000 + place for place in range(prompt // limits.block_tokens))
        one.add(Job(prompt_tokens=prompt, output_tokens=output, arrival_ns=number * 40_000_000, names=names))
    while (at_ns := one.next_ns()) is not None:
        step = one.step(at_ns)
        if step is not None:
            yield step


def logged(path: Path, limits: EngineLimits, taken: Iterator[Step]) -> list[Step]:
    log, kept = StepLog(path, limits, OFFSET_NS), []
    for step in taken:
        log.began(step)
        kept.append(step)
    log.close()
    return kept


@pytest.mark.parametrize(
    "limits",
    [
        small(prefix_cache=True, order="priority"),
        small(draft_tokens=2, acceptance=(0.7, 0.4)),
        small(scheduler="prefill-first", max_prefill_seqs=2),
    ],
)
def test_every_step_is_read_as_it_was_computed(tmp_path: Path, limits: EngineLimits) -> None:
    taken = logged(tmp_path / "steps.csv", limits, steps(limits, 60, 40))
    assert any(step.preempted for step in taken)
    records = read_batches(tmp_path / "steps.csv", limits.block_tokens).records
    assert [record.shape for record in records] == [step.shape for step in taken]
    assert [record.step_s for record in records] == pytest.approx([step.step_s for step in taken], abs=1e-9)
    rows = list(read_steps(tmp_path / "steps.csv"))
    assert [row.used_blocks for row in rows] == [step.kv_blocks for step in taken]
    assert rows[0].begin_ns == pytest.approx(OFFSET_NS + taken[0].begin_ns, abs=1e6)
    assert sum(row.allocated_blocks - row.freed_blocks for row in rows) == 0


def test_coefficients_come_back(tmp_path: Path) -> None:
    limits = EngineLimits(max_num_seqs=64, max_num_batched_tokens=2048)
    logged(tmp_path / "steps.csv", limits, steps(limits, 150, 8000))
    profile = calibrate_engine(
        Measured(step_logs=(tmp_path / "steps.csv",)), Told(engine="vllm"), Effort(members=8)
    ).profile
    assert (profile.limits.kv_blocks, profile.kv_blocks_known) == (limits.kv_blocks, True)
    for name in (
        "token_s",
        "sequence_s",
        "kv_token_s",
        "attention_s",
        "prompt_step_s",
        "weights_s",
        "step_s",
    ):
        assert getattr(profile.coefficients, name) == pytest.approx(getattr(TRUTH, name), rel=0.01), name
    tokens = [member.token_s for member in profile.ensemble]
    assert max(tokens) / min(tokens) < 1.2, "records without noise leave little open"


def test_the_columns_are_those_of_the_profiler(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    writer = StepWriter(path)
    parts = [Part(3, 5), Part(4, 0, 100, 16)]
    writer.write(
        StepRow(0.0255, 1, 1, 100, 3, 9, 10, 7, 2, OFFSET_NS, OFFSET_NS + 25_500_000, parts, 2, [1, 0], 1)
    )
    writer.close()
    with path.open(newline="") as lines:
        [row] = csv.DictReader(lines)
    assert tuple(row) == COLUMNS
    assert row == {
        "name": "modelExec",
        "res_list": '[{"rid":3,"iter":5},{"rid":4,"iter":0,"tokens":100,"context":16}]',
        "start_datetime": "2023-11-14 22:13:20.000000",
        "end_datetime": "2023-11-14 22:13:20.025500",
        "during_time(ms)": "25.500000",
        "batch_type": "Prefill Decode",
        "prof_id": "0",
        "batch_size": "2",
        "prefill_batch_size": "1",
        "decode_batch_size": "1",
        "total_blocks": "10",
        "used_blocks": "9",
        "free_blocks": "1",
        "blocks_allocated": "7",
        "blocks_freed": "2",
        "kvcache_usage_rate": "0.900000",
        "prefill_scheduled_tokens": "100",
        "decode_scheduled_tokens": "3",
        "total_scheduled_tokens": "103",
        "dp_rank": "0",
        "start_time(ms)": "1700000000000.000",
        "end_time(ms)": "1700000000025.500",
        "accepted_ratio": "0.5000",
        "accepted_ratio_per_pos": "[1.0000, 0.0000]",
    }


def test_rows_wait_a_second_at_most_and_are_appended(tmp_path: Path) -> None:
    limits, path = small(), tmp_path / "steps.csv"
    taken = list(steps(limits, 40, 40))
    log = StepLog(path, limits, OFFSET_NS)
    for step in taken:
        log.began(step)
        there = sum(1 for _ in read_steps(path)) if path.stat().st_size else 0
        unwritten = [later for later in taken[there:] if later.end_ns <= step.begin_ns]
        assert not unwritten or step.begin_ns - unwritten[0].begin_ns < 1e9
    log.idle()
    assert sum(1 for _ in read_steps(path)) == len(taken)
    with path.open("a") as cut:
        cut.write('modelExec,"[{""rid""')  # killed within a row
    logged(path, limits, iter(taken))
    assert sum(1 for _ in read_steps(path)) == 2 * len(taken)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine\n")
    with pytest.raises(UsageError, match="no step records"):
        StepWriter(tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="cannot be written"):
        StepWriter(tmp_path / "no" / "folder")
    assert (tmp_path / "notes.txt").read_text() == "mine\n"
