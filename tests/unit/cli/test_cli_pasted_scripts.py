"""Command lines of MindIE's and EvalScope's documents, typed here as they stand there."""

from __future__ import annotations

import shlex

import pytest

from inferometer.cli.parse import parse_run
from inferometer.errors import UsageError
from inferometer.exchange.compat.translate import translate

MINDIE = (
    '--DatasetType "synthetic" --ModelName qwen --TestType vllm_client --Http http://127.0.0.1:1025 '
    "--ManagementHttp http://127.0.0.2:1026 --Concurrency 100 --MaxOutputLen 256 --TaskKind stream --Tokenizer True "
    "--SyntheticConfigPath ./synthetic_config.json"
)


def ours(line: str) -> str:
    return shlex.join(translate(shlex.split(line)).argv())


def test_a_line_of_mindie_benchmark_is_understood_as_it_stands() -> None:
    done = translate(shlex.split(MINDIE))
    assert shlex.join(done.argv()) == (
        "--dataset random --model qwen --backend vllm-generate --url http://127.0.0.1:1025 --max-concurrency 100 "
        "--lengths ./synthetic_config.json"
    )
    assert any(
        "--MaxOutputLen is not needed here: synthetic data has its own lengths" in hint for hint in done.hints
    )


def test_the_output_limit_of_mindie_counts_where_the_data_has_no_lengths() -> None:
    assert ours("--DatasetType gsm8k --MaxOutputLen 256") == "--dataset openqa --max-tokens 256"


@pytest.mark.parametrize("line", ["--TaskKind text", "--Tokenizer False", "--Distribution uniform"])
def test_what_mindie_means_otherwise_is_not_taken_for_the_same(line: str) -> None:
    with pytest.raises(UsageError, match="in this version"):
        translate(shlex.split(line))


def test_the_two_dashes_of_evalscope_perf_before_n() -> None:
    assert ours("--parallels 1 --n 1") == "--max-concurrency 1 --num-prompts 1"


def test_a_url_without_its_flag_is_told_where_it_goes() -> None:
    with pytest.raises(UsageError) as error:
        parse_run(["http://127.0.0.1:8000/v1/chat/completions", "qwen2.5"])
    assert error.value.next_step == "write --url http://127.0.0.1:8000/v1/chat/completions"


def test_the_speed_benchmark_is_a_preset_here() -> None:
    with pytest.raises(UsageError) as error:
        translate(shlex.split("--parallel 1 --dataset speed_benchmark"))
    assert "--preset speed" in str(error.value.next_step)
    with pytest.raises(UsageError) as error:
        translate(shlex.split("--parallel 1 --api local_vllm"))
    assert error.value.next_step.startswith("inferometer speed MODEL --api local_vllm; or serve the model")
