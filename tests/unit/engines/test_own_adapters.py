"""The adapters of servers that this package can start by itself, and of any command line."""

from __future__ import annotations

import json
import sys

import pytest

from inferometer.engines import llama_server
from inferometer.engines.adapters.command import Command
from inferometer.engines.adapters.llamacpp import LlamaCpp
from inferometer.engines.adapters.sim import Sim
from inferometer.engines.engine import Said, Settings
from inferometer.errors import UsageError
from inferometer.testing.engines import check_engine


def test_llamacpp_keeps_the_contract() -> None:
    check_engine(
        LlamaCpp(),
        [
            Settings(model="tiny"),
            Settings(model="m.gguf", port=18001, max_model_len=512, max_num_seqs=4, kv_cache_dtype="q8_0"),
            Settings(model="m.gguf", served_name="m", host="0.0.0.0", prefix_cache=False, devices="0"),
            Settings(model="m.gguf", max_num_batched_tokens=256, extra=("--threads", "2")),
        ],
        ["llama-server -m m.gguf -c 4096 -np 8 --port 9000", "/opt/llama/llama-server --model m.gguf"],
        ["trust_remote_code", "expert_parallel"],
    )


def test_sim_keeps_the_contract() -> None:
    check_engine(
        Sim(),
        [Settings(model="m"), Settings(model="m", port=18001, max_num_seqs=4, prefix_cache=False)],
        ["inferometer serve-sim --model m --port 9000"],
    )


def test_the_context_of_llamacpp_is_that_of_all_slots() -> None:
    engine = LlamaCpp()
    words = engine.command(Settings(model="m.gguf", max_model_len=512, max_num_seqs=4)).argv
    assert words[words.index("--ctx-size") + 1] == "2048"

    typed = engine.settings(("llama-server", "-m", "m.gguf", "-c", "4096", "-np", "8"))
    assert typed is not None
    assert (typed.max_model_len, typed.max_num_seqs, typed.program) == (512, 8, ("llama-server",))
    odd = engine.settings(("llama-server", "-m", "m.gguf", "-c", "4095", "-np", "8"))
    assert odd is not None
    assert (odd.max_model_len, odd.extra) == (None, ("-c", "4095"))


def test_llamacpp_refuses_what_it_has_not() -> None:
    with pytest.raises(UsageError, match="tensor_parallel") as caught:
        LlamaCpp().command(Settings(model="m.gguf", tensor_parallel=2))
    assert "--tensor-split" in caught.value.next_step
    with pytest.raises(UsageError, match="knows no model tiny"):
        LlamaCpp().command(Settings(model="tiny", program=("llama-server",)))


def test_facts_of_llamacpp() -> None:
    props = {
        "total_slots": 4,
        "model_alias": "tiny",
        "build_info": "b0-unknown",
        "default_generation_settings": {"n_ctx": 512},
    }
    said = Said(log="xllamacpp 2026.10.1, started by\n", pages={"/props": json.dumps(props)})
    facts = LlamaCpp().facts(said)
    assert (facts.version, facts.model, facts.max_num_seqs) == ("xllamacpp 2026.10.1", "tiny", 4)
    assert (facts.max_model_len, facts.kv_tokens) == (512, 2048)

    shared = LlamaCpp().facts(Said(log="n_ctx_slot = 512, kv_unified = 'true'\n", pages=said.pages))
    assert (shared.version, shared.kv_tokens) == ("b0-unknown", 512)


@pytest.mark.parametrize(
    ("line", "message", "step"),
    [
        (
            "E srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18311",
            "port 18311 of 127.0.0.1 is taken",
            "--port 0",
        ),
        (
            "error: model 'x' cannot be read: No such file (name another)",
            "model 'x' cannot be read",
            "name another",
        ),
        (
            "error: xllamacpp cannot be imported: No module named 'xllamacpp' (pip install 'inferometer[engine]')",
            "xllamacpp cannot be imported",
            "pip install 'inferometer[engine]'",
        ),
        (
            "llama_model_load: error loading model: unknown model architecture: 'foo'",
            "architecture foo",
            "newer",
        ),
    ],
)
def test_troubles_of_llamacpp(line: str, message: str, step: str) -> None:
    trouble = LlamaCpp().trouble(f"one line before\n{line}\nand one after\n")
    assert trouble is not None
    assert message in trouble.message
    assert step in trouble.next_step
    assert trouble.line == line


def test_without_the_wheel_its_install_line_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert llama_server.main(["--model", "tiny"]) == 2
    trouble = LlamaCpp().trouble(capsys.readouterr().err)
    assert trouble is not None
    assert trouble.next_step == "pip install 'inferometer[engine]'"


def test_a_command_line_says_its_port_itself() -> None:
    engine = Command()
    named = engine.settings(("./serve", "--host", "0.0.0.0", "--port=9000"))
    assert named is not None
    assert (named.host, named.port) == ("0.0.0.0", 9000)
    assert engine.command(named).argv == ("./serve", "--host", "0.0.0.0", "--port=9000")


def test_a_command_line_gets_its_port() -> None:
    engine = Command()
    free = engine.settings(("./serve", "{host}:{port}", "{other}"))
    assert free is not None
    assert free.port == 0
    placed = Settings(model="", port=18001, extra=free.extra)
    assert engine.command(placed).argv == ("./serve", "127.0.0.1:18001", "{other}")
    zero = Settings(model="", port=18001, extra=("./serve", "--port", "0"))
    assert engine.command(zero).argv == ("./serve", "--port", "18001")


def test_a_command_line_refuses_what_nobody_can_tell_it() -> None:
    with pytest.raises(UsageError, match="names port 9000, and 9001 is to be asked"):
        Command().command(Settings(model="", port=9001, extra=("./serve", "--port", "9000")))
    with pytest.raises(UsageError, match="tensor_parallel"):
        Command().command(Settings(model="", tensor_parallel=2, extra=("./serve",)))
    with pytest.raises(UsageError, match="no command line"):
        Command().command(Settings(model=""))
