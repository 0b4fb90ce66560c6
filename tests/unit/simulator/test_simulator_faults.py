"""Each fault does what its name says, and leaves nothing behind in the engine."""

from __future__ import annotations

import json
import re

import pytest
from sim_world import chunks, events

from inferometer.errors import UsageError
from inferometer.simulator import Fault, SimSettings
from inferometer.simulator.server.listening import serve
from inferometer.simulator.server.serve import settings_from_flags

CHAT = "/v1/chat/completions"


def ask(fault: dict | None, **fields):
    extra = {} if fault is None else {"inferometer_fault": fault}
    return {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 12, "ignore_eos": True,
            "stream": True, "stream_options": {"include_usage": True}, **extra, **fields}  # fmt: skip


def served(world, body: dict):
    here = world()
    peer = here.peer()
    peer.post(CHAT, body)
    here.finish()
    assert here.metric("vllm:num_requests_running") == 0
    assert here.metric("vllm:kv_cache_usage_perc") == 0
    return here, peer


def texts(found: list) -> list[str]:
    deltas = [event["choices"][0]["delta"] for event in found if event != "[DONE]" and event.get("choices")]
    return [delta["content"] for delta in deltas if delta["content"]]


@pytest.mark.parametrize(("fault", "status", "kind", "part"), [
    ({"kind": "status"}, 500, "application/json", b"on purpose"),
    ({"kind": "status", "status": 429, "body": "slow down"}, 429, "text/plain; charset=utf-8", b"slow down"),
    ({"kind": "status", "status": 502, "html": True}, 502, "text/html; charset=utf-8", b"<html>"),
    ({"kind": "html"}, 200, "text/html; charset=utf-8", b"<html>"),
])  # fmt: skip
def test_answers_that_are_none(world, fault: dict, status: int, kind: str, part: bytes) -> None:
    _, peer = served(world, ask(fault))
    got, headers, body = peer.reply()
    assert (got, headers["content-type"]) == (status, kind)
    assert part in body


def test_hang_answers_nothing(world) -> None:
    _, peer = served(world, ask({"kind": "hang"}))
    assert peer.take() == b""
    peer.lose()


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_cut_closes_after_exactly_so_many_tokens(world, after: int) -> None:
    _, peer = served(world, ask({"kind": "cut", "after_tokens": after}))
    assert peer.transport.closing
    _, _, raw = peer.take().partition(b"\r\n\r\n")
    assert not raw.endswith(b"0\r\n\r\n")
    assert len(texts(events(b"".join(chunks(raw))))) == after


def test_cut_flushes_what_the_stream_interval_held_back(world) -> None:
    here = world(stream_interval=4)
    peer = here.peer()
    peer.post(CHAT, ask({"kind": "cut", "after_tokens": 3}))
    here.finish()
    _, _, raw = peer.take().partition(b"\r\n\r\n")
    assert len("".join(texts(events(b"".join(chunks(raw))))).split()) == 3


@pytest.mark.parametrize("after", [0, 4])
def test_error_event_comes_inside_the_stream(world, after: int) -> None:
    _, peer = served(world, ask({"kind": "error_event", "after_tokens": after}))
    *tokens, error, done = events(peer.reply()[2])
    assert len(texts(tokens)) == after
    assert error["error"]["code"] == 500
    assert done == "[DONE]"
    assert not peer.transport.closing


@pytest.mark.parametrize("after", [0, 4])
def test_broken_answers_without_stream(world, after: int) -> None:
    whole: dict = {"stream": False, "stream_options": None}
    _, peer = served(world, ask({"kind": "error_event", "after_tokens": after}, **whole))
    assert peer.reply()[0] == 500
    _, peer = served(world, ask({"kind": "cut", "after_tokens": after}, **whole))
    assert peer.take() == b""
    assert peer.transport.closing


def test_slow_first_byte_waits_before_anything_is_sent(world) -> None:
    here, peer = served(world, ask({"kind": "slow_first_byte", "delay_s": 2.5}))
    assert peer.take() == b""
    [later] = here.laters
    here.clock.advance_ns(later.at_ns - here.clock.now_ns())
    later.callback()
    here.finish()
    assert here.clock.now_ns() > 3_500_000_000
    assert len(texts(events(peer.reply()[2]))) == 12


def test_a_client_that_leaves_during_the_wait_is_forgotten(world) -> None:
    here, peer = served(world, ask({"kind": "slow_first_byte"}))
    peer.lose()
    assert here.laters[0].cancelled


def test_coalesce_puts_several_events_into_one_write(world) -> None:
    _, peer = served(world, ask({"kind": "coalesce", "tokens": 5}))
    writes = [data.count(b"data: ") for _, data in peer.transport.writes]
    assert writes == [0, 5, 5, 2 + 1 + 2]  # head; role + 4 tokens; 5; 2 held + last + usage + DONE
    assert len(texts(events(peer.reply()[2]))) == 12


def test_no_usage_and_no_done_leave_that_frame_out(world) -> None:
    found = events(served(world, ask({"kind": "no_usage"}))[1].reply()[2])
    assert all("usage" not in event for event in found[:-1])
    assert found[-1] == "[DONE]"
    found = events(served(world, ask({"kind": "no_done"}))[1].reply()[2])
    assert found[-1]["usage"]["completion_tokens"] == 12
    whole = json.loads(served(world, ask({"kind": "no_usage"}, stream=False))[1].reply()[2])
    assert "usage" not in whole


def test_not_stream_answers_json(world) -> None:
    status, headers, body = served(world, ask({"kind": "not_stream"}))[1].reply()
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["usage"]["completion_tokens"] == 12


def test_a_server_wide_fault_hits_its_share_by_seed(world) -> None:
    def statuses(seed: int) -> list[int]:
        here = world(seed=seed, fault=Fault(kind="status", status=503, share=0.6))
        found = []
        for _ in range(200):
            peer = here.peer()
            peer.post(CHAT, ask(None, max_tokens=1))
            here.finish()
            found.append(peer.reply()[0])
        return found

    first = statuses(1)
    assert first == statuses(1)
    assert first != statuses(2)
    assert set(first) == {200, 503}
    assert 95 <= first.count(503) <= 145


def test_flags_become_settings() -> None:
    settings = settings_from_flags(
        {
            "model": "m",
            "max_num_seqs": "8",
            "base_s": "0.5",
            "fault": '{"kind": "cut", "share": 0.5}',
            "seed": None,
        }
    )
    assert (settings.model, settings.max_num_seqs, settings.base_s, settings.seed) == ("m", 8, 0.5, 0)
    assert settings.fault == Fault(kind="cut", share=0.5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_num_seqs": "many"}, "--max-num-seqs many"),
        ({"acceptance": "0.5,x"}, "--acceptance 0.5,x"),
        ({"fault": "{"}, "--fault {"),
        ({"fault": '{"kind": "x"}'}, '--fault {"kind": "x"}'),
    ],
)
def test_flags_that_are_no_values_are_refused(options: dict, named: str) -> None:
    with pytest.raises(UsageError, match=re.escape(named) + " of the simulated server: "):
        settings_from_flags(options)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="port 99999 must lie between 0 and 65535"):
        serve(SimSettings(), "127.0.0.1", 99999, on_ready=pytest.fail)
