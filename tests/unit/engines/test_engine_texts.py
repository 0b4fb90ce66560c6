"""Logs, shown command lines, ports, and what is known before a start."""

from __future__ import annotations

import json
import os
import shlex
import socket
from pathlib import Path

import pytest

from inferometer.engines.adapters.llamacpp import LlamaCpp
from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.beforehand import cached_model, known_of, refuse
from inferometer.engines.bounded_log import BoundedLog
from inferometer.engines.engine import CommandLine, Settings
from inferometer.engines.engine_log import EngineLog, progress_in
from inferometer.engines.gguf_files import gguf_of
from inferometer.engines.model_place import misplaced
from inferometer.engines.ports import free_port, url_of
from inferometer.engines.shown import api_key_of, inherited_key, secrets_of, shell_line
from inferometer.errors import UsageError


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "engine.log", head_bytes=1000, tail_bytes=1000)
    lines = [f"line {number:05}\n" for number in range(2000)]
    for line in lines:
        log.write(line.encode())
    log.close()

    kept = (tmp_path / "engine.log").read_text().splitlines(keepends=True)
    (note,) = [place for place, line in enumerate(kept) if "left out" in line]
    head, tail = kept[:note], kept[note + 1 :]
    assert sum(map(len, kept)) <= 2100
    assert head == lines[: len(head)]
    assert len(head) >= 80
    assert tail == lines[-len(tail) :]
    assert len(tail) >= 40
    left_out = sum(map(len, lines[len(head) : -len(tail)]))
    assert kept[note] == f"[inferometer: {left_out} bytes left out here]\n"


def test_a_short_log_is_kept_whole(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "engine.log")
    log.write(b"one\ntwo\n")
    log.close()
    assert (tmp_path / "engine.log").read_bytes() == b"one\ntwo\n"


def test_a_log_is_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    log = EngineLog(path)
    assert (log.text(), log.new_lines(), log.progress()) == ("", [], "")
    path.write_bytes(b"\x1b[32mINFO\x1b[0m one\nhal")
    assert log.new_lines() == ["INFO one"]
    with path.open("ab") as file:
        file.write(b'f\nINFO:  127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK\n')
    assert log.new_lines()[0] == "half"
    assert log.progress() == "half"
    path.write_bytes(b"anew\n")
    assert log.new_lines() == ["anew"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "(EngineCore_DP0 pid=12) INFO 11-20 12:00:00 [gpu_model_runner.py:123] Starting to load model M...",
            "Starting to load model M...",
        ),
        ("Loading safetensors checkpoint shards:  38% Completed | 3/8 [00:01<00:02]", "loading weights 3/8"),
        ("Capturing CUDA graphs (PIECEWISE):  50%|#####     | 4/8 [00:00<00:00]", "capturing graphs 4/8"),
        ("[2026-11-20 12:00:00] Load weight begin.", "Load weight begin."),
        ("2026-11-20 12:00:00,123 - lmdeploy - INFO - ready", "lmdeploy - INFO - ready"),
        ("0.00.295.101 I srv    load_model: loading model", "srv    load_model: loading model"),
        ("x" * 200, "x" * 99 + "…"),
    ],
)
def test_a_line_of_a_log_as_progress(line: str, words: str) -> None:
    assert progress_in(line) == words


def test_a_shown_command_line_is_copyable_and_holds_no_secret() -> None:
    command = CommandLine(
        argv=("vllm", "serve", "a; rm -rf /", "--api-key", "hunter22", "--max-num-batched-tokens", "8"),
        env={"HF_TOKEN": "hunter23", "A": "b c"},
    )
    line = shell_line(command)
    assert "hunter" not in line
    words = shlex.split(line)
    assert words[:2] == ["HF_TOKEN=***", "A=b c"]
    assert words[2:] == ["vllm", "serve", "a; rm -rf /", "--api-key", "***", "--max-num-batched-tokens", "8"]


def test_secrets_and_the_key_of_a_server() -> None:
    settings = Settings(model="m", env={"HF_TOKEN": "hunter23"}, extra=("--api-key", "hunter22", "--x=y"))
    assert api_key_of(settings) == "hunter22"
    assert set(secrets_of(settings)) == {"hunter22", "hunter23"}
    assert api_key_of(Settings(model="m", extra=("--api-key=hunter22",))) == "hunter22"
    assert api_key_of(Settings(model="m", env={"VLLM_API_KEY": "k"})) == "k"
    assert api_key_of(Settings(model="m", extra=("--api-key", "a,b"))) == "a"
    assert api_key_of(Settings(model="m")) is None
    assert inherited_key("vllm", {"VLLM_API_KEY": "k", "API_KEY": "other"}) == {"VLLM_API_KEY": "k"}
    assert inherited_key("sglang", {"VLLM_API_KEY": "k"}) == {}  # it takes a key from its flags only


def test_a_port_that_is_taken_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"port {port} of 127.0.0.1 is taken by .*\(pid {os.getpid()}\)"
        ):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port
    assert free_port("127.0.0.1", 0) > 0
    with pytest.raises(UsageError, match=r"no server can listen at 192\.0\.2\.1"):
        free_port("192.0.2.1", 0)


def test_where_a_server_is_asked() -> None:
    assert url_of(Settings(model="m", port=1)) == "http://127.0.0.1:1"
    assert url_of(Settings(model="m", host="0.0.0.0", port=1)) == "http://127.0.0.1:1"
    assert url_of(Settings(model="m", host="::", port=1)) == "http://[::1]:1"
    for flag in ("--ssl-certfile", "--ssl_certfile", "--ssl-key-file=k.pem", "--ssl"):
        assert url_of(Settings(model="m", port=1, extra=(flag, "x"))) == "https://127.0.0.1:1"
    assert url_of(Settings(model="m", port=1, extra=("--ssl-ca-certs", "x"))) == "http://127.0.0.1:1"


def test_what_is_known_beforehand_is_refused_with_all_reasons(tmp_path: Path) -> None:
    config = {"architectures": ["Qwen2ForCausalLM"], "num_attention_heads": 28, "num_key_value_heads": 4}
    config |= {"hidden_size": 3584, "num_hidden_layers": 28, "model_type": "qwen2"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = Settings(model=str(tmp_path), tensor_parallel=8)
    with pytest.raises(UsageError) as caught:
        refuse(VLLM(), settings, {})
    assert "attention heads (28) must be divisible by tensor parallel size (8)" in caught.value.message
    assert "no weights" in caught.value.message
    assert "--unchecked" in caught.value.next_step


def test_a_model_in_a_hubs_cache_is_found(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--Qwen--Qwen2.5-7B"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    environ = {"HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
    assert cached_model("Qwen/Qwen2.5-7B", environ) == snapshot
    assert cached_model("Qwen/Other", environ) is None
    (snapshot / "config.json").write_text(json.dumps({"num_attention_heads": 28, "num_key_value_heads": 4}))
    known = known_of(VLLM(), Settings(model="Qwen/Qwen2.5-7B", tensor_parallel=8), environ)
    assert [one.message for one in known.refusals] == [
        "attention heads (28) must be divisible by tensor parallel size (8)"
    ]  # weights that lack are fetched

    scope = tmp_path / "ms" / "models" / "Qwen" / "Qwen2___5-7B"
    scope.mkdir(parents=True)
    environ = {"MODELSCOPE_CACHE": str(tmp_path / "ms"), "HOME": str(tmp_path)}
    assert cached_model("Qwen/Qwen2.5-7B", environ) == scope


def test_which_gguf_file_is_meant(tmp_path: Path) -> None:
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"):
        (tmp_path / name).write_bytes(b"GGUF....")
    assert gguf_of(str(tmp_path), None).name == "m-00001-of-00002.gguf"
    (tmp_path / "other.gguf").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UsageError, match="several models"):
        gguf_of(str(tmp_path), None)
    with pytest.raises(UsageError, match="pointer of git-lfs"):
        gguf_of(str(tmp_path / "other.gguf"), None)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        gguf_of(str(tmp_path / "none.gguf"), None)
    assert known_of(LlamaCpp(), Settings(model="tiny"), {}).refusals == ()


def test_a_model_that_is_not_where_its_name_says(tmp_path: Path) -> None:
    below = tmp_path / "hub" / "model"
    below.mkdir(parents=True)
    (below / "config.json").write_text("{}")

    def why(model: str, *extra: str) -> str:
        found = misplaced(VLLM(), Settings(model=model, extra=extra))
        return "" if found is None else f"{found.message}; {found.next_step}"

    assert "there is no '/no/such'" in why("/no/such")
    assert "there is no 'models/Qwen/Qwen2.5-7B'" in why("models/Qwen/Qwen2.5-7B")
    assert "without ~" in why("~/model")
    assert "has no config.json" in why(str(below.parent))
    assert f"name the folder below it: {below}" in why(str(below.parent))
    assert "fetch the whole model" in why(str(tmp_path))
    for found in ("Qwen/Qwen2.5-7B", "s3://bucket/a/b", "owner/name/file.gguf", str(below)):
        assert why(found) == ""
    assert why(str(below.parent), "--hf-config-path", str(below)) == ""
    (below.parent / "params.json").write_text("{}")
    assert why(str(below.parent)) == ""

    llama = misplaced(LlamaCpp(), Settings(model=str(tmp_path)))
    assert llama is not None
    assert "holds no GGUF file" in llama.message
    assert misplaced(LlamaCpp(), Settings(model="tiny")) is None
