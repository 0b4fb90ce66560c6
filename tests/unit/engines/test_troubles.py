import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.engines import ENGINES
from inferometer.engines.engine import Engine
from inferometer.testing.engines import check_trouble

LOGS = Path(__file__).parents[2] / "data" / "engine_logs"
REPORTED: list[dict[str, Any]] = json.loads((LOGS / "reported.json").read_text("utf-8"))
# Logs of vLLM 0.32.0 on CPU that was made to fail; tracebacks are left out.
MADE = {
    "heads": ("4 attention heads cannot be spread over 3 devices", "tensor parallel size of 1, 2 or 4"),
    "dtype": ("--dtype cannot be fp12", "'bfloat16', 'float'"),
    "flag": ("does not have --no-such-flag 3", "--help"),
    "no-weights": ("no weights in /models/noweights", ".safetensors"),
    "too-long": ("1000000 tokens is more than the model's 32768", "32768 or less"),
    "architecture": ("does not know the architecture FooForCausalLM", "newer version"),
    "model-type": ("does not know the model type foo", "newer Transformers"),
    "kv-cache": (
        "4000000 tokens needs 1.91 GiB of KV cache, and 1.0 GiB are left",
        "a maximum length of 2097024",
    ),
    "remote-code": ("brings code of its own", "--trust-remote-code"),
    "no-config": (
        "/models/noconfig is neither a folder with a config.json nor a name on a hub",
        "further down",
    ),
    "no-folder": ("there is no folder /models/nowhere", "check the path"),
    "offline": ("is not on this machine", "HF_HUB_OFFLINE"),
    "lfs-pointer": ("pointer of Git LFS", "git lfs pull"),
    "quantization-config": ("lacks 'sym'", "quantize the model again"),
    "quantization": ("does not know the quantization nosuch", "'awq'"),
    "not-quantized": ("awq was asked for, and the model is not quantized so", "leave the quantization out"),
    "port": ("the port is taken", "0 for one that is free"),
}


def engine_called(name: str) -> Engine:
    engine: Engine = ENGINES.get(name)()
    return engine


@pytest.mark.parametrize("name", MADE)
def test_a_vllm_that_was_made_to_fail_is_explained(name: str) -> None:
    log = (LOGS / f"vllm-{name}.log").read_text("utf-8")
    trouble = check_trouble(engine_called("vllm").trouble(log), log)
    message, next_step = MADE[name]
    assert message in trouble.message
    assert next_step in trouble.next_step
    assert "Engine core initialization failed" not in trouble.line


@pytest.mark.parametrize("case", REPORTED, ids=lambda case: f"{case['engine']}-{case['message'][:30]}")
def test_a_failure_that_was_reported_is_explained(case: dict[str, Any]) -> None:
    trouble = check_trouble(engine_called(case["engine"]).trouble(case["log"]), case["log"])
    assert case["message"] in trouble.message
    assert case["next_step"] in trouble.next_step


@pytest.mark.parametrize("engine", ["vllm", "sglang", "lmdeploy", "tgi", "mindie"])
def test_a_log_of_a_server_that_came_up_shows_no_trouble(engine: str) -> None:
    log = (LOGS / "vllm-ready.log").read_text("utf-8")
    assert "Too many open files" in log  # a warning that names an error
    assert engine_called(engine).trouble(log) is None


def test_the_cause_is_named_and_not_what_follows_from_it() -> None:
    log = (
        "INFO Address already in use. Retrying with a new port.\n"
        "RuntimeError: CUDA out of memory. Tried to allocate 1.00 GiB\n"
        "DistBackendError: NCCL error in: x.cpp:1, remote process exited or there was a network error, NCCL version 2\n"
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
    )
    trouble = check_trouble(engine_called("vllm").trouble(log), log)
    assert trouble.line == "RuntimeError: CUDA out of memory. Tried to allocate 1.00 GiB"
    later = log + "ValueError: No available memory for the cache blocks. x\n"
    assert engine_called("vllm").trouble(later).line.startswith("ValueError: No available")  # type: ignore[union-attr]


def test_a_line_of_any_length_is_cut_at_what_matters() -> None:
    log = f"{'x' * 5000} Model architectures ['FooForCausalLM'] are not supported for now. {'y' * 5000}\n"
    trouble = check_trouble(engine_called("vllm").trouble(log), log)
    assert trouble.line.startswith("Model architectures ['FooForCausalLM']")
    assert len(trouble.line) < 310
