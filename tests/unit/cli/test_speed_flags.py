"""The flags of ``speed``: ours, those of the efficiency scripts, and those of EvalScope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferometer.cli.speed import _parser
from inferometer.errors import UsageError
from inferometer.exchange.compat.speed import translated
from inferometer.spec.speed import LENGTHS, SpeedSpec, speed_spec


def parsed(line: str) -> tuple[SpeedSpec, list[str]]:
    parser = _parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    words, hints = translated(line.split(), known)
    found = vars(parser.parse(words))
    values = {name.removeprefix("speed."): value for name, value in found.items()}
    return speed_spec({k: v for k, v in values.items() if k not in ("format", "json", "quiet")}), hints


def test_a_model_alone_is_the_published_procedure() -> None:
    spec, hints = parsed("Qwen/Qwen2.5-0.5B-Instruct")
    assert spec.rows == [(length, 1) for length in LENGTHS]
    assert (spec.generate_len, spec.repeats, spec.engine, hints) == (2048, 3, "transformers", [])


def test_the_scripts_of_qwen() -> None:
    spec, hints = parsed(
        "--model_id_or_path Qwen/Qwen2.5-0.5B-Instruct --context_length 1 --generate_length 64 --gpus 0,1 "
        "--use_modelscope --outputs_dir out --max_model_len 4096 --gpu_memory_utilization 0.8 --enforce_eager "
        "--engine vllm"
    )
    assert (spec.model, spec.input_len, spec.generate_len) == ("Qwen/Qwen2.5-0.5B-Instruct", (1,), 64)
    assert (spec.devices, spec.hub, spec.out, spec.max_model_len) == ("0,1", "modelscope", "out", 4096)
    assert (spec.gpu_memory_utilization, spec.enforce_eager) == (0.8, True)
    assert "--context_length is --input-len here" in hints
    assert "--use_modelscope is --hub modelscope here" in hints


def test_evalscope() -> None:
    spec, hints = parsed(
        "--parallel 1 --model Qwen/Qwen2.5-0.5B-Instruct --attn-implementation flash_attention_2 --log-every-n-query 5 "
        "--connect-timeout 6000 --read-timeout 6000 --max-tokens 2048 --min-tokens 2048 --api local "
        "--dataset speed_benchmark"
    )
    assert (spec.input_len, spec.generate_len, spec.batch_size) == ((1, 6144, 14336, 30720), 2048, (1,))
    assert (spec.engine, spec.attn_implementation) == ("transformers", "flash_attention_2")
    assert any(hint.startswith("--log-every-n-query is not needed here") for hint in hints)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("m --min-tokens 1 --max-tokens 9", "--min-tokens 1 and 9 tokens at most"),
        ("m --dataset sharegpt", "--dataset sharegpt: speed knows speed_benchmark"),
        ("m --input-lens 4", "unknown flag --input-lens"),
        ("m --input-len 0", "--input-len"),
        ("m --memory-limit lots", "--memory-limit 'lots'"),
        ("", "which model to load"),
        ("./nowhere", "is no directory"),
        ("m --engine vllm --url http://h:1", "--url is a server"),
        ("m --engine endpoint", "needs a server"),
        ("--engine endpoint --url http://h:1 --launch vllm", "both name the server"),
        (
            "--engine endpoint --url http://h:1 --python p",
            "--python does nothing with --engine endpoint: it is for transformers and vllm",
        ),
        ("m --engine vllm --device cuda:1", "vLLM chooses its device itself"),
        ("m --tokenizer t", "--tokenizer does nothing with --engine transformers: it is for endpoint"),
        ("m --enforce-eager", "--enforce-eager does nothing with --engine transformers"),
        (
            "m --engine vllm --attn-implementation sdpa",
            "--attn-implementation does nothing with --engine vllm",
        ),
        ("--url http://h:1 --dtype float16", "--dtype does nothing with --engine endpoint"),
        ("m --devices 0,,1", "--devices '0,,1' is no list of devices"),
    ],
)
def test_what_cannot_be_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parsed(line)


@pytest.mark.parametrize(
    ("text", "size"), [("4g", 4 << 30), ("512MiB", 512 << 20), ("1.5k", 1536), ("77", 77)]
)
def test_sizes_of_memory(text: str, size: int) -> None:
    assert speed_spec({"model": "m", "memory_limit": text}).memory_limit == size


def test_a_row_is_measured_once() -> None:
    assert parsed("m --input-len 8 8 16 --batch-size 2 2")[0].rows == [(8, 2), (16, 2)]


def test_what_is_switched_off_is_no_setting_of_another_engine() -> None:
    assert not parsed("m --no-enforce-eager")[0].enforce_eager


def test_an_address_is_an_endpoint() -> None:
    assert parsed("--url http://h:1")[0].engine == "endpoint"
    assert parsed("--launch vllm")[0].engine == "endpoint"


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        speed_spec({"model": str(tmp_path)})


def test_no_password_of_an_address_is_kept() -> None:
    values: dict[str, Any] = {"engine": "endpoint", "url": "http://me:secret@host:1"}
    assert "secret" not in str(speed_spec(values).public())
