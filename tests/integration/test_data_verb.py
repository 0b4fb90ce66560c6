"""Data sets as a person makes, reads and sends them."""

from __future__ import annotations

import json

import pytest
from commands import check_message, check_succeeded, here, stored

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
GUIDE_INPUT = ("--min-input", 100, "--max-input", 3600, "--avg-input", 1800, "--std-input", 500)
GUIDE_OUTPUT = ("--min-output", 40, "--max-output", 256, "--avg-output", 160, "--std-output", 30)
MINDIE = """{
    "Input":{
        "Method": "uniform",
        "Params": {"MinValue": 256, "MaxValue": 256}
    },
    "Output": {
        "Method": "gaussian",
        "Params": {"Mean": 100, "Var": 200, "MinValue": 256, "MaxValue": 256}
    },
    "RequestCount": 20
}
"""


def data(*argv):
    done = here("data", *map(str, argv))
    assert done.code == 0, done
    return done.out


def test_the_guides_command_makes_the_guides_records(tmp_path):
    out = tmp_path / "custom_datasets.json"
    told = data(
        "make", "--dataset", out, "--tokenizer", "builtin", *GUIDE_INPUT, *GUIDE_OUTPUT, "--num-requests", 100
    )
    assert "prompts   asked    1,800.0     500.0     100   3,600" in told
    assert "100 prompts, none of another length" in told
    rows = json.loads(out.read_text())
    assert len(rows) == 100
    assert all(row.keys() == {"input", "output", "instruction"} for row in rows)
    lengths = [BUILTIN.count(row["input"]) for row in rows]
    assert abs(sum(lengths) / 100 - 1800) < 36
    assert all(40 <= BUILTIN.count(row["output"]) <= 256 for row in rows)


def test_what_was_made_can_be_inspected_converted_and_sampled(tmp_path):
    made = tmp_path / "made.jsonl"
    lengths = ("--lengths", "U(30,60)/(5,9)", "--text", "english", "--prefix-len", 20, "--prefix-groups", 2)
    data("make", "-o", made, "-n", 40, *lengths)
    found = json.loads(data("inspect", made, "--json").splitlines()[-1])
    assert (found["rows"], found["duplicates"], found["languages"]) == (40, 0, {"english": 40})
    assert (min(found["inputs"]) >= 30, max(found["inputs"]) <= 60) == (True, True)
    assert abs(found["shared"] - 20 * 38 / (40 * found["mean_input"])) < 0.002
    for name, file in (
        ("records", "a.json"),
        ("sharegpt", "b.json"),
        ("openai", "c.jsonl"),
        ("mooncake", "d.jsonl"),
    ):
        assert "40 rows" in data("convert", made, "--to", name, "-o", tmp_path / file)
        again = json.loads(data("inspect", tmp_path / file, "--json").splitlines()[-1])
        assert (again["inputs"], again["outputs"]) == (found["inputs"], found["outputs"])
    data("sample", made, "-n", 7, "-o", tmp_path / "few.jsonl")
    few = (tmp_path / "few.jsonl").read_text().splitlines()
    assert len(few) == 7
    assert set(few) < set(made.read_text().splitlines())


def test_anonymised_data_keeps_lengths_and_blocks_and_no_text(tmp_path):
    made, blocks = tmp_path / "made.jsonl", tmp_path / "blocks.jsonl"
    data("make", "-o", made, "-n", 10, "--input-len", 64, "--output-len", 5, "--prefix-len", 32)
    data("anonymise", made, "-o", blocks, "--block-size", 16)
    rows = [json.loads(line) for line in blocks.read_text().splitlines()]
    assert {row["input_tokens"] for row in rows} == {64}
    assert {tuple(row["hash_ids"][:2]) for row in rows} == {(0, 1)}
    assert len({row["hash_ids"][2] for row in rows}) == 10
    assert all(
        set(row) == {"timestamp_ms", "input_tokens", "output_tokens", "hash_ids", "block_size"}
        for row in rows
    )
    found = json.loads(data("inspect", blocks, "--json").splitlines()[-1])
    assert found["shared"] == pytest.approx(32 * 9 / 640, abs=0.02)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("make",), "does not know where to write"),
        (("make", "-o", "OUT", "--std-input", "5000"), "--std-input 5000 is impossible"),
        (("make", "-o", "OUT", "--avg-input", "9"), "--avg-input 9 is outside --min-input 100"),
        (("make", "-o", "OUT", "--avg-input", "900", "--input-len", "9"), "both set lengths"),
        (("make", "-o", "OUT", "-n", "0"), "--num-requests 0 is below 1"),
        (("make", "-o", "OUT", "--format", "yaml"), "there is no format 'yaml'"),
        (("make", "-o", "/none/x.json"), "/none is no directory"),
        (("make", "-o", "OUT", "--input-len", "4", "9"), "several lengths make several files"),
        (("make", "-o", "OUT", "--dataset-type", "fixed"), "--dataset-type fixed needs a length"),
        (("mke",), "unknown action 'mke'"),
        (("inspect", "/none.jsonl"), "does not exist"),
        (("sample", "FILE", "-n", "9", "-o", "OUT"), "has 1 rows, and 9 were asked for"),
        (("convert", "FILE", "--to", "openai", "-o", "FILE"), "is the file that is read"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, argv, words):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "hello there"}\n')
    places = {"OUT": str(tmp_path / "out.json"), "FILE": str(file)}
    check_message(here("data", *(places.get(word, word) for word in argv)), 2, words)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def send(tmp_path, *flags):
    with start_simulated_server(SimSettings()) as server:
        done = here(
            "run", "--url", server.url, "--out", str(tmp_path / "runs"), "--quiet", "--warmup", "2", *flags
        )
    check_succeeded(done, tmp_path / "runs")
    record = stored(tmp_path / "runs")
    (table,) = record.measured
    return table


def test_mindies_synthetic_config_runs_as_it_is(tmp_path):
    (tmp_path / "synthetic_config.json").write_text(MINDIE)
    table = send(tmp_path, "--lengths", str(tmp_path / "synthetic_config.json"), "--max-concurrency", "20")
    assert set(table.number("input_tokens_client")) == {256}
    assert set(table.number("output_tokens_server")) == {256}
    assert len(table.number("output_tokens_server")) == 20
    assert "lies outside" in table.point.dataset["notes"][0]


def test_a_run_with_drawn_lengths_and_shared_prefixes(tmp_path):
    lengths = ("--input-dist", "uniform:min=40,max=60", "--output-len", "8", "--range-ratio-as", "vllm")
    table = send(
        tmp_path,
        *lengths[:4],
        "--prefix-len",
        "30",
        "--prefix-groups",
        "2",
        "--text",
        "chinese",
        "--max-concurrency",
        "4",
    )
    asked, client = table.number("input_tokens_target"), table.number("input_tokens_client")
    assert list(asked) == list(client)
    assert len(set(asked)) > 5
    assert table.point.dataset["expected_hit_share"] == 0.6


def test_answers_of_a_range_have_their_own_lengths(tmp_path):
    table = send(
        tmp_path, "--input-len", "20", "--output-len", "20", "--range-ratio", "0.5", "--max-concurrency", "4"
    )
    answers = table.number("output_tokens_server")
    assert list(answers) == list(table.number("output_tokens_target"))
    assert 10 <= min(answers) < max(answers) <= 30
