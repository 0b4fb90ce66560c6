"""Offline speed with transformers on an accelerator, where the engines' environment has one."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import PROGRAM

from inferometer import cli
from inferometer.models.tiny import TinyModel, make_tiny_model
from inferometer.record.speed import read_speed

PYTHON = Path(str(PROGRAM)).with_name("python")
_LOOK = """
import torch
npu = getattr(torch, "npu", None)
print("cuda:0" if torch.cuda.is_available() else "npu:0" if npu is not None and npu.is_available() else "")
"""


@pytest.fixture(scope="module")
def device() -> str:
    """The first accelerator that the environment's PyTorch sees."""
    seen = subprocess.run([str(PYTHON), "-c", _LOOK], check=True, capture_output=True, text=True, timeout=300)
    if not seen.stdout.strip():
        pytest.skip(f"PyTorch of {PYTHON} sees no accelerator")
    return seen.stdout.strip()


def test_speed_of_transformers_on_the_device(device: str, tmp_path: Path) -> None:
    model: TinyModel = make_tiny_model(tmp_path / "tiny")
    rows = ("--input-len", "1", "64", "--generate-len", "32", "--repeats", "2", "--dtype", "bfloat16")
    asked = (
        "speed",
        str(model.folder),
        "--python",
        str(PYTHON),
        "--device",
        device,
        "--out",
        str(tmp_path / "out"),
    )
    assert cli.main([*asked, *rows, "--no-require-idle", "--quiet"]) in (0, 5)
    (folder,) = (path for path in (tmp_path / "out").iterdir() if not path.is_symlink())
    found = read_speed(folder).generations
    assert {(each.input_tokens, each.outcome) for each in found} == {(1, "ok"), (64, "ok")}
    assert all(each.output_tokens == [32] for each in found)
    assert json.loads((folder / "speed_benchmark.json").read_text("utf-8"))
