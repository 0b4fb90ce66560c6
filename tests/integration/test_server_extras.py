"""What a server is asked beside generation: its tokenizer, its cache hook, shared prefixes sent beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import check_message, check_succeeded, run, stored
from eight import EIGHT

from inferometer.client.probe import Caller
from inferometer.client.server_tokenizer import ServerTokenizer, open_server_tokenizer
from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock
from inferometer.errors import EndpointError
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import models, plain

Hook = Callable[[dict[str, Any]], Any]


def engine(**hooks: Hook) -> Callable[[Incoming], Script]:
    """A server with these further POST paths, slashes written as ``__``; each answers with JSON or a status."""
    by_path = {"/" + name.replace("__", "/"): hook for name, hook in hooks.items()}

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        if request.path == "/v1/chat/completions":
            asked = json.loads(request.body)
            return (
                EIGHT
                if asked.get("stream")
                else plain(200, "OK", b'{"choices": [{"message": {"content": "x"}}]}')
            )
        if request.path not in by_path:
            return plain(404, "Not Found", b'{"detail": "Not Found"}')
        said = by_path[request.path](json.loads(request.body or b"{}"))
        return (
            plain(said, "Said", b"{}")
            if isinstance(said, int)
            else plain(200, "OK", json.dumps(said).encode())
        )

    return script


def words(text: str) -> list[int]:
    """One token a word: its number of letters."""
    return [len(word) for word in text.split()]


def vllm_tokenize(asked: dict[str, Any]) -> Any:
    if "prompt" not in asked:
        return 400
    return {"tokens": words(asked["prompt"]), "count": 0, "max_model_len": 99}


ENGINES: dict[str, dict[str, Hook]] = {
    "vLLM": {"tokenize": vllm_tokenize, "detokenize": lambda asked: {"prompt": f"{len(asked['tokens'])} tokens"}},
    "SGLang": {"tokenize": vllm_tokenize, "detokenize": lambda asked: {"text": f"{len(asked['tokens'])} tokens"}},
    "llama.cpp": {
        "tokenize": lambda asked: {"tokens": words(asked.get("content", ""))},
        "detokenize": lambda asked: {"content": f"{len(asked['tokens'])} tokens"},
    },
    "TGI": {"tokenize": lambda asked: [{"id": n, "text": "", "start": 0, "stop": 0} for n in words(asked["inputs"])]
            if "inputs" in asked else 422},
    "LMDeploy": {"v1__encode": lambda asked: {"input_ids": words(asked["input"]), "length": 0}},
}  # fmt: skip


def open_tokenizer(url: str) -> ServerTokenizer:
    return open_server_tokenizer(Caller(resolve(url), MonotonicClock()), "test")


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_is_asked_in_its_own_way(name: str) -> None:
    with FaultServer(engine(**ENGINES[name])) as server:
        tokenizer = open_tokenizer(server.url)
        assert tokenizer.encode("to be or not") == [2, 2, 2, 3]
        assert (tokenizer.count("a b c"), tokenizer.count("")) == (3, 0)
        if len(ENGINES[name]) > 1:
            assert tokenizer.decode([1, 2, 3]) == "3 tokens"
        else:
            with pytest.raises(EndpointError, match=r"makes no text of token ids"):
                tokenizer.decode([1])
        tokenizer.close()


def test_a_server_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with FaultServer(engine()) as server:
        done = run(server.url, tmp_path, "--tokenizer", "server")
    check_message(
        done, 6, "has no tokenizer to ask", "/tokenize answers 404", "--tokenizer PATH/tokenizer.json"
    )


def test_prompts_are_counted_by_the_server_before_the_load(tmp_path: Path) -> None:
    with FaultServer(engine(**ENGINES["vLLM"])) as server:
        done = run(server.url, tmp_path, "--tokenizer", "server", "--warmup", "0")
        paths = [
            served.request.path for served in sorted(server.served, key=lambda served: served.received_ns)
        ]
    check_succeeded(done, tmp_path)
    first = paths.index("/v1/chat/completions")
    assert "/tokenize" in paths[:first]
    assert set(paths[first:]) == {"/v1/chat/completions"}
    (table,) = stored(tmp_path).tables
    assert set(table.number("input_tokens_client")) == {8.0}
    assert all(count != count for count in table.number("output_tokens_client"))  # absent: nobody asked


FLUSHES = ("POST /reset_prefix_cache: 200", "POST /flush_cache: 200")


@pytest.mark.parametrize(("hook", "noted"), [("reset_prefix_cache", FLUSHES[0]), ("flush_cache", FLUSHES[1])])
def test_the_cache_is_emptied_before_each_load_point(hook: str, noted: str, tmp_path: Path) -> None:
    with FaultServer(engine(**{hook: lambda _: 200})) as server:
        done = run(server.url, tmp_path, "--flush-cache", "--max-concurrency", "2", "--warmup", "2")
        url, order = server.url, [
            served.request.path for served in sorted(server.served, key=lambda served: served.received_ns)
        ]  # fmt: skip
    check_succeeded(done, tmp_path)
    flushed = [place for place, path in enumerate(order) if path == f"/{hook}"]
    chats = [order[:place].count("/v1/chat/completions") for place in flushed]
    assert chats == [0, 2, 22]  # once to see whether it works, then before each point
    prepared = [table.point.prepared for table in stored(tmp_path).tables]
    assert prepared == [[], [f"{url}: {noted}"], [f"{url}: {noted}"]]


def test_the_cache_of_the_simulated_server(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings()) as server:
        check_succeeded(run(server.url, tmp_path, "--flush-cache"), tmp_path)


def test_a_server_without_a_hook_is_told_before_the_load(tmp_path: Path) -> None:
    with FaultServer(engine()) as server:
        done = run(server.url, tmp_path, "--flush-cache")
    check_message(done, 6, "no way to empty its prefix cache", "VLLM_SERVER_DEV_MODE=1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("hook", "said"),
    [("flush_cache", [400, 400, 200]), ("reset_prefix_cache", [{"success": False}, {"success": True}])],
)
def test_a_hook_that_is_busy_is_asked_again(hook: str, said: list[Any], tmp_path: Path) -> None:
    with FaultServer(engine(**{hook: lambda _: said.pop(0) if said else 200})) as server:
        check_succeeded(run(server.url, tmp_path, "--flush-cache"), tmp_path)
    assert said == []


def test_a_hook_that_fails_is_told(tmp_path: Path) -> None:
    with FaultServer(engine(reset_prefix_cache=lambda _: 500)) as server:
        done = run(server.url, tmp_path, "--flush-cache")
    check_message(done, 6, "/reset_prefix_cache does not empty the prefix cache", "500")


def test_shared_prefixes_are_sent_once_before_the_load_point(tmp_path: Path) -> None:
    with FaultServer(engine(flush_cache=lambda _: 200)) as server:
        done = run(server.url, tmp_path, "--prefix-warm", "--prefix-len", "4", "--prefix-groups", "3",
                   "--flush-cache", "--warmup", "0")  # fmt: skip
        url = server.url
        served = sorted(server.served, key=lambda served: served.received_ns)
    check_succeeded(done, tmp_path)
    bodies = [json.loads(each.request.body) for each in served if each.request.path == "/v1/chat/completions"]
    warm, load = bodies[:3], bodies[3:]
    assert [(body.get("stream", False), body["max_tokens"]) for body in warm] == [(False, 1)] * 3
    texts = [body["messages"][0]["content"] for body in warm]
    assert len(set(texts)) == 3
    assert all(body["messages"][0]["content"].startswith(tuple(texts)) for body in load)
    (table,) = stored(tmp_path).tables
    assert table.point.prepared == [f"{url}: POST /flush_cache: 200", f"{url}: 3 shared prefixes sent once"]
