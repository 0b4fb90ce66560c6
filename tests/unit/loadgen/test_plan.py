"""Bodies, points and batches, decided before anything is sent."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from inferometer.client.dialects import DIALECTS
from inferometer.client.exchange import Exchange
from inferometer.loadgen.backlog import MAX_AGE_NS, Backlog
from inferometer.loadgen.messages import (
    FromWorker,
    Inbox,
    MoreRequests,
    Need,
    Stop,
    ToWorker,
    WireRequest,
    pack,
)
from inferometer.loadgen.plan import (
    body_options,
    plan_arrivals,
    point_record,
    wire_requests,
)
from inferometer.spec import Endpoint, Load, RunSpec, Sampling, Workload, load_points, load_title
from inferometer.workload import Request, load_tokenizer

CHAT, COMPLETIONS = DIALECTS.get("openai-chat"), DIALECTS.get("openai-completions")


def spec(**parts: Any) -> RunSpec:
    return RunSpec(endpoint=Endpoint(url="http://127.0.0.1:1"), **parts)


def body(run: RunSpec, request: Request, dialect: Any = CHAT) -> dict[str, Any]:
    options = body_options(run, load_points(run)[0], "m")
    (wire,) = wire_requests(iter([request]), dialect, options, load_tokenizer("builtin"), False)
    return dict(json.loads(wire.body))


def test_a_chat_body_asks_for_stream_and_usage() -> None:
    sent = body(spec(), Request(text="hi", output_tokens_target=128))
    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 128,
        "ignore_eos": True,  # random data has a length to keep
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_sampling_goes_on_the_wire_and_extra_body_has_the_last_word() -> None:
    sampling = Sampling(
        max_tokens=9,
        temperature=0,
        top_p=0.5,
        top_k=3,
        min_tokens=2,
        stop=("x",),
        ignore_eos=False,
        stream=False,
        extra_body={"max_tokens": 4, "temperature": None, "seed": 1},
    )
    sent = body(spec(sampling=sampling), Request(text="hi"), COMPLETIONS)
    assert sent == {
        "model": "m",
        "prompt": "hi",
        "max_tokens": 4,
        "min_tokens": 2,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ["x"],
        "seed": 1,
    }


def test_data_without_an_answer_length_gets_a_limit() -> None:
    run = spec(
        workload=Workload(dataset="openqa", dataset_path=__file__), sampling=Sampling(ignore_eos=False)
    )
    assert body(run, Request(text="hi"))["max_tokens"] == 2048


def test_token_ids_and_messages_keep_their_form() -> None:
    assert body(spec(), Request(token_ids=[5, 6]), COMPLETIONS)["prompt"] == [5, 6]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert body(spec(), Request(messages=messages))["messages"] == messages
    assert body(spec(), Request(messages=messages), COMPLETIONS)["prompt"] == "s\nu"


def test_points_know_how_much_they_plan_and_their_schedule_has_a_hash() -> None:
    closed, timed = (
        load_points(spec(load=Load(max_concurrency=(2,), num_prompts=(9,)))),
        load_points(spec(load=Load(request_rate=(10.0,), burstiness=math.inf, duration_s=1.0))),
    )
    assert plan_arrivals(closed[0]) == (9, None)
    assert plan_arrivals(timed[0]).requests == 10
    again = load_points(spec(load=Load(request_rate=(10.0,), burstiness=math.inf, duration_s=1.0)))
    assert plan_arrivals(timed[0]).sha256 == plan_arrivals(again[0]).sha256
    assert point_record(timed[0]).load["burstiness"] == "inf"


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (Load(max_concurrency=(4,)), "concurrency 4"),
        (Load(request_rate=(2.5,)), "rate 2.5 req/s"),
        (Load(request_rate=(math.inf,)), "all at once"),
        (Load(request_rate=(2.0,), max_concurrency=(8,)), "rate 2 req/s, at most 8"),
    ],
)
def test_titles(load: Load, words: str) -> None:
    assert load_title(load_points(spec(load=load))[0].to_dict()) == words


def test_messages_survive_any_cut_of_the_pipe() -> None:
    messages = [MoreRequests([WireRequest(body=b"x" * 300, row=1)], True), Stop(2)]
    data = b"".join(pack(m) for m in messages)
    inbox = Inbox(ToWorker)
    assert [m for i in range(len(data)) for m in inbox.feed(data[i : i + 1])] == messages
    assert Inbox(FromWorker).feed(pack(Need())) == [Need()]


def test_the_backlog_works_in_steps_first_in_first_out_and_knows_its_age() -> None:
    stored: list[tuple[int, Any]] = []

    def decode(exchange: Exchange) -> Any:
        yield
        yield
        return exchange.index

    backlog = Backlog(decode, lambda exchange, result: stored.append((exchange.index, result)))
    for index in range(2):
        exchange = Exchange(index, b"", 0)
        exchange.bytes_in, exchange.end_ns = 100, 1000
        backlog.add(exchange)
    assert backlog.peak_bytes == 200
    assert not backlog.overdue(1000 + MAX_AGE_NS)
    assert backlog.overdue(1001 + MAX_AGE_NS)
    for _ in range(3):
        backlog.step(2000)
    assert stored == [(0, 0)]
    backlog.drain(lambda: 3000)
    assert stored == [(0, 0), (1, 1)]
    assert backlog.peak_age_ns == 2000
    assert not backlog
