"""Every rank is woken over real sockets, and the slow and the dead ones are named."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import msgspec
import pytest
from commands import LIMIT_S, Command, check_message, here

from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock
from inferometer.engines.nodes.execute import wait_ready
from inferometer.engines.nodes.warmup import Rank, listed
from inferometer.errors import EngineError
from inferometer.loadgen.stop import StopSignal
from inferometer.testing.fault_server import FaultServer, Incoming, Script, Send
from inferometer.testing.streams import models, plain

ANSWER = json.dumps({"choices": [{"message": {"content": "dog"}}], "usage": {}}).encode()
SLOW_S = 3.0
USUAL_S = 0.4  # of the others: slow is from three times the median on, so a busy machine has 0.8 s to spare


def rank(delay_s: float = 0.0) -> FaultServer:
    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("deepseek")
        (send,) = plain(200, "OK", ANSWER).sends
        return Script([Send(delay_s, send.data)])

    return FaultServer(script)


def refusing(status: int, reason: str, times: int) -> FaultServer:
    """Refuses its first requests, then is as any other."""
    asked = 0

    def script(request: Incoming) -> Script:
        nonlocal asked
        asked += 1
        if asked <= times:
            return plain(status, reason, b'{"error": "not yet"}')
        return models("deepseek") if request.method == "GET" else plain(200, "OK", ANSWER)

    return FaultServer(script)


def dead_url() -> str:
    """An address where nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_32_ranks_of_which_3_are_slow_and_1_is_dead() -> None:
    slow, dead = (5, 17, 30), 11
    with contextlib.ExitStack() as stack:
        servers = {
            n: stack.enter_context(rank(SLOW_S if n in slow else USUAL_S)) for n in range(32) if n != dead
        }
        urls = [servers[n].url if n in servers else dead_url() for n in range(32)]
        done = here("launch", "warmup", "--url", *urls, "--pause", "0", "--retries", "1", "--json")
        bodies = [
            json.loads(each.request.body) for each in servers[3].served if each.request.method == "POST"
        ]
    assert done.code == 6
    *lines, last = done.out.splitlines()
    result = json.loads(last)
    states = {one["rank"]: one["state"] for one in result["ranks"]}
    assert states == {n: "slow" if n in slow else "dead" if n == dead else "ok" for n in range(32)}
    assert [one["url"] for one in result["ranks"]] == urls
    assert [one["attempts"] for one in result["ranks"]] == [2 if n == dead else 1 for n in range(32)]
    assert all(one["answer_ms"] > SLOW_S * 1e3 for one in result["ranks"] if one["rank"] in slow)
    assert sorted(int(line.split()[1]) for line in lines if line.startswith("rank ")) == list(range(32))
    assert any(line.startswith("awake  31 of 32 ranks; first answer: median ") for line in lines)
    assert [line.split()[2] for line in lines if line.startswith("slow ")] == ["5", "17", "30"]
    assert f"dead   rank 11  {urls[11]}" in done.out
    assert "rank 11 does not answer (1 of 32)" in done.err
    assert bodies == [
        {
            "model": "deepseek",
            "messages": [{"role": "user", "content": "The quick brown fox jumps over the lazy dog."}],
            "max_tokens": 20,
        }
    ]


def test_missing_ones_may_be_allowed() -> None:
    with rank() as server:
        flags = ("--url", f"{server.url},{dead_url()}", "--retries", "0", "--quiet")
        check_message(
            here("launch", "warmup", *flags), 6, "rank 1 does not answer (1 of 2)", "--allow-missing"
        )
        assert here("launch", "warmup", *flags, "--allow-missing").code == 0


def test_a_rank_that_is_not_ready_is_asked_again_and_one_that_refuses_is_not() -> None:
    with refusing(503, "Service Unavailable", 2) as late, refusing(401, "Unauthorized", 99) as closed:
        urls = (late.url, closed.url)
        done = here("launch", "warmup", "--url", *urls, "--pause", "10ms", "--allow-missing", "--json")
    first, second = json.loads(done.out.splitlines()[-1])["ranks"]
    assert (first["state"], first["attempts"]) == ("ok", 3)
    assert (second["state"], second["attempts"]) == ("dead", 1)
    assert "401 Unauthorized" in second["reason"]


def test_a_silent_rank_is_dead_after_the_time_limit() -> None:
    with FaultServer(lambda request: Script([])) as silent, rank() as good:
        flags = ("--url", silent.url, good.url, "--timeout", "300ms", "--retries", "0", "--json")
        done = here("launch", "warmup", *flags)
    assert [one["state"] for one in json.loads(done.out.splitlines()[-1])["ranks"]] == ["dead", "ok"]
    assert "no answer to GET /v1/models within 0.3 s" in done.out


def test_the_key_is_sent_and_never_shown() -> None:
    with refusing(403, "Forbidden", 99) as server:
        flags = ("--url", server.url, "--retries", "0", "--api-key", "sk-very-secret")
        done = here("launch", "warmup", *flags)
    # Only then the server's log is whole.
    sent = {each.request.headers["authorization"] for each in server.served}
    assert sent == {"Bearer sk-very-secret"}
    assert "very-secret" not in done.out + done.err


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    silent = FaultServer(lambda request: Script([]))
    with silent, Command(tmp_path, ("launch", "warmup", "--url", silent.url)) as command:
        command.wait_for("waking 1 rank")
        command.interrupt()
        done = command.finish()
    assert done.code == 130
    assert "interrupted" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "no ranks are named"),
        (("--url", "http://h:1", "--hosts", "a"), "name ranks twice"),
        (("--hosts", "a,b"), "--hosts without --ranks"),
        (("--hosts", "a,b", "--ranks", "3"), "do not share 2 hosts evenly"),
        (("--url", "ftp://h:1"), "ftp://h:1"),
        (("--url", "http://h:1", "--concurrency", "0"), "--concurrency 0"),
        (("--url", "http://h:1", "--timeout", "soon"), "--timeout soon"),
    ],
)
def test_what_cannot_be_asked(flags: tuple[str, ...], words: str) -> None:
    check_message(here("launch", "warmup", "--quiet", *flags), 2, words)


def test_a_rank_without_a_chat_template_is_asked_for_a_completion() -> None:
    refusal = plain(400, "Bad Request", b'{"error": "no chat template"}')
    text = json.dumps({"choices": [{"text": "dog"}]}).encode()

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("base")
        return refusal if "chat" in request.path else plain(200, "OK", text)

    with FaultServer(script) as server:
        done = here("launch", "warmup", "--url", server.url)
    assert done.code == 0, done.out


def test_the_address_of_a_name_that_answers_is_taken() -> None:
    """As ``localhost`` is ::1 first on many machines."""
    with rank() as server:
        target = resolve(server.url)
        (good,) = target.addresses
        (silent,) = resolve(dead_url()).addresses
        both = msgspec.structs.replace(target, addresses=[silent, good])
        found, names = listed(both, 5.0, MonotonicClock(), lambda: False)
    assert (found.addresses, names) == ([good], ["deepseek"])


def test_a_rank_that_refuses_ends_the_wait() -> None:
    with refusing(401, "Unauthorized", 99) as server:
        one = Rank(rank=0, url=server.url, target=resolve(server.url))
        with pytest.raises(EngineError, match=r"rank 0 at .* refuses to list its models: 401"):
            wait_ready([one], [], LIMIT_S, MonotonicClock(), StopSignal(), lambda line: None)
