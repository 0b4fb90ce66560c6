"""Tests against engines of other environments. Only ``make test-engines`` runs them: it says where the engines are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.clock import MonotonicClock
from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.engine import Settings
from inferometer.engines.start import RunningEngine, Where, start
from inferometer.loadgen.stop import StopSignal
from inferometer.models.tiny import EOS_BIAS, TinyModel, make_tiny_model

# Not left to the commands under test, which take INFEROMETER_* for settings.
PROGRAM = os.environ.pop("INFEROMETER_VLLM_PROGRAM", None)
if PROGRAM is None:
    collect_ignore_glob = ["test_*.py"]

READY_LIMIT_S = 600.0
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


def vllm_settings(model: Path, *extra: str) -> Settings:
    """A vLLM of this environment that takes little memory and compiles nothing."""
    assert PROGRAM is not None
    return Settings(
        model=str(model),
        served_name="tiny",
        port=0,
        max_model_len=2048,
        max_num_seqs=16,
        program=(PROGRAM, "serve"),
        env=QUIET,
        extra=("--enforce-eager", *extra),
    )


def where(folder: Path, *, unchecked: bool = False) -> Where:
    """One core for the engine: the other is the load generator's."""
    cores = (min(os.sched_getaffinity(0)),) if len(os.sched_getaffinity(0)) > 1 else ()
    return Where(
        folder=folder, clock=MonotonicClock(), cores=cores, ready_limit_s=READY_LIMIT_S, unchecked=unchecked
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A model that ends its answers within a handful of tokens, if it may."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny"), eos_bias=EOS_BIAS)


@pytest.fixture(scope="session")
def vllm(tiny: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """One vLLM for all tests that only ask it."""
    settings = vllm_settings(tiny.folder)
    with start(
        VLLM(), settings, where(tmp_path_factory.mktemp("vllm")), StopSignal(), lambda _: None
    ) as running:
        yield running
