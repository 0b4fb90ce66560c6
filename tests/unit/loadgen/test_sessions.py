"""Sessions, decided without a server: what a turn says, when it is due, and what a failed one leaves behind."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest

from inferometer.client.dialects import DIALECTS, BodyOptions
from inferometer.client.dialects.asked import settle
from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.client.exchange import Exchange
from inferometer.errors import DataError, UsageError
from inferometer.loadgen.backlog import Backlog
from inferometer.loadgen.messages import Conversation, Inbox, Later, MoreRequests, ToWorker, WireRequest, pack
from inferometer.loadgen.plan import planned_turns, wire_requests
from inferometer.loadgen.sessions import (
    Sessions,
    first_turn,
    never_sent,
    next_turn,
    said_by_server,
    without_later_turns,
)
from inferometer.record.types import ChunkColumns, ChunkKind, RequestRecord
from inferometer.spec import Endpoint, Load, RunSpec, Workload, load_points
from inferometer.spec import Sessions as SessionsPart
from inferometer.spec.session_rules import WITHOUT_MESSAGES
from inferometer.workload import DatasetInfo, Request, RowFeed, Turn, load_tokenizer

CHAT = DIALECTS.get("openai-chat")
OPTIONS = BodyOptions(model="m", default_max_tokens=9)
SERVER = Conversation(OPTIONS)
KEPT = Conversation(OPTIONS, keep_text=True)
RECORDED = Conversation(OPTIONS, recorded=True, keep_text=True)


def record(**fields: Any) -> RequestRecord:
    usual: dict[str, Any] = {"point": 1, "index": 4, "status": "ok", "planned_ns": 0, "end_ns": 1000}
    return RequestRecord(**{**usual, **fields})


def asked(*turns: Turn, **fields: Any) -> WireRequest:
    return WireRequest(
        b"{}", session="a", index=4, later=Later([{"role": "user", "content": "hi"}], list(turns)), **fields
    )


def test_the_next_turn_repeats_what_was_said_and_adds_what_the_user_says_now() -> None:
    turns = Turn(content="and then?", input_tokens_target=3, output_tokens_target=7), Turn(content="bye")
    first = asked(*turns, input_tokens_target=10, row=2, model="lora-a")
    second = next_turn(first, record(output_tokens_client=5), "hello", KEPT, CHAT)
    body = json.loads(second.body)
    said = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "and then?"},
    ]
    assert body["messages"] == said
    assert (body["model"], body["max_tokens"]) == ("lora-a", 7)
    assert (second.session, second.turn, second.index, second.row) == ("a", 1, 5, 2)
    assert (second.input_tokens_target, second.output_tokens_target) == (18, 7)
    assert second.prompt == "hi\nhello\nand then?"
    third = next_turn(second, record(index=5), "ok", SERVER, CHAT)
    assert json.loads(third.body)["messages"][3:] == [
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "bye"},
    ]
    assert third.later is None
    assert third.input_tokens_target is None  # how long the answer was is not known
    assert third.output_tokens_target == 9


def test_a_turn_is_due_its_think_time_after_the_answer_and_the_earliest_comes_first() -> None:
    sessions = Sessions(SERVER, CHAT)
    for index, end_ns, think_s in ((0, 1_000, 2.0), (10, 5_000, 0.0)):
        sessions.begin()
        sessions.answered(asked(Turn(content="x", think_s=think_s)), record(index=index, end_ns=end_ns), "y")
    assert not sessions.due(4_999)
    assert sessions.due(5_000)
    assert sessions.take()[:2] == (5_000, 11)
    due_ns, number, _, request = sessions.take()
    assert (due_ns, number, request.prompt) == (2_000_001_000, 1, None)
    assert (sessions.due(1 << 62), sessions.open) == (False, 2)


def test_the_recorded_answer_is_repeated_in_place_of_the_servers_own() -> None:
    sessions = Sessions(RECORDED, CHAT)
    sessions.answered(asked(Turn(content="x", reply="as recorded")), record(), None)
    assert sessions.take().request.prompt == "hi\nas recorded\nx"
    assert not sessions.needs_answers


def test_reasoning_is_not_repeated() -> None:
    kinds = [ChunkKind.ROLE, ChunkKind.REASONING, ChunkKind.CONTENT, ChunkKind.CONTENT, ChunkKind.DONE]
    chunks = ChunkColumns(kind=bytes(kinds), chars=array("i", [0, 5, 2, 4, 0]).tobytes())
    assert said_by_server("hmm..It is.", chunks) == "It is."
    assert said_by_server("It is.", ChunkColumns(kind=bytes([ChunkKind.CONTENT]))) == "It is."
    assert said_by_server("call()", ChunkColumns(kind=bytes([ChunkKind.TOOL]))) == "call()"
    assert said_by_server("whole", ChunkColumns()) == "whole"


def test_a_failed_turn_leaves_a_cancelled_record_for_each_one_after_it() -> None:
    failed = record(index=4, turn=1, session="a", status="http_error", worker=1)
    rest = list(never_sent(asked(Turn(content="x"), Turn(content="y", output_tokens_target=3)), failed))
    assert [(r.index, r.turn, r.turns_left, r.status, r.sent_ns) for r in rest] == [
        (5, 2, 1, "cancelled", None),
        (6, 3, 0, "cancelled", None),
    ]
    assert {(r.session, r.worker, r.planned_ns) for r in rest} == {("a", 1, 1000)}
    assert rest[0].error == "not sent: turn 2 of its session ended as http_error"


def test_numbers_count_turns_and_sessions_have_names() -> None:
    requests = [
        Request(text="a", later=[Turn(content="b"), Turn(content="c")]),
        Request(messages=[{"role": "user", "content": "d"}], session="own", turn=4),
        Request(text="e", row=7, later=[Turn(content="f")]),
    ]
    wire = list(wire_requests(iter(requests), CHAT, OPTIONS, load_tokenizer("builtin"), False, keep_own))
    assert [(w.index, w.session) for w in wire] == [(0, "session-0"), (3, "own"), (4, "session-4")]
    assert [w.later and len(w.later.turns) for w in wire] == [2, None, 1]
    assert [w.turn for w in wire] == [0, 0, 0]  # whoever begins one ends it
    assert Inbox(ToWorker).feed(pack(MoreRequests(wire, True))) == [MoreRequests(wire, True)]


def keep_own(request: Request) -> Later | None:
    return first_turn(request, recorded=False)


def test_a_conversation_that_was_not_asked_for_is_refused() -> None:
    request = Request(text="a", row=3, later=[Turn(content="b")])
    wire = wire_requests(iter([request]), CHAT, OPTIONS, load_tokenizer("builtin"), False)
    with pytest.raises(DataError, match="row 3 of the data set is a conversation of 2 turns"):
        next(wire)
    assert without_later_turns(request).later == []


@pytest.mark.parametrize(
    ("request_", "recorded", "words"),
    [
        (Request(text="a", row=3, later=[Turn(content="b")]), True, "row 3 has no recorded answer"),
        (Request(token_ids=[1], row=4, later=[Turn(content="b")]), False, "row 4 begins with a whole body"),
    ],
)
def test_a_conversation_that_cannot_be_sent_is_refused(request_: Request, recorded: bool, words: str) -> None:
    with pytest.raises(DataError, match=words):
        first_turn(request_, recorded)


class Rows:
    """A file of conversations of two and three turns."""

    def info(self) -> DatasetInfo:
        return DatasetInfo(name="rows", rows_total=2, rows_usable=2)

    def requests(self, seed: int, salt: str) -> Any:
        for row in range(2):
            yield Request(text="a", row=row, later=[Turn(content="b")] * (row + 1))


def test_planned_requests_count_turns() -> None:
    run = RunSpec(
        endpoint=Endpoint(url="http://127.0.0.1:1"),
        load=Load(max_concurrency=(1,), num_prompts=(2,)),
        workload=Workload(dataset="custom", dataset_path=__file__),
        sessions=SessionsPart(multi_turn=True),
    )
    (point,) = load_points(run)
    feed = RowFeed(lambda _: Rows())
    feed.take(point, "")
    assert planned_turns(run, point, 2, feed) == 5
    assert planned_turns(run, point, 1, feed) is None  # time ends it before all rows are sent
    assert planned_turns(run, point, None, feed) is None


def test_what_presses_is_decoded_before_what_was_begun() -> None:
    stored: list[int] = []

    def decode(exchange: Exchange) -> Any:
        yield
        yield
        return exchange.index

    backlog = Backlog(decode, lambda exchange, result: stored.append(exchange.index))

    def add(index: int, presses: bool) -> None:
        exchange = Exchange(index, b"", 0)
        exchange.bytes_in, exchange.end_ns = 10, 0
        backlog.add(exchange, presses=presses)

    add(0, False)
    backlog.step(1)
    for index in (1, 2):
        add(index, True)
    add(3, False)
    for _ in range(6):
        assert backlog.pressing
        backlog.step(1)
    assert stored == [1, 2]
    assert not backlog.pressing
    backlog.drain(lambda: 1)
    assert stored == [1, 2, 0, 3]
    assert not backlog


def test_what_a_dialect_cannot_say_is_refused() -> None:
    def asked_of(backend: str, **parts: Any) -> RunSpec:
        return RunSpec(endpoint=Endpoint(url="http://127.0.0.1:1", backend=backend), **parts)

    mix, talks = {"workload": Workload(model_mix=("a", "b"))}, {"sessions": SessionsPart(turns=2)}
    with pytest.raises(UsageError, match="--backend tgi does not tell the server of any"):
        settle(asked_of("tgi", **mix))
    with pytest.raises(UsageError, match="--backend tgi does not send"):
        settle(asked_of("tgi", **talks))
    for parts in (mix, talks):
        settle(asked_of("openai-chat", **parts))
    silent = {name for name, found in CAPABILITIES.items() if "messages" not in found.prompt}
    assert silent == set(WITHOUT_MESSAGES)  # which are refused even sooner
