"""What ``--launch`` and ``launch`` understand."""

from __future__ import annotations

import pytest

from inferometer.engines.start import engine_of
from inferometer.engines.words import named
from inferometer.errors import UsageError


def test_an_engines_own_command_line() -> None:
    engine, settings = engine_of("HF_HUB_OFFLINE=1 vllm serve M -tp 2 --enforce-eager --port 8001")
    assert engine.name == "vllm"
    assert (settings.model, settings.tensor_parallel, settings.port) == ("M", 2, 8001)
    assert settings.extra == ("--enforce-eager",)
    assert settings.env == {"HF_HUB_OFFLINE": "1"}


def test_an_engine_by_its_name() -> None:
    engine, settings = engine_of("llamacpp tiny --max-running-requests 8 --env A=b --port 0 -- --threads 2")
    assert engine.name == "llamacpp"
    assert (settings.model, settings.max_num_seqs, settings.port) == ("tiny", 8, 0)
    assert (settings.extra, settings.env) == (("--threads", "2"), {"A": "b"})


def test_anything_else_is_carried_out_as_it_is() -> None:
    engine, settings = engine_of("X=1 ./serve.sh 'a model' --port {port}")
    assert engine.name == "command"
    assert settings.extra == ("./serve.sh", "a model", "--port", "{port}")
    assert (settings.port, settings.env) == (0, {"X": "1"})

    engine, settings = engine_of("command --port 9000 -- ./serve.sh")
    assert (engine.name, settings.port, settings.extra) == ("command", 9000, ("./serve.sh",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vllm serve 'M", "closing quotation"),
        ("", "names no program"),
        ("A=b", "names no program"),
        ("llamacpp", "model"),
        ("llamacpp tiny --max-num-seq 4", "--max-num-seq is no flag of ours"),
        ("llamacpp tiny --max-num-seqs 0", "must be at least 1"),
        ("llamacpp tiny --port 70000", "above 65535"),
        ("llamacpp tiny --mem-fraction-static 1.5", "no share"),
        ("llamacpp tiny --env HF_TOKEN", "no NAME=VALUE"),
        ("command --port 9000", "no command line"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine_of(text)
    assert words.lower() in caught.value.message.lower()
    assert caught.value.next_step


def test_the_nearest_flag_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        named("llamacpp", ["tiny", "--max-num-seq", "4"])
    assert "did you mean --max-num-seqs?" in caught.value.next_step
    assert "llamacpp MODEL -- --max-num-seq" in caught.value.next_step
