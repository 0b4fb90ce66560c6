"""Conversations against real sockets: what is repeated, when turns go out, what a failure ends, and model mixes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import Done, check_message, check_sound, check_succeeded, here, statuses, stored

from inferometer import api
from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.concurrency import holders
from inferometer.record.tables import PointTable
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Endpoint, Load, Output, RunSpec, Sessions, Workload
from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import delta, models, plain, sse, stream, usage

SHORT = ("--input-len", "16", "--output-len", "4", "--warmup", "0", "--percentiles", "50")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(model="base", adapters=("lora-a",), base_s=0.002)) as server:
        yield server.url


def converse(url: str, out: Path, *flags: str) -> Done:
    return here("run", "--url", url, "--out", str(out), "--quiet", *SHORT, "--turn-input-len", "8", *flags)


def measured(out: Path) -> PointTable:
    (table,) = stored(out).measured
    return table


def column(table: PointTable, name: str) -> list[float]:
    return np.asarray(table.number(name)).tolist()


class Talker:
    """A server that says a different thing each time, and keeps what it was told.

    Args:
        fails: answers with an error where the conversation has so many messages.
        at_s: when the answer is sent.
    """

    def __init__(self, fails: int = 0, at_s: float = 0.0) -> None:
        self.fails = fails
        self.at_s = at_s
        self.heard: list[dict[str, Any]] = []
        self.said: dict[str, str] = {}  # by all that was said before
        self._lock = threading.Lock()

    def __call__(self, request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        body = json.loads(request.body)
        with self._lock:
            number = len(self.heard)
            self.heard.append(body)
            answer = f"answer {number}"
            self.said[json.dumps(body["messages"])] = answer
        if len(body["messages"]) == self.fails:
            return plain(503, "Busy", b'{"error": {"message": "busy"}}')
        words = sse(delta("", role="assistant")) + sse(delta(None, reasoning_content="let me see "))
        words += sse(delta(answer)) + sse(delta(finish="stop")) + sse(usage(5, 4)) + sse("[DONE]")
        return stream([(self.at_s, words)])


def test_later_turns_repeat_what_the_server_said_without_its_reasoning(tmp_path: Path) -> None:
    talker = Talker()
    with FaultServer(talker) as server:
        converse(server.url, tmp_path, "--turns", "3", "--max-concurrency", "2", "--num-prompts", "6")
    long = [body["messages"] for body in talker.heard if len(body["messages"]) == 5]
    assert len(long) == 6
    for messages in long:
        assert [message["role"] for message in messages] == ["user", "assistant"] * 2 + ["user"]
        for k in (1, 3):
            assert messages[k]["content"] == talker.said[json.dumps(messages[:k])]
    table = measured(tmp_path)
    assert column(table, "index") == [float(k) for k in range(18)]
    assert column(table, "turn") == [0.0, 1.0, 2.0] * 6
    assert table.text("session").tolist() == [f"session-{3 * (k // 3)}" for k in range(18)]
    assert table.text("output").tolist() == [None] * 18  # repeated, but not kept


def test_a_turn_waits_for_the_answer_and_thinks_before_it_goes_out(tmp_path: Path) -> None:
    with FaultServer(Talker(at_s=0.02)) as server:
        converse(
            server.url, tmp_path, "--turns", "2", "--max-concurrency", "3", "--num-prompts", "6",
            "--think-time", "30ms", "--keep-text",
        )  # fmt: skip
    table = measured(tmp_path)
    end, planned, sent = (np.asarray(column(table, name)) for name in ("end_ns", "planned_ns", "sent_ns"))
    assert (planned[1::2] - end[::2]).tolist() == [30e6] * 6
    assert (sent >= planned).all()
    # A session keeps its permit: the fourth begins when the first of the others has ended, not when it thinks.
    assert planned[6] >= sorted(end[1:6:2])[0]
    prompts = [str(text).splitlines() for text in table.text("prompt")]
    assert [len(lines) for lines in prompts] == [1, 3] * 6
    assert all(lines[1].startswith("answer ") for lines in prompts[1::2])


def test_sessions_arrive_when_they_are_due_whatever_the_others_do(tmp_path: Path, url: str) -> None:
    done = converse(
        url, tmp_path, "--turns", "3", "--request-rate", "50", "--burstiness", "inf", "--num-prompts", "20",
        "--think-time", "uniform:10ms,60ms", "--workers", "2",
    )  # fmt: skip
    check_succeeded(done, tmp_path)
    table = measured(tmp_path)
    assert statuses(stored(tmp_path)) == ["ok"] * 60
    assert column(table, "planned_ns")[::3] == [20e6 * k for k in range(20)]
    assert table.point.planned_requests == 60
    assert column(table, "worker")[::3] == [float(k % 2) for k in range(20)]
    assert column(table, "worker")[1::3] == column(table, "worker")[::3]


def test_the_report_tells_first_and_later_turns_apart(tmp_path: Path, url: str) -> None:
    done = converse(url, tmp_path, "--turns", "3", "--max-concurrency", "4", "--num-prompts", "24")
    check_succeeded(done, tmp_path)
    assert "Turns of sessions" in done.out
    (summary,) = api.report(stored(tmp_path).path).points
    groups = {group.name: group for group in summary.groups["turn"]}
    assert [group.requests for group in groups.values()] == [24, 48, 24, 24, 24]
    assert all({"ttft_ms", "tpot_ms", "e2el_ms"} == set(group.stats) for group in groups.values())
    told = groups["turn 3"].input_tokens
    assert told is not None
    assert told / 24 >= 16 + 8 + 8  # and the answers, as the server counts what it was sent
    assert measured(tmp_path).number("input_tokens_target")[2] == 16 + 4 + 8 + 4 + 8


def test_a_failed_turn_ends_its_session_and_what_was_not_sent_is_recorded(tmp_path: Path) -> None:
    talker = Talker(fails=3)
    with FaultServer(talker) as server:
        done = converse(server.url, tmp_path, "--turns", "4", "--max-concurrency", "2", "--num-prompts", "4")
    assert done.code == 5
    assert statuses(stored(tmp_path)) == ["ok", "http_error", "cancelled", "cancelled"] * 4
    assert len(talker.heard) == 8
    table = measured(tmp_path)
    assert table.text("error")[2] == "not sent: turn 2 of its session ended as http_error"
    (summary,) = api.report(stored(tmp_path).path).points
    assert (summary.counts.planned, summary.counts.records) == (16, 16)
    assert (summary.counts.ok, summary.counts.failed) == (4, 12)


def test_time_ends_sessions_between_their_turns(tmp_path: Path) -> None:
    with FaultServer(Talker(at_s=0.01)) as server:
        converse(
            server.url, tmp_path, "--turns", "1000", "--max-concurrency", "2", "--num-prompts", "2",
            "--duration", "0.3s", "--think-time", "20ms",
        )  # fmt: skip
    table = measured(tmp_path)
    assert table.point.stop_reason == "duration"
    assert set(statuses(stored(tmp_path))) == {"ok"}
    assert table.point.dispatched == len(column(table, "index"))
    assert max(column(table, "planned_ns")) < 0.3e9
    check_sound(tmp_path)


def test_a_user_who_thinks_when_time_is_up_still_holds_a_session(tmp_path: Path) -> None:
    """Every other session would have gone on long after the end."""

    def answer(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        words = sse(delta("yes", role="assistant")) + sse(delta(finish="stop")) + sse(usage(5, 4))
        return stream([(0.02, words + sse("[DONE]"))])

    talks = tmp_path / "talks.jsonl"
    rows = [{"messages": [{"role": "user", "content": f"question {row}"}]} for row in range(400)]
    for row in rows[:4:2]:
        row["messages"] += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "and then?"}]
    talks.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "runs"
    with FaultServer(answer) as server:
        here(
            "run", "--url", server.url, "--out", str(out), "--quiet", "--dataset", "custom", "--dataset-path",
            str(talks), "--multi-turn", "--max-concurrency", "4", "--duration", "1s", "--think-time", "9s",
            "--warmup", "0", "--grace", "1s",
        )  # fmt: skip
    table = measured(out)
    waiting = table.number("turns_left") > 0
    assert 0 < waiting.sum() < 4
    _, end, _ = holders(table)
    assert (end == np.nanmax(table.number("end_ns"))).sum() >= waiting.sum()


class Interrupting(NullObserver):
    """Asks the run to drain once some requests are done."""

    def __init__(self, stop: StopSignal) -> None:
        self.stop = stop

    def on_progress(self, progress: Progress) -> None:
        if progress.done >= 4 and not self.stop.level:
            self.stop.request()


def endless(url: str, out: Path, workers: int = 1) -> RunSpec:
    """Two sessions that go on for longer than any test."""
    return RunSpec(
        endpoint=Endpoint(url=url),
        load=Load(max_concurrency=(2,), num_prompts=(2,), warmup=0, workers=workers),
        workload=Workload(input_len=(8,), output_len=(4,)),
        sessions=Sessions(turns=1000),
        output=Output(out=str(out)),
    )


def test_an_interrupted_run_drains_the_turns_in_flight_and_sends_no_others(tmp_path: Path) -> None:
    stop = StopSignal()
    with FaultServer(Talker(at_s=0.02)) as server:
        result = api.run(endless(server.url, tmp_path), Interrupting(stop), stop)
    assert result.exit_code == 130
    table = measured(tmp_path)
    assert set(statuses(stored(tmp_path))) == {"ok"}
    assert 4 <= table.point.dispatched == len(column(table, "index")) < 2000


class Killing(NullObserver):
    """Kills the newest worker once some requests are done."""

    def __init__(self) -> None:
        self.killed = False

    def on_progress(self, progress: Progress) -> None:
        if progress.done >= 8 and not self.killed:
            children = psutil.Process().children()
            workers = [child for child in children if "loadgen.worker" in " ".join(child.cmdline())]
            max(workers, key=lambda child: (child.create_time(), child.pid)).kill()
            self.killed = True


def test_a_worker_that_dies_loses_no_turn_that_had_ended(tmp_path: Path) -> None:
    observer = Killing()
    with FaultServer(Talker(at_s=0.02)) as server:
        result = api.run(endless(server.url, tmp_path, workers=2), observer)
    assert observer.killed
    assert result.exit_code == 5
    table = measured(tmp_path)
    assert table.point.stop_reason == "lost"
    for worker in (0.0, 1.0):
        mine = table.number("worker") == worker
        assert table.number("turn")[mine].tolist() == [float(k) for k in range(mine.sum())]
        assert mine.any()


def test_recorded_answers_are_repeated_where_asked_for(tmp_path: Path, conversations: Path) -> None:
    talker = Talker()
    with FaultServer(talker) as server:
        done = here(
            "run", "--url", server.url, "--out", str(tmp_path), "--quiet", "--dataset", "sharegpt",
            "--dataset-path", str(conversations), "--multi-turn", "--history", "dataset", "--max-concurrency", "1",
            "--num-prompts", "2", "--warmup", "0", "--sharegpt-min-output", "0",
        )  # fmt: skip
    assert done.code in (0, 5), done
    last = [body["messages"] for body in talker.heard if len(body["messages"]) == 3]
    assert {messages[1]["content"] for messages in last} == {
        "Recorded answer number 0.",
        "Recorded answer number 1.",
    }


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    def talk(number: int) -> dict[str, Any]:
        said = [
            ("human", f"What is the first question, number {number}?"),
            ("gpt", f"Recorded answer number {number}."),
            ("human", "And what is the second one?"),
            ("gpt", "It is recorded as well."),
        ]
        return {"id": str(number), "conversations": [{"from": who, "value": text} for who, text in said]}

    path = tmp_path / "talks.json"
    path.write_text(json.dumps([talk(0), talk(1)]))
    return path


MIX = ("--model-mix", "base=3", "lora-a=1", "--max-concurrency", "4", "--num-prompts", "40")


def test_a_mix_of_models_has_a_row_for_each(tmp_path: Path, url: str) -> None:
    done = here("run", "--url", url, "--out", str(tmp_path), "--quiet", *SHORT, *MIX)
    check_succeeded(done, tmp_path)
    rows = [line.split() for line in done.out.partition("Models")[2].splitlines()[2:4]]
    assert [row[0] for row in rows] == ["base", "lora-a"]
    table = measured(tmp_path)
    asked: Sequence[str] = table.text("model").tolist()
    assert [int(row[1]) for row in rows] == [asked.count("base"), asked.count("lora-a")]
    assert 0 < asked.count("lora-a") < asked.count("base")


def test_a_model_that_the_server_does_not_list_is_refused(tmp_path: Path, url: str) -> None:
    done = here("run", "--url", url, "--out", str(tmp_path), "--model-mix", "base=1", "lora-b=1", "gone")
    check_message(done, 6, "does not serve 'lora-b', 'gone'; it serves 'base', 'lora-a'", "--model-mix")


def test_a_session_stays_with_one_of_several_servers(tmp_path: Path) -> None:
    talkers = Talker(), Talker()
    with FaultServer(talkers[0]) as first, FaultServer(talkers[1]) as second:
        converse(
            first.url, tmp_path, "--more-url", second.url, "--turns", "3", "--max-concurrency", "2",
            "--num-prompts", "6",
        )  # fmt: skip
    for talker in talkers:
        assert sorted(len(body["messages"]) for body in talker.heard) == [1] * 3 + [3] * 3 + [5] * 3
    assert statuses(stored(tmp_path)) == ["ok"] * 18
