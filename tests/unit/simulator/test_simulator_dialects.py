"""Every API from both sides: what our client asks for is understood, and what the server words is understood again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sim_world import Peer, World

from inferometer.client.dialects import BodyOptions, open_dialect
from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.record.types import OUTPUT_KINDS, ChunkColumns, RequestRecord
from inferometer.testing.dialects import Expected, Recording, decode
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.request import Request

MODEL = "sim-llama-8b"
TEXT = "able about above access account"
PROMPTS = {
    "text": Request(text=TEXT),
    "messages": Request(messages=[{"role": "user", "content": TEXT}]),
    "token_ids": Request(token_ids=[5, 6, 7, 8, 9]),
}
BEFORE = {"lmdeploy-generate": "/lmdeploy"}  # whose /generate is meant, where the body does not say
CASES = [
    pytest.param(name, form, stream, id=f"{name}-{form}-{'stream' if stream else 'whole'}")
    for name, found in CAPABILITIES.items()
    for form in found.prompt
    for stream in ((True, False) if found.streams else (False,))
]


def exchange(
    here: World, name: str, form: str, options: BodyOptions, **more: Any
) -> tuple[RequestRecord, ChunkColumns]:
    """Ask with the client's body and path, and read the answer with the client's decoder."""
    dialect, request = open_dialect(name), PROMPTS[form]
    found, peer = dialect.capability, here.peer()
    path = BEFORE.get(name, "") + dialect.path_for(MODEL, options.stream, form == "token_ids")
    body = {**json.loads(dialect.body(request, options)), **more}
    headers = {**found.headers, **(found.stream_headers if options.stream else {})}
    peer.post(path, body, **headers)
    here.finish()
    status, heads, raw = peer.reply()
    recording = Recording(
        name=name,
        source="the simulated server",
        request=request,
        options=options,
        path=path,
        sent=body,
        content_type=heads["content-type"],
        http_status=status,
        expected=Expected(),
    )
    return decode(dialect, recording, raw, [])


@pytest.mark.parametrize(("name", "form", "stream"), CASES)
def test_an_answer_is_what_was_asked_for(
    world: Callable[..., World], name: str, form: str, stream: bool
) -> None:
    found = CAPABILITIES[name]
    record, chunks = exchange(world(), name, form, BodyOptions(model=MODEL, max_tokens=6, stream=stream))
    assert (record.status, record.error) == ("ok", None)
    assert record.streamed is stream
    if "input_tokens" in found.reports:
        assert record.input_tokens_server == 5
    if found.text == "none":
        return
    assert BuiltinTokenizer().count(record.output or "") == 6
    if "output_tokens" in found.reports:
        assert record.output_tokens_server == 6
        assert record.finish_reason in ("length", "max_tokens", "max_output_tokens")
    if stream:
        assert sum(kind in OUTPUT_KINDS for kind in chunks.kind) == 6


@pytest.mark.parametrize("name", sorted(CAPABILITIES))
def test_an_error_inside_an_answer_is_seen(world: Callable[..., World], name: str) -> None:
    found = CAPABILITIES[name]
    fault = {"kind": "error_event", "after_tokens": 1 if found.text == "none" else 2}
    options = BodyOptions(model=MODEL, max_tokens=6, stream=found.streams)
    record, _ = exchange(world(), name, next(iter(found.prompt)), options, inferometer_fault=fault)
    assert record.status != "ok"
    assert "on purpose" in (record.error or "")


@pytest.mark.parametrize("name", [name for name, found in CAPABILITIES.items() if found.reports])
def test_counts_that_are_left_out_are_missing_and_not_zero(world: Callable[..., World], name: str) -> None:
    found = CAPABILITIES[name]
    options = BodyOptions(model=MODEL, max_tokens=6, stream=found.streams)
    record, _ = exchange(
        world(), name, next(iter(found.prompt)), options, inferometer_fault={"kind": "no_usage"}
    )
    assert record.status == "ok"
    assert (record.input_tokens_server, record.output_tokens_server) == (None, None)


@pytest.mark.parametrize(("path", "body", "status", "shape"), [
    ("/generate", {"inputs": "a", "parameters": {"temperature": 0}}, 422, ["error", "error_type"]),
    ("/generate", {"text": "a", "input_ids": [1]}, 400, ["error"]),
    ("/generate", b"{", 400, ["error"]),
    ("/vllm/generate", {"prompt": 5}, 422, ["detail"]),
    ("/lmdeploy/generate", {}, 400, ["code", "message", "object", "param", "type"]),
    ("/infer", {"inputs": ""}, 422, ["error", "error_type"]),
    ("/infer_token", {"input_id": "a"}, 422, ["error", "error_type"]),
    ("/v2/models/other/generate", {"text_input": "a"}, 404, ["error"]),
    ("/models/other/generate", {"inputs": "a"}, 404, ["error"]),
    ("/v1/messages", {"model": MODEL, "messages": []}, 400, ["error", "type"]),
    ("/v1/responses", {"input": 5}, 400, ["error"]),
    ("/v1/embeddings", {"input": []}, 400, ["error"]),
    ("/api/v1/services/aigc/text-generation/generation", {"input": {}}, 400, ["code", "message", "request_id"]),
])  # fmt: skip
def test_each_api_refuses_in_its_own_words(
    world: Callable[..., World], path: str, body: Any, status: int, shape: list[str]
) -> None:
    peer = world().peer()
    peer.post(path, body)
    got, _, raw = peer.reply()
    assert (got, sorted(json.loads(raw))) == (status, shape)


def told(peer: Peer, path: str, body: Any = None) -> Any:
    """What a page tells."""
    if body is None:
        status, _, raw = peer.get(path)
    else:
        peer.post(path, body)
        status, _, raw = peer.reply()
    assert status == 200, raw
    return json.loads(raw)


def test_ids_are_told_in_the_forms_of_all_engines_and_lead_back_to_the_text(
    world: Callable[..., World],
) -> None:
    peer, text = world().peer(), "Hello, zebra 1234!"
    count = BuiltinTokenizer().count(text)
    vllm = told(peer, "/tokenize", {"prompt": text, "return_token_strs": True})
    assert (vllm["count"], len(vllm["tokens"]), "".join(vllm["token_strs"])) == (count, count, text)
    assert told(peer, "/tokenize", {"content": text}) == {"tokens": vllm["tokens"]}
    tgi = told(peer, "/tokenize", {"inputs": text})
    assert [one["id"] for one in tgi] == vllm["tokens"]
    assert all(text[one["start"] : one["stop"]] == one["text"] for one in tgi)
    lmdeploy = told(peer, "/v1/encode", {"input": text})
    assert lmdeploy == {"input_ids": vllm["tokens"], "length": count}
    assert told(peer, "/detokenize", {"tokens": vllm["tokens"]})["prompt"] == text
    messages = [{"role": "system", "content": "hello"}, {"role": "user", "content": "hello there"}]
    assert told(peer, "/tokenize", {"messages": messages})["count"] == 3
    strange = told(peer, "/detokenize", {"tokens": [1, 2, 3, 2**31]})["prompt"]
    assert BuiltinTokenizer().count(strange) == 4


def test_pages_of_all_engines(world: Callable[..., World]) -> None:
    here = world(adapters=("lora/a",))
    peer = here.peer()
    assert told(peer, "/v1/models/lora%2Fa")["parent"] == MODEL
    assert told(peer, "/v2/models/lora%2Fa")["name"] == "lora/a"
    assert told(peer, "/get_model_info")["model_path"] == MODEL
    assert told(peer, "/get_server_info")["context_length"] == 262144
    assert told(peer, "/info")["max_total_tokens"] == 262144
    assert told(peer, "/reset_prefix_cache", {}) == {"success": True}
    assert [peer.get(path)[0] for path in ("/ping", "/health_generate", "/v2/health/ready")] == [200] * 3
    assert peer.get("/v1/models/none")[0] == 404
    other = here.peer()
    other.post("/v1/completions", {"prompt": ["a", "b"], "n": 2, "max_tokens": 50, "stream": True})
    assert told(peer, "/load") == {"server_load": 1}
    here.step()
    assert told(peer, "/reset_prefix_cache", {}) == {"success": False}
    assert peer.get("/flush_cache")[0] == 400


def asked(here: World, path: str, body: Any, **headers: str) -> Any:
    """A whole answer, or the data of the events of a stream."""
    peer = here.peer()
    peer.post(path, body, **headers)
    here.finish()
    status, heads, raw = peer.reply()
    assert status == 200, raw
    if heads["content-type"] == "application/json":
        return json.loads(raw)
    lines = [line.removeprefix("data:") for line in raw.decode().split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.strip() != "[DONE]"]


@pytest.mark.parametrize("details", [True, False])
def test_a_stream_of_tgi_has_details_where_they_are_asked_for(
    world: Callable[..., World], details: bool
) -> None:
    parameters = {"max_new_tokens": 3, "details": details}
    last = asked(world(), "/generate_stream", {"inputs": TEXT, "parameters": parameters})[-1]
    assert last["generated_text"]
    assert (last["details"] is not None) is details


def test_dashscope_answers_with_a_text_unless_a_message_is_asked_for(world: Callable[..., World]) -> None:
    path, here = "/api/v1/services/aigc/text-generation/generation", world()
    body = {"input": {"prompt": TEXT}, "parameters": {"max_tokens": 3}}
    plain = asked(here, path, body)["output"]
    body["parameters"]["result_format"] = "message"
    (choice,) = asked(here, path, body)["output"]["choices"]
    assert plain == {"text": choice["message"]["content"], "finish_reason": "length"}


def test_usage_of_anthropic_is_whole_where_the_message_ends(world: Callable[..., World]) -> None:
    body = {"model": MODEL, "messages": PROMPTS["messages"].messages, "max_tokens": 3, "stream": True}
    (end,) = (event for event in asked(world(), "/v1/messages", body) if event["type"] == "message_delta")
    assert (end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (5, 3)


@pytest.mark.parametrize(("limit", "status"), [(3, "incomplete"), (2000, "completed")])
def test_an_answer_of_responses_and_its_message_say_whether_it_was_cut(
    world: Callable[..., World], limit: int, status: str
) -> None:
    answer = asked(world(), "/v1/responses", {"input": TEXT, "max_output_tokens": limit})
    assert (answer["status"], answer["output"][0]["status"]) == (status, status)
    assert answer["max_output_tokens"] == limit
    # Fields without which the models of the openai package and of vLLM refuse the answer.
    assert {"background", "service_tier", "truncation"} <= {*answer}
    assert answer["usage"]["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}


def test_the_server_takes_prompts_of_other_tools_with_its_defaults(world: Callable[..., World]) -> None:
    body = {"prompt": [7] * 131_072, "max_tokens": 2}  # EvalScope's longest
    assert asked(world(), "/v1/completions", body)["usage"]["prompt_tokens"] == 131_072
