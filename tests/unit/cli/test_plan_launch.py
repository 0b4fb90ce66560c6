"""What a dry run says of the server that it would start: where, spoken to how, on which cores, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.api import launched
from inferometer.cli.plan_launch import refuse_launch, render_launch, speaking
from inferometer.errors import UsageError
from inferometer.spec import RunSpec, merge
from inferometer.spec.layers import Layer


def spec_of(command: str, **values: str) -> RunSpec:
    given = {"launch.command": command, **{name.replace("__", "."): value for name, value in values.items()}}
    return merge([Layer(given, {})]).spec


@pytest.mark.parametrize(
    ("command", "url", "where"),
    [
        ("vllm serve M", "", "at a free port of 127.0.0.1"),
        ("vllm serve M --port 8000", "", "at port 8000 of 127.0.0.1"),
        ("vllm serve M --max-model-len 8000", "", "at a free port of 127.0.0.1"),
        ("vllm serve /models/8000 --max-num-seqs=8000", "http://localhost:9000", "at port 9000 of 127.0.0.1"),
        ("vllm serve M --max-model-len 8000 --port=8000", "", "at port 8000 of 127.0.0.1"),
        ("vllm serve M --port 8123 --host 0.0.0.0", "http://gpu7:8123", "at port 8123 of 0.0.0.0"),
        ("vllm serve M", "http://localhost:9", "at port 9 of 127.0.0.1"),
        ("python -m sglang.launch_server --model-path M", "", "at a free port of"),
        ("llamacpp tiny --max-num-seqs 8", "", "at a free port of"),
        ("./serve --listen {port}", "", "at a free port of"),
        ("./serve", "http://127.0.0.1:9", "at port 9 of"),
    ],
)
def test_where_it_would_listen(command: str, url: str, where: str) -> None:
    assert where in render_launch(spec_of(command, endpoint__url=url))


def test_a_program_that_cannot_be_told_its_port_has_to_be_given_with_its_address() -> None:
    with pytest.raises(UsageError, match=r"does not say where its server listens.*--port \{port\}.*--url"):
        render_launch(spec_of("./serve M"))


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ([2, 3], "shares 2 CPU cores with the load generator; --launch-cores 2 keeps them apart"),
        ([0, 1, 2, 3], "shares 4 CPU cores with the load generator; --launch-cores 0-2 keeps them apart"),
        ([5], None),
        (list(range(8)), None),
    ],
)
def test_a_few_cores_that_are_shared_are_told_with_what_keeps_them_apart(
    monkeypatch: pytest.MonkeyPatch, allowed: list[int], words: str | None
) -> None:
    monkeypatch.setattr(launched, "allowed_cores", lambda: allowed)
    text = render_launch(spec_of("vllm serve M"))
    assert words in text if words else "keeps them apart" not in text


def test_the_dialect_is_that_of_the_engine_unless_one_is_named() -> None:
    own = speaking(merge([Layer({"launch.command": "vllm serve M"}, {})]))
    assert own.spec.endpoint.backend == "openai-chat"
    named = {"launch.command": "vllm serve M", "endpoint.backend": "openai-completions"}
    assert speaking(merge([Layer(named, {})])).spec.endpoint.backend == "openai-completions"


def test_secrets_are_hidden_and_nothing_is_said_without_a_launch() -> None:
    text = render_launch(spec_of("HF_TOKEN=hunter2 vllm serve M --api-key hunter2"))
    assert "hunter2" not in text
    assert "vllm serve M" in text
    url = merge([Layer({"endpoint.url": "http://h"}, {})])
    assert render_launch(url.spec) == ""
    assert speaking(url) is url


def test_what_the_files_of_the_model_rule_out_is_refused_with_all_reasons(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584, "vocab_size": 152064,'
        ' "num_attention_heads": 28, "num_key_value_heads": 4, "num_hidden_layers": 28, "intermediate_size": 18944,'
        ' "max_position_embeddings": 32768, "torch_dtype": "bfloat16"}'
    )
    command = f"vllm serve {tmp_path} -tp 8"
    with pytest.raises(
        UsageError, match=r"attention heads \(28\) must be divisible by tensor parallel size \(8\)"
    ):
        refuse_launch(spec_of(command))
    refuse_launch(spec_of(command, launch__unchecked="true"))
