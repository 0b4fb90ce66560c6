"""``inferometer simulate`` asked which service is best, how many instances it takes, and which ratio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Done, here

from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile

LOAD = (
    "--dataset",
    "random",
    "--input-len",
    "64",
    "--output-len",
    "16",
    "--tokenizer",
    "builtin",
    "--warmup",
    "0",
)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """An engine that computes 4 answers at a time, 20 ms a step, and whose time is known to a tenth."""
    best = Coefficients(weights_s=0.0, token_s=0.0, step_s=20e-3)
    found = Profile(
        coefficients=best,
        ensemble=tuple(Coefficients(weights_s=0.0, token_s=0.0, step_s=s) for s in (19e-3, 20e-3, 21e-3)),
        limits=EngineLimits(max_num_seqs=4, max_num_batched_tokens=512, kv_blocks=1000, max_model_len=1024),
        engine="vllm",
        provenance=Provenance(method="steps"),
    )
    write_profile(found, tmp_path / "engine.json")
    return str(tmp_path / "engine.json")


def simulate(profile: str, *flags: str) -> Done:
    out = str(Path(profile).parent / "runs")
    return here("simulate", "--profile", profile, "--out", out, "--quiet", "--json", *LOAD, *flags)


def answer(done: Done) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return found


def test_more_sequences_are_compared_on_the_same_requests(profile: str) -> None:
    flags = ("--max-concurrency", "8", "--num-prompts", "40", "--percentiles", "50")
    done = simulate(profile, *flags, "--engine-args", "--max-num-seqs 4", "--max-num-seqs 8")
    found = answer(done)
    assert done.code == found["exit_code"] == 0, done.err
    first, second = found["loads"][0]["rows"]
    assert found["loads"][0]["best"] == "--max-num-seqs 8"
    gain = second["cells"]["out tok/s"]
    # An answer takes 16 steps. Of 8 seats the first request of a round begins one alone: 5 rounds take 85 steps. Of 4
    # all are taken by those who wait, but for the first round's: 161 steps.
    assert gain["difference"] == pytest.approx(161 / 85 - 1, abs=0.01)
    assert gain["sure"] is True  # though the intervals of the two are as wide as the step is unsure
    assert first["cells"]["out tok/s"]["low"] < first["cells"]["out tok/s"]["value"]
    for one in found["simulations"]:
        assert json.loads((Path(one["run"]) / "run.json").read_text("utf-8"))["simulated"] is True


def test_the_fewest_instances_within_a_limit(profile: str) -> None:
    # An answer takes 16 steps, so an instance gives 12.5 a second; 30 a second come.
    limit = ("--slo", "p90_ttft<=150ms", "--instances", "auto:8")
    load = (
        "--request-rate",
        "30",
        "--burstiness",
        "inf",
        "--num-prompts",
        "120",
        "--percentiles",
        "50",
        "90",
    )
    done = simulate(profile, *load, *limit)
    found = answer(done)
    assert done.code == 0, done.err
    assert found["fewest"] == [{"label": "", "enough": 3, "sure": 3, "most": 8, "unknown": ""}]
    assert [(row["label"], row["meets"]) for row in found["loads"][0]["rows"]] == [
        ("1 instance", False),
        ("2 instances", False),
        ("3 instances", True),
        ("4 instances", True),
    ]
    assert (
        "3 instances meet p90_ttft<=150ms, at the worse end of the 90 % intervals too; 2 do not" in done.out
    )


def test_a_question_without_limits_or_with_too_few_instances(profile: str) -> None:
    load = ("--request-rate", "30", "--num-prompts", "20")
    without = simulate(profile, *load, "--instances", "auto")
    assert (without.code, "looks for the fewest that meet limits" in without.err) == (2, True)
    each = simulate(profile, *load, "--instances", "auto", "--slo", "ttft:100")
    assert 'add a share: --slo "attainment>=95%"' in each.err
    few = simulate(profile, *load, "--instances", "auto:1", "--slo", "mean_ttft<=30ms")
    assert few.code == 3
    assert "1 instance does not meet mean_ttft<=30ms: allow more (--instances auto:4)" in few.out
