"""Command lines as published documents print them: each is understood, and ours is accepted by our own parser."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from inferometer import cli
from inferometer.cli.parse import parse_run
from inferometer.cli.run import merged_from
from inferometer.cli.speed import _parser as speed_parser
from inferometer.exchange.compat.convert import Converted, convert
from inferometer.exchange.compat.shell import filled
from inferometer.exchange.compat.tool import Kind

DATA = Path(__file__).parents[2] / "data" / "compat"
SCRIPT = DATA / "lmdeploy-deepseekv3-benchmark.sh"
SOURCES = Path("/work/shared/sources")
# The page of this document lost its line ends; the others have one behind each backslash.
IN_ONE_LINE = "ascend-vllm-inference-guide.md"
VALUES = {
    "docker_ip": "127.0.0.1",
    "port": "8080",
    "height": "64",
    "width": "64",
    "URL": "http://127.0.0.1:8080",
    "CONCURRENCY": "4",
    "MAX_OUT_LEN": "512",
    "DATASET": "open_qa.jsonl",
}
NAMED = re.compile(
    r"(?:evalscope-perf|evalscope perf|vllm bench \w+|ais_bench|(?<![\w-])benchmark|\w*benchmark_parallel\.py|"
    r"benchmark_serving\.py|generate_datasets?\.py|profile_\w+\.py|speed_benchmark_\w+\.py|sglang\.bench_serving|"
    r"aiperf|genai-perf|genai-bench|guidellm) (?:\\ )?(?=-{1,2}[A-Za-z]|https?:)"
)


def documented() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    document = ""
    for line in (DATA / "documented.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            document = line[3:]
        elif line and not line.startswith("#"):
            found.append((document, line))
    return found


def converted(document: str, line: str) -> Converted:
    (found,) = convert(line if document == IN_ONE_LINE else line.replace("\\ ", "\\\n"))
    return found


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that the lines name, made up."""
    monkeypatch.chdir(tmp_path)
    rows = [{"instruction": "NA", "input": f"Question {n}?", "output": "An answer."} for n in range(8)]
    turns = [
        {"from": "human", "value": "What is it that you see?"},
        {"from": "gpt", "value": "It is a house, I say."},
    ]
    sharegpt = [{"id": str(n), "conversations": turns} for n in range(8)]
    problems = [{"task_id": f"HumanEval/{n}", "prompt": "def f(x):\n"} for n in range(8)]
    length = {"Method": "uniform", "Params": {"MinValue": 8, "MaxValue": 8}}
    files = {
        "custom_dataset.json": json.dumps(rows),
        "custom_datasets.json": json.dumps(rows),
        "datasets/open_qa.jsonl": '{"question": "Who?"}\n' * 8,
        "open_qa.jsonl": '{"question": "Who?"}\n' * 8,
        "datasets/ShareGPT_V3_unfiltered_cleaned_split.json": json.dumps(sharegpt),
        "human-eval-v2-20210705.jsonl": "".join(json.dumps(row) + "\n" for row in problems),
        "synthetic_config.json": json.dumps({"Input": length, "Output": length, "RequestCount": 8}),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def carried_out_dry(found: Converted) -> None:
    """Our command passes its own parser, and ``--dry-run`` where there is one."""
    argv = [filled(word, VALUES) for word in found.argv]
    # No tokenizer is made up, and the page gives no address.
    argv = [
        "builtin" if before == "--tokenizer" else word
        for before, word in zip(["", *argv], argv, strict=False)
    ]
    argv = ["http://127.0.0.1:8080" if word == "xxx" else word for word in argv]
    if argv[0] == "speed":
        assert speed_parser().parse(argv[1:])
        return
    limits = ["--num-requests", "8"] if argv[0] == "data" else ["--dry-run"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*argv, *limits])
    assert code == 0, err.getvalue()


@pytest.mark.parametrize(("document", "line"), documented())
def test_a_documented_line_is_understood_and_its_equivalent_is_accepted(
    document: str, line: str, workplace: Path
) -> None:
    found = converted(document, line)
    assert found.tool is not None
    assert not [remark for remark in found.remarks if remark.kind is Kind.UNKNOWN]
    carried_out_dry(found)
    if found.argv[0] == "data":
        assert len(json.loads((workplace / "custom_datasets.json").read_text(encoding="utf-8"))) == 8


def test_a_documented_script_with_loops_is_one_run_with_lists(workplace: Path) -> None:
    found = [each for each in convert(SCRIPT.read_text(encoding="utf-8")) if each.argv]
    assert len(found) == 1
    assert " ".join(found[0].argv) == (
        "run --url http://127.0.0.1:23333 --backend lmdeploy --request-rate inf --num-prompts 10000 --warmup 1 "
        "--seed 1 --dataset random --input-len 2048 --output-len 1024 2048 4096 8192 --range-ratio 0 "
        "--range-ratio-as sglang "
        "--temperature 0 --ignore-eos"
    )
    carried_out_dry(found[0])


def test_usual_lines_of_every_tool_are_accepted_by_our_rules() -> None:
    lines = [line for line in (DATA / "usual.sh").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    for line in lines:
        (found,) = convert(line)
        assert not [remark for remark in found.remarks if remark.kind is Kind.UNKNOWN], line
        argv = [
            "/dev/null" if word.endswith("ShareGPT.json") else filled(word, VALUES) for word in found.argv
        ]
        if "$" not in " ".join(argv):
            merged_from(parse_run(argv[1:], argv[0]))


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the documents are not on this machine")
def test_no_load_test_of_the_documents_is_missing_from_the_list() -> None:
    script = " ".join(SCRIPT.read_text(encoding="utf-8").split())
    missing: list[str] = []
    for file in sorted(SOURCES.glob("*.md")):
        text = " ".join(file.read_text(encoding="utf-8").split())
        known = [line for document, line in documented() if document == file.name] + [script]
        spans = [match.span() for line in known for match in re.finditer(re.escape(line), text)]
        missing += [
            f"{file.name}: {text[match.start() : match.end() + 60]}"
            for match in NAMED.finditer(text)
            if not any(start <= match.start() < end for start, end in spans)
        ]
    assert not missing
