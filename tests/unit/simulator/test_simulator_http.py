"""Requests in, bytes out: the protocol of the simulated server in virtual time."""

from __future__ import annotations

import json

import pytest
from sim_world import events

from inferometer import __version__
from inferometer.workload.builtin import BuiltinTokenizer

CHAT = "/v1/chat/completions"
PLAIN = "/v1/completions"


def ask(**fields):
    return {
        "messages": [{"role": "user", "content": "hello there"}],
        "max_tokens": 5,
        "ignore_eos": True,
        **fields,
    }


def test_a_chat_stream_is_framed_as_vllm_frames_it(world) -> None:
    here = world()
    peer = here.peer()
    peer.post(CHAT, ask(stream=True, stream_options={"include_usage": True}))
    assert len(peer.transport.writes) == 1  # the head goes out before the first token
    here.finish()
    assert len(peer.transport.writes) == 1 + 1 + 5  # head, role, tokens
    status, headers, body = peer.reply()
    role, *tokens, usage, done = events(body)
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["server"] == f"inferometer-simulator/{__version__}"
    assert role["object"] == "chat.completion.chunk"
    assert role["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert [token["choices"][0]["finish_reason"] for token in tokens] == [None] * 4 + ["length"]
    assert all("usage" not in token for token in tokens)
    text = "".join(token["choices"][0]["delta"]["content"] for token in tokens)
    assert BuiltinTokenizer().count(text) == 5
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 2,
        "total_tokens": 7,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert done == "[DONE]"
    assert {event["id"] for event in (role, *tokens, usage)} == {role["id"]}


def test_a_completion_stream_has_text_and_no_role(world) -> None:
    here = world()
    peer = here.peer()
    peer.post(PLAIN, {"prompt": [1, 2, 3], "max_tokens": 3, "ignore_eos": True, "stream": True})
    here.finish()
    *tokens, done = events(peer.reply()[2])
    assert [sorted(token["choices"][0]) for token in tokens] == [
        ["finish_reason", "index", "logprobs", "stop_reason", "text"]
    ] * 3
    assert [token["usage"] for token in tokens] == [None] * 3
    assert done == "[DONE]"


@pytest.mark.parametrize("path", [CHAT, PLAIN])
def test_continuous_usage_counts_up(world, path: str) -> None:
    here = world()
    peer = here.peer()
    options = {"include_usage": True, "continuous_usage_stats": True}
    peer.post(path, ask(prompt="hello there", stream=True, stream_options=options))
    here.finish()
    counts = [event["usage"]["completion_tokens"] for event in events(peer.reply()[2])[:-1]]
    assert counts == ([0] if path == CHAT else []) + [1, 2, 3, 4, 5, 5]


def test_tokens_come_at_the_times_of_the_model(world) -> None:
    here = world(base_s=0.01, per_token_s=0.001, per_seq_s=0.0, per_kv_token_s=0.0)
    peer = here.peer()
    peer.post(CHAT, ask(stream=True))
    here.finish()
    times = [(at - 1_000_000_000) / 1e9 for at, _ in peer.transport.writes]
    assert times == pytest.approx([0, 0.012, 0.012, 0.023, 0.034, 0.045, 0.056])


def test_a_late_step_does_not_move_the_ones_after_it(world) -> None:
    here = world(base_s=0.01, per_token_s=0.0, per_seq_s=0.0, per_kv_token_s=0.0)
    peer = here.peer()
    peer.post(CHAT, ask(stream=True))
    deadline, end = here.alarm.due
    here.clock.advance_ns(deadline - here.clock.now_ns() + 3_000_000)
    end()
    assert here.alarm.due[0] == deadline + 10_000_000


def test_a_request_that_comes_between_a_step_and_its_late_end_is_served(world) -> None:
    here = world(base_s=0.01)
    first, second = here.peer(), here.peer()
    first.post(CHAT, ask(max_tokens=1))
    deadline, end = here.alarm.due
    here.clock.advance_ns(deadline - here.clock.now_ns() + 1_000_000)
    second.post(CHAT, ask())
    here.alarm.due = None
    end()
    here.finish()
    assert first.reply()[0] == second.reply()[0] == 200


def test_stream_interval_groups_tokens_after_the_first(world) -> None:
    here = world(stream_interval=3)
    peer = here.peer()
    peer.post(PLAIN, {"prompt": "x", "max_tokens": 8, "ignore_eos": True, "stream": True})
    here.finish()
    *tokens, _ = events(peer.reply()[2])
    assert [len(token["choices"][0]["text"].split()) for token in tokens] == [1, 3, 3, 1]


@pytest.mark.parametrize(("path", "kind"), [(CHAT, "chat.completion"), (PLAIN, "text_completion")])
def test_an_answer_without_stream_is_one_json_object(world, path: str, kind: str) -> None:
    here = world()
    peer = here.peer()
    peer.post(path, ask(prompt="hello there"))
    here.finish()
    status, headers, body = peer.reply()
    answer = json.loads(body)
    choice = answer["choices"][0]
    assert (status, headers["content-type"], answer["object"]) == (200, "application/json", kind)
    text = choice["message"]["content"] if path == CHAT else choice["text"]
    assert BuiltinTokenizer().count(text) == 5
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


def test_without_ignore_eos_the_length_depends_on_prompt_and_seed_alone(world) -> None:
    def lengths(seed: int) -> list[tuple[int, str]]:
        here = world(seed=seed, answer_tokens_median=20)
        found = []
        for prompt in ("one", "two", "three", "one"):
            peer = here.peer()
            peer.post(PLAIN, {"prompt": prompt, "max_tokens": 400})
            here.finish()
            answer = json.loads(peer.reply()[2])
            found.append((answer["usage"]["completion_tokens"], answer["choices"][0]["text"]))
        return found

    first = lengths(1)
    assert first == lengths(1)
    assert first != lengths(2)
    assert first[0] == first[3]
    assert len({length for length, _ in first}) == 3


@pytest.mark.parametrize(("fields", "tokens", "reason"), [
    ({"max_tokens": 3}, 3, "length"),
    ({"max_tokens": 30, "min_tokens": 25}, 25, "stop"),
    ({"max_tokens": 7, "max_completion_tokens": 2}, 2, "length"),
    ({"max_tokens": None, "max_completion_tokens": None}, 4, "stop"),
])  # fmt: skip
def test_where_an_answer_ends(world, fields: dict, tokens: int, reason: str) -> None:
    here = world(answer_tokens_median=4, answer_tokens_sigma=0.0)
    peer = here.peer()
    peer.post(CHAT, ask(**{"ignore_eos": False, **fields}))
    here.finish()
    answer = json.loads(peer.reply()[2])
    assert answer["usage"]["completion_tokens"] == tokens
    assert answer["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(("path", "body", "status", "says"), [
    (CHAT, b"{", 400, "truncated"),
    (CHAT, ask(max_tokens="5"), 400, "max_tokens"),
    (CHAT, ask(messages=[]), 400, "messages"),
    (CHAT, ask(messages=[{"role": "user", "content": ""}]), 400, "empty"),
    (CHAT, ask(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400, "image_url"),
    (CHAT, ask(n=0), 400, "n=0"),
    (CHAT, ask(n=2, best_of=3), 400, "best_of=3"),
    (CHAT, ask(temperature=-1), 400, "temperature=-1 must be at least 0"),
    (CHAT, ask(top_p=0), 400, "top_p=0 must be above 0"),
    (CHAT, ask(top_logprobs=2), 400, "logprobs must be set"),
    (CHAT, ask(stop=["a", 1]), 400, "stop"),
    (CHAT, ask(model="gpt-9"), 404, "gpt-9"),
    (CHAT, ask(max_tokens=0), 400, "max_tokens=0"),
    (CHAT, ask(max_tokens=262_144), 400, "262144"),
    (CHAT, ask(min_tokens=9), 400, "min_tokens=9"),
    (CHAT, ask(inferometer_fault={"kind": "quake"}), 400, "quake"),
    (CHAT, ask(inferometer_fault={"kind": "cut", "aftre": 1}), 400, "aftre"),
    (CHAT, ask(stream_options={"include_usage": True}), 400, "stream_options"),
    (PLAIN, ask(), 400, "prompt is missing"),
    (PLAIN, ask(prompt=["a", 5]), 400, "prompt must be"),
    (PLAIN, ask(prompt=["a"] * 513, n=2), 400, "513 prompts x n=2"),
    (PLAIN, ask(prompt="a", logprobs=21), 400, "logprobs=21"),
    (PLAIN, ask(prompt="a", prompt_logprobs=1, stream=True), 400, "prompt_logprobs"),
    (PLAIN, ask(prompt=[7] * 262_144), 400, "262144"),
    ("/v1/nothing", ask(), 404, "/v1/nothing"),
    ("/health", ask(), 405, "GET"),
])  # fmt: skip
def test_refusals_name_the_thing(world, path: str, body: object, status: int, says: str) -> None:
    peer = world().peer()
    peer.post(path, body)
    got, headers, raw = peer.reply()
    assert got == status
    assert says in json.loads(raw)["error"]["message"]
    assert json.loads(raw)["error"]["code"] == status
    assert headers["server"].startswith("inferometer-simulator/")
    assert not peer.transport.closing


@pytest.mark.parametrize("prompt", [["hello there"], [[7, 8]]])
def test_a_list_of_one_prompt_is_that_prompt(world, prompt: list) -> None:
    here = world()
    peer = here.peer()
    peer.post(PLAIN, {"prompt": prompt, "max_tokens": 3})
    here.finish()
    assert json.loads(peer.reply()[2])["usage"]["prompt_tokens"] == 2


def test_text_parts_and_template_tokens_are_counted(world) -> None:
    here = world(chat_overhead_tokens=10)
    peer = here.peer()
    parts = [{"type": "text", "text": "hello there"}, {"type": "text", "text": "again"}]
    peer.post(
        CHAT, ask(messages=[{"role": "system", "content": "hello"}, {"role": "user", "content": parts}])
    )
    here.finish()
    assert json.loads(peer.reply()[2])["usage"]["prompt_tokens"] == 4 + 2 * 10


def test_the_api_key_guards_v1_alone(world) -> None:
    here = world(api_key="opensesame")
    peer = here.peer()
    peer.post(CHAT, ask())
    status, headers, body = peer.reply()
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert b"opensesame" not in body
    peer.post(CHAT, ask(), authorization="Bearer opensesame")
    here.finish()
    assert peer.reply()[0] == 200
    assert peer.get("/health")[0] == 200


def test_models_version_and_health(world) -> None:
    peer = world(model="m", max_model_len=100).peer()
    [model] = json.loads(peer.get("/v1/models")[2])["data"]
    assert (model["id"], model["owned_by"], model["max_model_len"]) == ("m", "inferometer-simulator", 100)
    assert json.loads(peer.get("/version")[2])["version"] == __version__
    assert peer.get("/health?x=1")[0] == 200


def test_bodies_in_pieces_and_chunks(world) -> None:
    here = world()
    raw = json.dumps(ask()).encode()
    chunked = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, raw[:9], len(raw) - 9, raw[9:])
    message = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode() + chunked
    peer = here.peer()
    for at in range(len(message)):
        peer.send(message[at : at + 1])
    here.finish()
    assert peer.reply()[0] == 200


def test_expect_continue_is_answered_before_the_body(world) -> None:
    here = world()
    peer = here.peer()
    raw = json.dumps(ask()).encode()
    peer.send(f"POST {CHAT} HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {len(raw)}\r\n\r\n".encode())
    assert peer.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(raw)
    here.finish()
    assert peer.reply()[0] == 200


def test_pipelined_requests_are_answered_in_order_and_hold_back_the_reader(world) -> None:
    here = world()
    peer = here.peer()
    raw = json.dumps(ask(stream=True)).encode()
    one = f"POST {CHAT} HTTP/1.1\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw
    peer.send(one + one + b"GET /version HTTP/1.1\r\n\r\n")
    assert not peer.transport.reading
    here.finish()
    assert peer.transport.reading
    data = peer.take()
    assert data.count(b"[DONE]") == 2
    assert data.rindex(b"[DONE]") < data.index(b'"engine"')


def test_many_pipelined_requests_do_not_recurse(world) -> None:
    peer = world().peer()
    peer.send(b"GET /health HTTP/1.1\r\n\r\n" * 3000)
    assert peer.take().count(b"200 OK") == 3000


@pytest.mark.parametrize(("data", "status"), [
    (b"NONSENSE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    (b"GET /health HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", 400),
    (b"POST /health HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n" + b"x" * (64 * 1024 * 1024 + 1), 413),
])  # fmt: skip
def test_what_is_no_request_is_refused_and_the_connection_closed(world, data: bytes, status: int) -> None:
    peer = world().peer()
    peer.send(data)
    got, headers, _ = peer.reply()
    assert (got, headers["connection"]) == (status, "close")
    assert peer.transport.closing


def test_connection_close_and_old_http(world) -> None:
    here = world()
    peer = here.peer()
    peer.post(CHAT, ask(stream=True), connection="close")
    here.finish()
    assert peer.reply()[1]["connection"] == "close"
    assert peer.transport.closing
    old = here.peer()
    raw = json.dumps(ask(stream=True)).encode()
    old.send(f"POST {CHAT} HTTP/1.0\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
    assert old.reply()[0] == 400


def test_head_has_no_body(world) -> None:
    peer = world().peer()
    peer.send(b"HEAD /health HTTP/1.1\r\n\r\n")
    assert peer.take().endswith(b"\r\n\r\n")


def test_a_client_that_leaves_frees_its_blocks(world) -> None:
    here = world()
    stays, leaves = here.peer(), here.peer()
    for peer in (stays, leaves):
        peer.post(CHAT, ask(max_tokens=50, stream=True))
    for _ in range(4):
        here.step()
    assert here.metric("vllm:num_requests_running") == 2
    used = here.metric("vllm:kv_cache_usage_perc")
    leaves.lose()
    assert here.metric("vllm:num_requests_running") == 1
    assert here.metric("vllm:kv_cache_usage_perc") == used / 2
    here.finish()
    assert events(stays.reply()[2])[-1] == "[DONE]"
    assert here.metric("vllm:kv_cache_usage_perc") == 0


def test_metrics_count_what_was_served(world) -> None:
    here = world(base_s=0.02)
    peer = here.peer()
    for _ in range(3):
        peer.post(CHAT, ask())
        here.finish()
    assert here.metric("vllm:prompt_tokens_total") == 6
    assert here.metric("vllm:generation_tokens_total") == 15
    assert here.metric("vllm:num_preemptions_total") == 0
    assert here.metric("vllm:time_to_first_token_seconds_count") == 3
    assert here.metric("vllm:inter_token_latency_seconds_count") == 12
    assert here.metric("vllm:e2e_request_latency_seconds_sum") == pytest.approx(3 * 5 * 0.02, rel=0.05)
    peer.take()
    _, headers, body = peer.get("/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert (
        b'vllm:request_success_total{engine="0",model_name="sim-llama-8b",finished_reason="length"} 3' in body
    )
