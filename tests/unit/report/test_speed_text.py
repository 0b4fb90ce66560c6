"""A measurement of speed in each of its forms."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import RunFolderError
from inferometer.metrics.speed_conditions import summarize_speed
from inferometer.record.speed import EngineFacts, Generation, SpeedRecord, read_speed, write_speed
from inferometer.report.speed import evalscope_rows, render, write_speed_files
from inferometer.report.text import counted, quantity

GIB = 1 << 30


def generation(length: int, repeat: int, **values: Any) -> Generation:
    """2,048 tokens in 40 s, the first after a second."""
    second = 10**9
    about: dict[str, Any] = {
        "begin_ns": 0, "end_ns": 40 * second, "first_token_ns": [second], "last_token_ns": [40 * second],
        "output_tokens": [2048], "memory_bytes": 2 * GIB, "memory_of": "device", "outcome": "ok", "batch": 1,
    }  # fmt: skip
    return Generation(input_tokens=length, asked_tokens=2048, repeat=repeat, **{**about, **values})


def record(*extra: Generation, **facts: Any) -> SpeedRecord:
    measured = [generation(length, repeat) for length in (1, 6144) for repeat in (1, 2, 3)]
    oom = Generation(
        input_tokens=129024, batch=1, asked_tokens=16, repeat=0, outcome="oom", reason="OutOfMemoryError: a|b"
    )
    about = EngineFacts(
        **{"dtype": "BF16", "device": "cuda", "device_count": 2, "device_names": ["A100"], **facts}
    )
    return SpeedRecord(
        run_id="r", state="complete", created_utc="", engine="transformers", model="Qwen/Qwen2.5-0.5B-Instruct",
        spec={"generate_len": 2048}, facts=about, generations=[*measured, oom, *extra],
    )  # fmt: skip


def test_evalscope_s_json_has_its_keys_and_the_rows_that_were_measured() -> None:
    assert evalscope_rows(summarize_speed(record())) == [
        {"Prompt Tokens": 1, "Speed(tokens/s)": 51.2, "GPU Memory(GB)": 2.0},
        {"Prompt Tokens": 6144, "Speed(tokens/s)": 51.2, "GPU Memory(GB)": 2.0},
    ]


def test_evalscope_s_json_has_the_smallest_batch_and_no_memory_that_is_none_of_a_device() -> None:
    more = generation(1, 1, batch=8, first_token_ns=[1] * 8, last_token_ns=[9] * 8, output_tokens=[2048] * 8)
    rows = evalscope_rows(summarize_speed(record(more, generation(7, 1, memory_of="process"))))
    assert [row["Prompt Tokens"] for row in rows] == [1, 6144, 7]
    assert rows[-1]["GPU Memory(GB)"] is None


def test_qwen_s_table() -> None:
    lines = render(summarize_speed(record()), "md").splitlines()
    assert lines[0] == (
        "| Model | Input Length | Quantization | GPU Num | Speed(tokens/s) | GPU Memory(GB) | Note |"
    )
    assert lines[2] == "| Qwen2.5-0.5B-Instruct | 1 | BF16 | 2 | 51.20 | 2.00 |  |"
    assert lines[4] == ("| Qwen2.5-0.5B-Instruct | 129024 | BF16 | 2 | OOM | OOM | OutOfMemoryError: a/b |")
    assert "mean of 3 repeats" in lines[-1]


def test_qwen_s_table_names_the_quantization_and_several_batch_sizes() -> None:
    text = render(summarize_speed(record(generation(1, 1, batch=2), quantization="GPTQ-Int4")), "md")
    assert "| Batch Size |" in text
    assert "| GPTQ-Int4 |" in text


def test_the_console_has_every_row_and_why_one_is_missing() -> None:
    text = render(summarize_speed(record()))
    assert text.startswith("VALID: 2 of 3 rows measured")
    assert "OOM" in text
    assert "input 129,024 batch 1: OOM: OutOfMemoryError: a|b" in text
    assert "Qwen/Qwen2.5-0.5B-Instruct: transformers, A100, BF16" in text


def test_csv_has_plain_numbers_and_empty_cells() -> None:
    rows = list(csv.DictReader(render(summarize_speed(record()), "csv").splitlines()))
    assert [row["speed_per_s"] for row in rows] == ["51.2", "51.2", ""]
    assert {row["verdict"] for row in rows} == {"VALID"}


def test_everything_derived_can_be_made_again(tmp_path: Path) -> None:
    write_speed(tmp_path, record())
    write_speed_files(tmp_path, summarize_speed(read_speed(tmp_path)))
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in first.keys() - {"speed.json"}:
        (tmp_path / name).unlink()
    write_speed_files(tmp_path, summarize_speed(read_speed(tmp_path)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert sorted(first) == ["speed.json", "speed.md", "speed_benchmark.json", "speed_summary.json"]
    assert json.loads(first["speed_summary.json"])["rows"][0]["speed_per_s"] == pytest.approx(51.2)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ('{"schema":"inferometer.speed/9"}', "cannot be read")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RunFolderError, match="holds no measurement"):
        read_speed(tmp_path)
    (tmp_path / "speed.json").write_text(text)
    with pytest.raises(RunFolderError, match=words):
        read_speed(tmp_path)


def test_one_of_a_thing_is_in_the_singular() -> None:
    assert [quantity(n, "values") for n in (0, 1, 1000)] == ["0 values", "1 value", "1,000 values"]
    assert counted(1, "load points") == "1 load point"
    assert quantity(1, "s") == "1 s"
