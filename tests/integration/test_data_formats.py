"""Each data set format, measured against the simulated server; and what a bad row does to a run."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import zstandard
from commands import Done, check_message, check_succeeded, folders, here, statuses, stored

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.workload import files

DATA = Path(__file__).parents[3] / "shared" / "data" / "questions"
TALK = [
    {"from": "human", "value": "why is the sky blue today"},
    {"from": "gpt", "value": "because the air scatters light"},
    {"from": "human", "value": "and why is it red at night"},
    {"from": "gpt", "value": "because the way is longer then"},
]
MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why is it blue"}]
ROWS: dict[str, list[object]] = {
    "sharegpt": [{"conversations": TALK}, {"conversation": [{"human": "a b c d", "assistant": "e f g h i"}]}],
    "alpaca": [{"instruction": "Sort.", "input": "3 1 2", "output": "1 2 3"}] * 2,
    "openqa": [{"question": "why"}, {"question": "who"}],
    "codefuse": [{"instruction": "Write a sort."}, {"input": "Write a search."}],
    "longalpaca": [{"instruction": "word " * 3000}] * 2,
    "humaneval": [{"task_id": "HumanEval/0", "prompt": "def f():\n"}] * 2,
    "mtbench": [{"question_id": 1, "category": "math", "turns": ["one", "two"]}] * 2,
    "specbench": [{"question_id": 1, "category": "math", "turns": ["one"]}] * 2,
    "custom": [{"query": "why", "response": "because of it"}] * 2,
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("INFEROMETER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        yield server.url


Measure = Callable[..., Done]


@pytest.fixture
def measure(url: str, tmp_path: Path) -> Measure:
    """``inferometer run`` of two requests from a file."""

    def run(dataset: str, path: object, *flags: str, number: int = 2) -> Done:
        load = ("--max-concurrency", "2", "--num-prompts", str(number), "--warmup", "0", "--max-tokens", "4")
        data = ("--dataset", dataset, "--dataset-path", str(path))
        return here("run", "--url", url, "--out", str(tmp_path / "runs"), "--quiet", *load, *data, *flags)

    return run


def check_sent(done: Done, tmp_path: Path, number: int = 2) -> None:
    check_succeeded(done, tmp_path / "runs")
    assert statuses(stored(tmp_path / "runs")) == ["ok"] * number


@pytest.mark.parametrize("dataset", ROWS)
def test_a_format_is_measured(dataset: str, measure: Measure, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(ROWS[dataset]))
    check_sent(measure(dataset, file), tmp_path)


@pytest.mark.parametrize(
    ("dataset", "file", "rows"),
    [("openqa", "gsm8k_test.jsonl", 300), ("humaneval", "HumanEval.jsonl.gz", 164)],
)
def test_real_files(dataset: str, file: str, rows: int, measure: Measure, tmp_path: Path) -> None:
    if not (DATA / file).exists():
        pytest.skip(f"sample data is not here: {DATA / file}")
    check_sent(measure(dataset, DATA / file, number=rows), tmp_path, rows)


@pytest.mark.parametrize("ending", ["csv", "tsv.gz", "jsonl.zst", "parquet", "directory", "stdin"])
def test_every_kind_of_file(
    ending: str, measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path: Path | str = tmp_path / f"rows.{ending}"
    lines = b'{"prompt": "why"}\n{"prompt": "who"}\n'
    if ending == "parquet":
        duckdb.connect().execute(f"COPY (SELECT 'why' AS prompt FROM range(2)) TO '{path}'")
    elif ending == "stdin":
        files._standard_input.cache_clear()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines), isatty=lambda: False))
        path = "-"
    elif ending == "directory":
        Path(path).mkdir()
        (Path(path) / "b.csv").write_text("prompt\nwhy\n")
        (Path(path) / "a.jsonl").write_text('{"prompt": "who"}\n')
    else:
        pack = {"csv": bytes, "tsv.gz": gzip.compress, "jsonl.zst": zstandard.compress}[ending]
        table = b"prompt\tid\nwhy\t1\nwho\t2\n" if "tsv" in ending else b"prompt,id\nwhy,1\nwho,2\n"
        Path(path).write_bytes(pack(lines if "jsonl" in ending else table))
    check_sent(measure("custom", path), tmp_path)
    files._standard_input.cache_clear()


def test_lines_of_text_messages_and_bodies(measure: Measure, tmp_path: Path) -> None:
    body = {"messages": MESSAGES, "max_tokens": 7, "ignore_eos": True}
    file = tmp_path / "lines.txt"
    file.write_text(f"why\n{json.dumps(MESSAGES)}\n{json.dumps(body)}\n")
    check_sent(measure("line", file, number=3), tmp_path, 3)
    (table,) = stored(tmp_path / "runs").measured
    tokens = dict(zip(table.number("row"), table.number("output_tokens_server"), strict=True))
    assert tokens[2] == 7  # the row's own limit wins over --max-tokens 4


def test_conversations_are_sent_turn_by_turn(measure: Measure, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"conversations": TALK}] * 2))
    check_succeeded(measure("sharegpt", file, "--multi-turn", "--history", "dataset"), tmp_path / "runs")
    assert statuses(stored(tmp_path / "runs")) == ["ok"] * 4


def test_a_bad_row_stops_the_run_before_it_begins(measure: Measure, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "why"}\n{"quest": "who"}\n')
    check_message(
        measure("openqa", file), 2, f"{file}, line 2: no 'question' or 'prompt'", "--column prompt=NAME"
    )
    assert folders(tmp_path / "runs") == []


def test_bad_rows_that_are_skipped_are_told(measure: Measure, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "why"}\n{"quest": "who"}\n{"question":\n{"question": "who"}\n')
    done = measure("openqa", file, "--on-bad-row", "skip")
    check_sent(done, tmp_path)
    said = "of 4 rows of the data set, 2 (broken_json 1, no_prompt 1) could not be used and were skipped"
    assert said in " ".join(done.out.split())
    (table,) = stored(tmp_path / "runs").measured
    assert table.point.dataset["skipped"] == {"no_prompt": 1, "broken_json": 1}


def test_a_prompt_that_the_model_cannot_hold(measure: Measure, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "why"}\n{"question": "why is the sky so blue"}\n')
    done = measure("openqa", file, "--max-model-len", "8")
    check_message(done, 2, "line 2: prompt of 6 tokens + answer of 4 is 10, above --max-model-len 8")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--category", "math"), "--category is for --dataset mtbench and specbench"),
        (("--column", "prompt=q"), "--column names the columns of --dataset custom"),
        (("--dataset", "custom", "--column", "prompt"), "--column 'prompt' is not ROLE=NAME"),
        (("--dataset", "custom", "--column", "prompt=q", "query=q"), "no role 'query'"),
        (("--dataset", "custom", "--column", "output=q"), "does not say what is sent"),
        (("--dataset", "custom", "--column", "body=a", "output=q"), "no other column can say anything"),
        (("--dataset-path", "hf://o/n"), "does not name a file of a hub"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    flags: tuple[str, ...], words: str, measure: Measure, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "why"}\n')
    done = measure("openqa", file, *flags)
    assert done.code == 2
    assert words in done.err
