"""A server that is launched: what is refused before anything starts, and that no secret of it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, RunSpec, check_spec, merge, public_dict
from inferometer.spec.cluster import Cluster
from inferometer.spec.launch import Launch
from inferometer.spec.launch_rules import (
    cores_text,
    is_secret,
    parse_cores,
    shown_command,
    shown_words,
    variables_of,
)
from inferometer.spec.layers import Layer
from inferometer.spec.stored import check_secrets, differences, stored_layer

VLLM = "vllm serve Qwen/Qwen2.5-7B --max-num-seqs 16"


def launching(command: str | None = VLLM, **fields: Any) -> RunSpec:
    return RunSpec(launch=Launch(command=command, **fields))


def test_a_launched_server_needs_no_url_and_may_have_one() -> None:
    check_spec(launching(cores="0-3,8", env=("HF_HOME=/data",)))
    check_spec(launching().model_copy(update={"endpoint": Endpoint(url="http://127.0.0.1:8000")}))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (launching(None, cores="0"), "--launch-cores is for a server that the run starts"),
        (launching(None, env=("A=b",)), "--launch-env is for"),
        (launching(None, ready_limit_s=9.0), "--launch-timeout is for"),
        (launching("vllm serve 'M"), "cannot be split into words: No closing quotation"),
        (launching(" "), "names no program"),
        (launching("HF_HOME=/x"), "names no program"),
        (launching(cores="3-1"), "the range 3-1 is empty"),
        (launching(cores="a"), "'a' is no core"),
        (launching(env=("hunter2",)), "is not NAME=VALUE"),
        (launching(env=("A=1", "A=2")), "gives A more than once"),
        (
            RunSpec(endpoint=Endpoint(more_url=("http://b:1",)), launch=Launch(command=VLLM)),
            "--more-url names others",
        ),
        (
            RunSpec(cluster=Cluster(nodes="auto"), launch=Launch(command=VLLM)),
            "--nodes sends load from others",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(spec: RunSpec, words: str) -> None:
    with pytest.raises(UsageError) as error:
        check_spec(spec)
    assert words in str(error.value)


def test_cores_are_written_as_for_taskset() -> None:
    assert parse_cores("0-3,8") == (0, 1, 2, 3, 8)
    assert parse_cores(" 2, 1,2 ") == (1, 2)
    assert parse_cores("") == ()
    for text in ("0-3,8", "5", "0,2,4-5", ""):
        assert cores_text(parse_cores(text)) == text


@pytest.mark.parametrize("name", ["HF_TOKEN", "--api-key", "OPENAI_API_KEY", "--ssl-password", "x-auth"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["--max-num-batched-tokens", "--eos-token", "HF_TOKEN_PATH", "--tokenizer", "K"]
)
def test_names_that_only_look_like_it(name: str) -> None:
    assert not is_secret(name)


def test_the_value_of_a_secret_flag_is_hidden_and_nothing_else() -> None:
    given = ["vllm", "serve", "M", "--api-key", "sk-1", "--hf-token=hf-2", "--port", "80", "HF_TOKEN=hf-3"]
    assert shown_words(given) == [
        *("vllm", "serve", "M", "--api-key", "***", "--hf-token=***", "--port", "80", "HF_TOKEN=***"),
    ]
    assert shown_words(["HTTPS_PROXY=http://me:pw@proxy:3128", "--hub", "https://me@hub/a@b"]) == [
        *("HTTPS_PROXY=http://***@proxy:3128", "--hub", "https://***@hub/a@b"),
    ]
    assert shown_words(["--enable-auth", "--port", "80"]) == ["--enable-auth", "--port", "80"]
    assert shown_command("sh -c 'vllm  serve M'") == "sh -c 'vllm  serve M'"
    assert shown_command("vllm serve 'a b' --api-key x") == "vllm serve 'a b' --api-key ***"


def test_variables_by_name() -> None:
    assert variables_of(Launch(command=VLLM, env=("A=b=c", "D="))) == {"A": "b=c", "D": ""}


def test_no_secret_is_stored_and_going_on_asks_for_it() -> None:
    spec = launching(f"{VLLM} --api-key sk-hunter2", env=("HF_TOKEN=hf-hunter2", "HF_HOME=/data"))
    stored = json.loads(json.dumps(public_dict(spec)))
    assert "hunter2" not in json.dumps(stored)
    assert stored["launch"]["env"] == ["HF_TOKEN=***", "HF_HOME=/data"]
    check_secrets(stored, spec)
    with pytest.raises(UsageError, match="begun with --launch, which is not stored"):
        check_secrets(stored, RunSpec(endpoint=Endpoint(url="http://h")))
    with pytest.raises(UsageError, match="begun with --launch-env, which is not stored"):
        check_secrets(stored, launching(spec.launch.command))


def test_a_run_that_goes_on_launches_anew_and_may_find_another_port() -> None:
    first = launching().model_copy(update={"endpoint": Endpoint(url="http://127.0.0.1:43210")})
    stored = json.loads(json.dumps(public_dict(first)))
    again = merge([stored_layer(stored, "r")]).spec
    assert (again.endpoint.url, again.launch.command) == ("", VLLM)
    assert differences(stored, again) == []
    other = merge([Layer({"launch.command": "vllm serve M"}, {}), stored_layer(stored, "r")]).spec
    assert differences(stored, other) == [f"--launch: {VLLM} -> vllm serve M"]
