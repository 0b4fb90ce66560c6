"""Step by step what vLLM 0.32's own scheduler did under the same load (``make_vllm_steps.py`` asked it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from make_vllm_steps import ANSWER_TOKEN

from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepShape

CASES = [json.loads(line) for line in Path(__file__).with_name("vllm_steps.jsonl").read_text().splitlines()]


class OneNanosecond:
    """A step takes one, so that times are numbers of steps."""

    def step_s(self, shape: StepShape) -> float:
        return 1e-9

    def decode_line(self, decodes: int) -> tuple[float, float]:
        return 1e-9, 0.0


def names(prompt: int, output: int, family: int, size: int) -> tuple[int, ...]:
    """Of all full blocks of a job, answer included."""
    tokens = (10 + family,) * prompt + (ANSWER_TOKEN,) * output
    return tuple(hash(tokens[: end + size]) for end in range(0, len(tokens) - size + 1, size))


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_every_step_is_that_of_vllm(case: dict[str, Any]) -> None:
    limits = EngineLimits(**case["limits"])
    one = Instance(limits, OneNanosecond())
    sequences: list[Sequence] = []
    for at, prompt, output, priority, family in case["jobs"]:
        named = names(prompt, output, family, limits.block_tokens) if limits.prefix_cache else None
        job = Job(prompt_tokens=prompt, output_tokens=output, arrival_ns=at, priority=priority, names=named)
        sequences.append(one.add(job))
    for number, expected in enumerate(case["steps"]):
        before = [sequence.computed for sequence in sequences]
        step = one.step(number)
        if step is None:
            assert expected == []
            continue
        lost = {sequence.number for sequence in step.preempted}
        assert step.shape.tokens == sum(tokens for _, tokens in expected)
        assert step.shape.sequences == len(expected)
        for who, tokens in expected:
            started = sequences[who] in step.admitted
            assert started or sequences[who].computed - before[who] == tokens
            assert who not in lost
        assert {sequence.number for sequence in step.emitted} <= {who for who, _ in expected}
    assert all(sequence.finished for sequence in sequences)


def test_the_cases_meet_what_is_hard() -> None:
    preempted = 0
    for case in CASES:
        done = dict.fromkeys(range(len(case["jobs"])), 0)
        for step in case["steps"]:
            for who, tokens in step:
                done[who] += tokens
        preempted += sum(done[who] > job[1] + job[2] for who, job in enumerate(case["jobs"]))
    assert preempted > 20
    assert {case["limits"]["prefix_cache"] for case in CASES} == {True, False}
