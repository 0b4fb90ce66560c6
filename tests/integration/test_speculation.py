"""Speculative decoding from the wire to the report: counters of one server and of two, and servers that have none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from commands import check_succeeded, folders, here, run, stored
from eight import EIGHT

from inferometer import api
from inferometer.client import engine_counters
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.testing.fault_server import FaultServer, Incoming, Script, Send
from inferometer.testing.streams import models, plain

QUICK = SimSettings(
    speculative_tokens=3, acceptance_rate=0.7, base_s=0.0005, per_draft_s=0.0, max_num_batched_tokens=4096
)
LONG = ("--num-prompts", "40", "--output-len", "200", "--max-concurrency", "8")


def test_the_acceptance_of_the_server_comes_back_by_counters_and_by_the_stream(tmp_path: Path) -> None:
    rows = [{"task_id": f"t/{n}", "prompt": f"def f{n}(x):\n"} for n in range(60)]
    file = tmp_path / "HumanEval.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    with start_simulated_server(QUICK) as server:
        done = here(
            "run", "--preset", "speculative", "--url", server.url, "--dataset-path", str(file), "--out",
            str(tmp_path), "--quiet", *LONG, "--ignore-eos",
        )  # fmt: skip
    check_succeeded(done, tmp_path)
    (point,) = api.report(folders(tmp_path)[-1]).points
    found = point.speculative
    assert found is not None
    assert found.source == "engine counters"
    assert found.drafts is not None
    assert found.per_position == pytest.approx([0.7, 0.49, 0.343], abs=0.035)
    assert found.acceptance_rate == pytest.approx(sum((0.7, 0.49, 0.343)) / 3, abs=0.03)
    assert found.acceptance_length == pytest.approx(1 + 0.7 + 0.49 + 0.343, abs=0.08)
    assert found.accept_rate is not None
    assert found.tokens_per_step is not None
    assert found.accept_rate.mean == pytest.approx(found.acceptance_rate, abs=0.02)
    assert (found.unexplained, found.made_text) == (0.0, False)
    assert "AVG_SPEC_ACCEPT_RATE" in done.out, "the guide's columns"
    assert f"{'Drafts:':<40} {found.drafts}" in done.out, "vLLM's block"
    assert "accepted by place in the draft: 1: " in done.out


def test_two_servers_are_added_up_and_the_run_without_speculation_says_nothing_of_it(tmp_path: Path) -> None:
    plainly = SimSettings(base_s=0.0005)
    with start_simulated_server(QUICK) as one, start_simulated_server(QUICK) as two:
        done = run(one.url, tmp_path / "a", "--more-url", two.url, "--max-concurrency", "2")
        record = stored(tmp_path / "a")
        with start_simulated_server(plainly) as three:
            without = run(three.url, tmp_path / "b")
    for before, after in ((t.point.counters_before, t.point.counters_after) for t in record.measured):
        assert [each.source for each in before] == [f"{server.url}/metrics" for server in (one, two)]
        drafts = [sum(v for k, v in each.values.items() if "num_drafts_total" in k) for each in before]
        grown = [sum(v for k, v in each.values.items() if "num_drafts_total" in k) for each in after]
        assert all(then > now for now, then in zip(drafts, grown, strict=True))
    assert "acceptance on made-up prompts" in done.out
    assert "Speculative" not in without.out
    (alone,) = stored(tmp_path / "b").measured
    names = sorted(series.partition("{")[0] for series in alone.point.counters_before[0].values)
    assert names == ["vllm:cache_config_info", "vllm:num_preemptions_total"], "no counter of speculation"
    assert (alone.point.counters_after, alone.point.prepared) == (alone.point.counters_before, [])


EMPTY = plain(200, "OK", b"vllm:num_requests_running 0\n", "text/plain")
TEXTS = {
    "absent": (plain(404, "Not Found", b"{}"), 2, ""),
    "without speculation": (EMPTY, 1, ""),
    "a web page": (plain(200, "OK", b"<html></html>", "text/html"), 1, ""),
    "broken": (
        Script((Send(0.0, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nvllm:"),), close=True),
        1,
        "not read",
    ),
    "hanging": (Script((), hang_s=3.0), 1, "no answer to GET /metrics within 0.3 s"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_no_counters_cost_one_question_and_never_the_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_counters, "LIMIT_S", 0.3)
    answer, asked, told = TEXTS[name]

    def script(request: Incoming) -> Script:
        if request.path == "/v1/models":
            return models("test")
        return answer if request.method == "GET" else EIGHT

    with FaultServer(script) as server:
        done = run(server.url, tmp_path, "--max-concurrency", "2", "--warmup", "0")
        paths = [served.request.path for served in server.served if served.request.method == "GET"]
    check_succeeded(done, tmp_path)
    assert len([path for path in paths if path != "/v1/models"]) <= asked
    first, second = (table.point for table in stored(tmp_path).measured)
    assert (told in " ".join(first.prepared)) if told else first.prepared == []
    assert second.prepared == []


def test_counters_that_are_elsewhere_and_those_that_are_not_to_be_asked_for(tmp_path: Path) -> None:
    counters = iter(
        f"vllm:spec_decode_num_drafts_total 1{n}\nvllm:spec_decode_num_draft_tokens_total 2{n}\n"
        f"vllm:spec_decode_num_accepted_tokens_total 1{n}\n".encode()
        for n in range(8)
    )
    keys = []

    def exposition(request: Incoming) -> Script:
        keys.append(request.headers.get("authorization"))
        return plain(200, "OK", next(counters), "text/plain")

    def serving(request: Incoming) -> Script:
        return models("test") if request.method == "GET" else EIGHT

    with FaultServer(serving) as server, FaultServer(exposition) as gateway:
        there = ("--metrics-url", f"{gateway.url}/internal/metrics", "--api-key", "sk-secret-key")
        check_succeeded(run(server.url, tmp_path / "a", *there), tmp_path / "a")
        check_succeeded(run(server.url, tmp_path / "b", "--metrics-url", "off"), tmp_path / "b")
        paths = {served.request.path for one in (server, gateway) for served in one.served}
    (point,) = api.report(folders(tmp_path / "a")[-1]).points
    assert point.speculative is not None
    assert point.speculative.acceptance_rate == 1.0
    assert paths == {"/v1/models", "/v1/chat/completions", "/internal/metrics"}
    assert keys == [None, None], "the key is the server's, not the gateway's"
    wrong = run("http://127.0.0.1:9", tmp_path / "c", "--metrics-url", "gateway:9090")
    assert wrong.code == 2
    assert "--metrics-url 'gateway:9090'" in wrong.err
