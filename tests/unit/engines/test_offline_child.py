"""The process that holds an engine: real processes, and libraries that really fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inferometer.clock import MonotonicClock
from inferometer.engines.offline import Ask, BrokenError
from inferometer.engines.offline.child import model, trouble
from inferometer.engines.offline.local import LocalEngine, environment_of
from inferometer.engines.offline.process import Child, child_program, ending
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.loadgen.stop import StopSignal
from inferometer.spec.speed import SpeedSpec, speed_spec

LIMIT_S = 30.0


def spec_of(folder: Path, **values: Any) -> SpeedSpec:
    (folder / "config.json").write_text("{}")
    return speed_spec({"model": str(folder), "input_len": 4, "generate_len": 2, **values})


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    one = Child(sys.executable, tmp_path / "log", os.environ, MonotonicClock(), StopSignal())
    yield one
    one.close()


def load_with(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a model where ``import transformers`` does what ``library`` says."""
    (tmp_path / "transformers.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = LocalEngine(spec_of(tmp_path), tmp_path, MonotonicClock(), StopSignal(), lambda line: None)
    try:
        engine.load((6,))
    finally:
        engine.close()


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", *child_program(sys.executable)[1:]],
        input=b'{"do": "dance"}\n',
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert done.stdout == b'{"outcome": "failed", "reason": "ValueError: unknown order \'dance\'"}\n'


def test_memory_that_runs_out_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenError) as caught:
        load_with("bytearray(1 << 60)", tmp_path, monkeypatch)
    assert (caught.value.outcome, caught.value.reason) == ("oom", "MemoryError")


def test_a_child_that_is_killed_ran_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenError) as caught:
        load_with("import os; os.kill(os.getpid(), 9)", tmp_path, monkeypatch)
    assert caught.value.outcome == "oom"
    assert "signal 9" in caught.value.reason


def test_a_crash_says_how_it_ended_and_what_was_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BrokenError) as caught:
        load_with("import os; print('illegal tile', flush=True); os.abort()", tmp_path, monkeypatch)
    assert (caught.value.outcome, caught.value.reason) == ("crashed", "SIGABRT: illegal tile")


def test_what_a_library_throws_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenError) as caught:
        load_with("raise RuntimeError('no such kernel')", tmp_path, monkeypatch)
    assert (caught.value.outcome, caught.value.reason) == ("failed", "RuntimeError: no such kernel")


def test_a_library_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    spec = spec_of(tmp_path, python=sys.executable)
    engine = LocalEngine(spec, tmp_path, MonotonicClock(), StopSignal(), lambda line: None)
    with pytest.raises(UsageError, match="no transformers") as caught:
        engine.load((6,))
    engine.close()
    step = str(caught.value.next_step)
    assert step.startswith(f"{sys.executable} -m pip install transformers (or inferometer[local]")


def test_killed_between_two_orders_it_is_an_outcome_of_the_next(child: Child, told: list[str]) -> None:
    assert child.ask({"do": "dance"}, LIMIT_S, told.append)["outcome"] == "failed"
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(BrokenError, match="signal 9"):
        child.ask({"do": "dance"}, LIMIT_S, told.append)


def test_silence_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "transformers.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    spec = spec_of(tmp_path, load_limit_s=0.3)
    engine = LocalEngine(spec, tmp_path, MonotonicClock(), StopSignal(), lambda line: None)
    with pytest.raises(BrokenError, match=r"no answer within 0\.3 s"):
        engine.load((6,))
    engine.close()


def test_ctrl_c_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "transformers.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stop = StopSignal()
    stop.request()
    engine = LocalEngine(spec_of(tmp_path), tmp_path, MonotonicClock(), stop, lambda line: None)
    with pytest.raises(InterruptedEarlyError):
        engine.load((6,))
    engine.close()


def test_no_such_interpreter(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--python /nowhere/python"):
        Child("/nowhere/python", tmp_path / "log", {}, MonotonicClock(), StopSignal())


@pytest.mark.parametrize(
    ("code", "log", "killed", "outcome", "reason"),
    [
        (-9, "", True, "oom", "killed by the kernel's OOM killer (signal 9)"),
        (
            -6,
            "terminate called\n  what():  std::bad_alloc\n",
            False,
            "oom",
            "SIGABRT: what():  std::bad_alloc",
        ),
        (-11, "", False, "crashed", "SIGSEGV"),
        (3, "no licence\n\n", False, "crashed", "exit status 3: no licence"),
        (0, "", False, "crashed", "exit status 0 and no answer: --python has to name a Python"),
    ],
)
def test_what_an_end_means(code: int, log: str, killed: bool, outcome: str, reason: str) -> None:
    assert ending(code, log, killed) == (outcome, reason)


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


class GatedRepoError(Exception):
    """As huggingface_hub calls it."""


def test_what_an_exception_means() -> None:
    of = trouble.explained
    assert of(OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB\nmore")) == {
        "outcome": "oom",
        "reason": "OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB",
    }
    assert of(RuntimeError("NPU out of memory"))["outcome"] == "oom"
    assert of(ValueError("3.5 GiB KV cache is needed, which is larger than available"))["outcome"] == "oom"
    assert of(ValueError("head_dim"))["outcome"] == "failed"
    assert "HF_TOKEN" in of(GatedRepoError("401"))["next_step"]
    assert of(trouble.ForUserError("what", "how")) == {"message": "what", "next_step": "how"}


class Config:
    """A model's configuration, as transformers hands it out."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def test_positions_are_stretched_where_the_configuration_says_so() -> None:
    yarn = {"factor": 4.0, "original_max_position_embeddings": 32768}
    assert model._positions(Config(max_position_embeddings=32768)) == 32768
    assert model._positions(Config(max_position_embeddings=32768, rope_scaling=yarn)) == 131072
    assert model._positions(Config(n_positions=1024)) == 1024
    assert model._positions(Config()) is None


def test_quantization_is_named_as_reports_name_it() -> None:
    assert model._quantization(Config()) is None
    assert model._quantization(Config(quantization_config={"quant_method": "gptq", "bits": 4})) == "GPTQ-Int4"
    assert model._quantization(Config(quantization_config={"quant_method": "awq", "bits": 4})) == "AWQ"


def test_devices_are_named_in_every_vendor_s_variable(tmp_path: Path) -> None:
    found = environment_of(spec_of(tmp_path, devices="2,3"), {"HOME": "/"})
    assert found["CUDA_VISIBLE_DEVICES"] == found["ASCEND_RT_VISIBLE_DEVICES"] == "2,3"
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_VISIBLE_DEVICES" not in environment_of(spec_of(tmp_path), {"HOME": "/"})
    order = {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    assert environment_of(spec_of(tmp_path), order)["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_an_ask_that_failed_keeps_what_was_asked() -> None:
    failed = Ask(8, 2, 16, 1).failed("oom", "why")
    assert (failed.input_tokens, failed.batch, failed.asked_tokens, failed.outcome) == (8, 2, 16, "oom")
