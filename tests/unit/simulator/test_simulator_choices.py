"""Several answers to one request, their probabilities, and where stop strings end them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from sim_world import World, events

from inferometer.workload.builtin import BuiltinTokenizer

CHAT = "/v1/chat/completions"
PLAIN = "/v1/completions"
HELLO = [{"role": "user", "content": "hello there"}]


def ask(here: World, path: str, **fields: Any) -> Any:
    """The answer as JSON, or its events."""
    prompt = {"messages": HELLO} if path == CHAT else {"prompt": "hello there"}
    peer = here.peer()
    peer.post(path, {**prompt, "max_tokens": 5, "ignore_eos": True, **fields})
    here.finish()
    status, _, body = peer.reply()
    assert status == 200, body
    return events(body) if fields.get("stream") else json.loads(body)


@pytest.mark.parametrize("path", [CHAT, PLAIN])
def test_n_answers_are_n_sequences_and_their_prompt_counts_once(
    world: Callable[..., World], path: str
) -> None:
    here = world()
    answer = ask(here, path, n=3)
    said = [choice.get("text") or choice["message"]["content"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({*said}) == 3
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (2, 15)
    assert here.metric("vllm:prompt_tokens_total") == 6  # each sequence computes its own
    streamed = ask(here, path, n=3, stream=True, stream_options={"include_usage": True})
    *pieces, usage, done = streamed
    heard = ["", "", ""]
    for piece in pieces:
        (choice,) = piece["choices"]
        heard[choice["index"]] += choice["text"] if path == PLAIN else choice["delta"]["content"]
    assert (heard, usage["usage"]["completion_tokens"], done) == (said, 15, "[DONE]")


def test_a_list_of_prompts_is_answered_in_its_order(world: Callable[..., World]) -> None:
    here = world()
    answer = ask(here, PLAIN, prompt=["hello there", "hello", [1, 2, 3]], n=2)
    alone = ask(here, PLAIN, prompt="hello", n=1)
    assert len(answer["choices"]) == 6
    assert answer["usage"]["prompt_tokens"] == 2 + 1 + 3
    assert alone["usage"]["total_tokens"] == 6


def test_a_client_that_leaves_takes_all_its_answers_along(world: Callable[..., World]) -> None:
    here = world()
    peer = here.peer()
    peer.post(CHAT, {"messages": HELLO, "n": 4, "max_tokens": 50, "ignore_eos": True, "stream": True})
    here.step()
    assert here.metric("vllm:num_requests_running") == 4
    peer.lose()
    here.finish()
    assert here.metric("vllm:num_requests_running") == 0
    assert here.metric("vllm:kv_cache_usage_perc") == 0


def test_a_fault_in_one_of_several_answers_ends_them_all(world: Callable[..., World]) -> None:
    here = world()
    fault = {"kind": "error_event", "after_tokens": 2}
    *_, error, done = ask(here, CHAT, n=3, stream=True, inferometer_fault=fault)
    assert ("on purpose" in error["error"]["message"], done) == (True, "[DONE]")
    assert here.metric("vllm:num_requests_running") == 0


@pytest.mark.parametrize("path", [CHAT, PLAIN])
@pytest.mark.parametrize("keep", [True, False])
def test_a_stop_string_ends_the_text_before_it_or_with_it(
    world: Callable[..., World], path: str, keep: bool
) -> None:
    here = world()

    def text_of(choice: Any) -> str:
        return choice["text"] if path == PLAIN else choice["message"]["content"]

    (free,) = ask(here, path, max_tokens=20)["choices"]
    words = text_of(free).split()
    stop = f"{words[3][-2:]} {words[4][:3]}"  # across two tokens, in the fifth
    asked = {"max_tokens": 20, "stop": ["nowhere", stop], "include_stop_str_in_output": keep}
    answer = ask(here, path, **asked)
    (choice,) = answer["choices"]
    before = text_of(free)[: text_of(free).index(stop)]
    assert text_of(choice) == before + (stop if keep else "")
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
    assert answer["usage"]["completion_tokens"] == 5
    pieces = [event["choices"][0] for event in ask(here, path, **asked, stream=True)[:-1]]
    heard = "".join(one["text"] if path == PLAIN else one["delta"]["content"] for one in pieces)
    assert (heard, pieces[-1]["stop_reason"]) == (text_of(choice), stop)
    late = ask(here, path, **asked, min_tokens=7)
    assert late["usage"]["completion_tokens"] > 7


def test_probabilities_of_a_chat_have_bytes_and_alternatives(world: Callable[..., World]) -> None:
    here = world()
    (choice,) = ask(here, CHAT, logprobs=True, top_logprobs=3)["choices"]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    for one in content:
        assert bytes(one["bytes"]).decode() == one["token"]
        tops = [top["logprob"] for top in one["top_logprobs"]]
        assert (len(tops), tops[0], tops) == (3, one["logprob"], sorted(tops, reverse=True))
        assert sum(map(math.exp, tops)) < 1
    streamed = ask(here, CHAT, logprobs=True, top_logprobs=3, stream=True)[1:-1]
    assert [event["choices"][0]["logprobs"]["content"][0] for event in streamed] == content
    (bare,) = ask(here, CHAT, logprobs=True)["choices"]
    assert {len(one["top_logprobs"]) for one in bare["logprobs"]["content"]} == {0}


def test_probabilities_of_a_completion_are_four_lists_with_offsets(world: Callable[..., World]) -> None:
    here = world()
    (choice,) = ask(here, PLAIN, logprobs=2, echo=True)["choices"]
    found = choice["logprobs"]
    assert choice["text"].startswith("hello there ")
    assert {len(values) for values in found.values()} == {2 + 5}
    assert found["token_logprobs"][0] is found["top_logprobs"][0] is None
    assert [
        choice["text"][at : at + len(name)]
        for at, name in zip(found["text_offset"], found["tokens"], strict=True)
    ] == found["tokens"]
    pieces = [event["choices"][0] for event in ask(here, PLAIN, logprobs=2, echo=True, stream=True)[:-1]]
    assert [at for one in pieces for at in one["logprobs"]["text_offset"]] == found["text_offset"]
    assert "".join(one["text"] for one in pieces) == choice["text"]
    (alone,) = ask(here, PLAIN, echo=True, max_tokens=0)["choices"]
    assert alone["text"] == "hello there"


def test_prompt_probabilities_stand_where_vllm_puts_them(world: Callable[..., World]) -> None:
    here = world()
    of_chat = ask(here, CHAT, prompt_logprobs=1)["prompt_logprobs"]
    (choice,) = ask(here, PLAIN, prompt_logprobs=1)["choices"]
    assert of_chat == choice["prompt_logprobs"]
    first, second = of_chat
    assert first is None
    assert [one["decoded_token"] for one in second.values()] == [" there"]


def test_ids_of_tokens_are_those_of_the_tokenizer(world: Callable[..., World]) -> None:
    here, encode = world(), BuiltinTokenizer().encode
    (choice,) = ask(here, PLAIN, return_token_ids=True)["choices"]
    assert choice["token_ids"] == encode(choice["text"])
    assert choice["prompt_token_ids"] == encode("hello there")
    (choice,) = ask(here, PLAIN, prompt=[5, 6], return_token_ids=True, prompt_logprobs=0)["choices"]
    assert (choice["prompt_token_ids"], [*choice["prompt_logprobs"][1]]) == ([5, 6], ["6"])
    assert ask(here, CHAT, return_token_ids=True)["prompt_token_ids"] == encode("hello there")


@pytest.mark.parametrize("path", [CHAT, PLAIN])
def test_ids_of_a_prompt_come_once_in_a_stream(world: Callable[..., World], path: str) -> None:
    first, *others, _ = ask(world(), path, return_token_ids=True, stream=True)
    told = first if path == CHAT else first["choices"][0]
    assert told["prompt_token_ids"] == BuiltinTokenizer().encode("hello there")
    assert not any("prompt_token_ids" in str(event) for event in others)


def test_a_chat_echoes_the_message_that_it_goes_on_with_and_no_other(world: Callable[..., World]) -> None:
    here = world()
    (plain,) = ask(here, CHAT)["choices"]
    (asked,) = ask(here, CHAT, echo=True)["choices"]
    assert asked == plain
    begun = [*HELLO, {"role": "assistant", "content": "Well,"}]
    (choice,) = ask(here, CHAT, echo=True, messages=begun)["choices"]
    assert choice["message"]["content"].startswith("Well, ")


def test_embeddings_are_unit_vectors_of_the_prompt(world: Callable[..., World]) -> None:
    here = world()

    def embed(**fields: Any) -> Any:
        peer = here.peer()
        peer.post("/v1/embeddings", {"model": "sim-llama-8b", **fields})
        here.finish()
        return json.loads(peer.reply()[2])

    answer = embed(input=["one", "two words", "one"], dimensions=64)
    first, second, again = [one["embedding"] for one in answer["data"]]
    assert (len(first), first == again, first == second) == (64, True, False)
    assert math.hypot(*first) == pytest.approx(1, abs=1e-5)
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"]) == (4, 4)
    packed = embed(input="one", dimensions=64, encoding_format="base64")
    assert isinstance(packed["data"][0]["embedding"], str)
