"""``inferometer speed`` with the real libraries, on a model that ends its answers early where it may."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import PROGRAM, QUIET

from inferometer import cli
from inferometer.models.tiny import TinyModel
from inferometer.record.speed import SpeedRecord, read_speed

PYTHON = str(Path(str(PROGRAM)).parent / "python")
SHORT = ("--generate-len", "32", "--repeats", "2", "--device", "cpu", "--python", PYTHON, "--quiet")


def measured(model: TinyModel, out: Path, *flags: str) -> tuple[int, SpeedRecord, Path]:
    code = cli.main(["speed", str(model.folder), "--out", str(out), *SHORT, *flags])
    (folder,) = (path for path in out.iterdir() if not path.is_symlink())
    return code, read_speed(folder), folder


def check_whole(record: SpeedRecord, rows: set[tuple[int, int]]) -> None:
    """Every row was measured, each sequence to exactly its length, with a time for each step."""
    good = [each for each in record.generations if each.outcome == "ok" and each.repeat]
    assert {(each.input_tokens, each.batch) for each in good} == rows
    for each in good:
        assert each.output_tokens == [32] * each.batch
        assert each.begin_ns is not None
        assert each.end_ns is not None
        firsts, lasts = each.first_token_ns, each.last_token_ns
        assert len(firsts) == len(lasts) == each.batch
        assert each.begin_ns < min(firsts) < min(lasts) <= max(lasts) <= each.end_ns
        assert len(each.step_ns) >= 32
        assert (each.memory_bytes or 0) > 50 << 20


def test_transformers(tiny: TinyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = ("--input-len", "1", "24000", "40000", "64", "--batch-size", "1", "--format", "md")
    room = ("--attn-implementation", "eager", "--memory-limit", "4g")
    code, record, folder = measured(tiny, tmp_path, *lengths, *room)
    assert code == 0
    check_whole(record, {(1, 1), (64, 1)})
    rows = {each.input_tokens: each.outcome for each in record.generations}
    assert rows == {1: "ok", 24000: "oom", 40000: "too_long", 64: "ok"}
    table = json.loads((folder / "speed_benchmark.json").read_text())
    assert [row["Prompt Tokens"] for row in table] == [1, 64]
    assert "| 24000 | BF16 | 0 | OOM | OOM |" in capsys.readouterr().out
    assert set(record.facts.versions) == {"transformers", "torch", "python"}


def test_vllm(tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(PYTHON).parent}:/usr/bin:/bin")
    flags = (
        "--engine",
        "vllm",
        "--enforce-eager",
        "--input-len",
        "1",
        "300",
        "40000",
        "--batch-size",
        "1",
        "4",
    )
    code, record, _ = measured(tiny, tmp_path, *flags, "--prompt", "random")
    assert code == 0
    check_whole(record, {(length, batch) for length in (1, 300) for batch in (1, 4)})
    assert {each.outcome for each in record.generations if each.input_tokens == 40000} == {"too_long"}
    assert record.facts.device == "cpu"
