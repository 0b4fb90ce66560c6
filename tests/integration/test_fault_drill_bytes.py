"""Bytes in unusual amounts: one at a time, cut anywhere, a prompt of 64 MB, an answer of 128 thousand tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from drill import Drilled, asked, check_invalid, cut_into, drill, server_tls

from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind
from inferometer.spec import Output, RunSpec, Workload
from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import answering, delta, models, plain, sse, stream, usage
from inferometer.testing.truth_server import TruthSettings, start_truth_server

pytestmark = pytest.mark.timeout(60)

MB = 1 << 20


# --- one byte at a time --------------------------------------------------------------------------------------

WORDS = ("Once", " 温度", " \U0001f321 is", ' 20 "°C"', "\n\n", " data: x")


def utf8(event: dict[str, Any]) -> bytes:
    """An event whose text is not escaped, so that a cut may go through a character."""
    return sse(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


EVENTS = [
    utf8(delta("", role="assistant")),
    b": ping\n\n",
    utf8(delta(reasoning_content="Hm")),
    *(utf8(delta(word)) for word in WORDS),
    utf8(delta(finish="stop")),
    utf8(usage(9, len(WORDS) + 1)),
    sse("[DONE]"),
]
WHOLE = Script(
    [
        stream([(0.0, event) for event in EVENTS])
        .sends[0]
        ._replace(data=b"".join(send.data for send in stream([(0.0, event) for event in EVENTS]).sends))
    ]
)
LENGTH = len(WHOLE.sends[0].data)
TEXT_COLUMNS = ("status", "error", "finish_reason", "output", "response_id")
NUMBER_COLUMNS = (
    "http_status",
    "bytes_in",
    "input_tokens_server",
    "output_tokens_server",
    "output_tokens_client",
)
CHUNK_COLUMNS = ("kind", "chars", "tokens")


def meaning(table: PointTable, row: int) -> dict[str, list[Any]]:
    """Everything about an answer that does not depend on when its bytes came."""
    chunks = table.chunks["request"] == table.number("index")[row]
    return {
        **{name: [table.text(name)[row]] for name in TEXT_COLUMNS},
        **{name: [float(table.number(name)[row])] for name in NUMBER_COLUMNS},
        **{name: np.nan_to_num(table.chunks[name][chunks], nan=-1.0).tolist() for name in CHUNK_COLUMNS},
    }


def measure_one_by_one(scripts: list[Script], secure: bool, home: Path) -> PointTable:
    """One answer after the other on one kept connection, in the order of the scripts."""
    tls, ca_file = server_tls(home) if secure else (None, None)
    with FaultServer(answering(scripts), tls) as server:
        load = {"max_concurrency": 1, "num_prompts": len(scripts)}
        spec = asked(server.url, home / "runs", load, ca_file=ca_file)
        done = drill(spec.model_copy(update={"output": Output(out=spec.output.out, keep_text=True)}))
    assert done.statuses == ["ok"] * len(scripts)
    assert np.isnan(done.table.number("connect_start_ns")).all()
    return done.table


def check_as_in_one_write(table: PointTable) -> None:
    """The first answer came in one write, and the others say the same."""
    expected = meaning(table, 0)
    assert expected["output"] == ["Hm" + "".join(WORDS)]
    assert expected["output_tokens_server"] == [len(WORDS) + 1]
    assert expected["finish_reason"] == ["stop"]
    assert expected["bytes_in"] == [LENGTH]
    assert len(expected["kind"]) == len(EVENTS)
    for row in range(1, len(table.number("index"))):
        assert meaning(table, row) == expected


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_an_answer_of_single_bytes(secure: bool, tmp_path: Path) -> None:
    at_once = cut_into(WHOLE, *range(1, LENGTH), gap_s=0.0)
    slowly = cut_into(WHOLE, *range(1, LENGTH), gap_s=0.0001)
    table = measure_one_by_one([WHOLE, at_once, slowly, at_once, slowly], secure, tmp_path)
    check_as_in_one_write(table)
    assert table.number("reads")[1:].min() > 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_an_answer_that_is_cut_in_two_at_any_byte(secure: bool, tmp_path: Path) -> None:
    step = 5 if secure else 1  # below TLS the framing is the same
    halves = [cut_into(WHOLE, offset) for offset in range(1, LENGTH, step)]
    table = measure_one_by_one([WHOLE, *halves], secure, tmp_path)
    check_as_in_one_write(table)
    assert (table.number("reads") == 2).any()


# --- a prompt of 64 MB ---------------------------------------------------------------------------------------


def prompts(file: Path, *sizes: int) -> Workload:
    """Prompts of these sizes in bytes; nearly all of it is white space, which is counted fast."""
    with file.open("w") as out:
        for number, size in enumerate(sizes):
            out.write('{"question": "' + str(number) + " " * (size - 2) + '?"}\n')
    return Workload(dataset="openqa", dataset_path=str(file), output_len=(2,))


def drill_prompts(spec: RunSpec, file: Path, *sizes: int) -> Drilled:
    """Send them, and leave no large file behind."""
    done = drill(spec.model_copy(update={"workload": prompts(file, *sizes)}))
    file.unlink()
    return done


def wire_bytes(request: Incoming) -> int:
    """Length of a request as it was sent."""
    lines = [
        f"{request.method} {request.path} HTTP/1.1",
        *(f"{n}: {v}" for n, v in request.headers.items()),
        "",
    ]
    return sum(len(line) + 2 for line in lines) + len(request.body)


ONE = stream([(0.0, sse(delta("x")) + sse(delta(finish="stop")) + sse("[DONE]"))])


@pytest.mark.parametrize(("workers", "permits"), [(1, 3), (2, 4)])
def test_prompts_of_64_mb(workers: int, permits: int, tmp_path: Path) -> None:
    """More than pipes and batches hold, between short ones that must not be lost."""
    sizes = [64 * MB, 2000, 20 * MB, 2000, 20 * MB, 40_000, 2000]
    seen: dict[int, int] = {}  # number of the prompt -> bytes on the wire

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        found = re.search(rb'"content":"(\d) *\?"', request.body)
        assert found is not None
        assert len(found[0]) == len('"content":""') + sizes[int(found[1])]
        seen[int(found[1])] = wire_bytes(request)
        return ONE

    with FaultServer(script) as server:
        load = {"max_concurrency": permits, "num_prompts": len(sizes), "workers": workers}
        spec = asked(server.url, tmp_path, load, read_timeout_s=20.0)
        done = drill_prompts(spec, tmp_path / "long.jsonl", *sizes)
    assert done.statuses == ["ok"] * len(sizes)
    assert done.table.number("row").tolist() == list(range(len(sizes)))
    assert done.table.number("bytes_out").tolist() == [seen[row] for row in range(len(sizes))]
    assert done.table.number("bytes_out")[0] > 64 * MB


def test_a_prompt_of_64_mb_over_tls(tmp_path: Path) -> None:
    sizes: list[int] = []

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        sizes.append(wire_bytes(request))
        return ONE

    tls, ca_file = server_tls(tmp_path)
    with FaultServer(script, tls) as server:
        spec = asked(server.url, tmp_path / "runs", {"max_concurrency": 1, "num_prompts": 1}, ca_file=ca_file)
        done = drill_prompts(spec, tmp_path / "long.jsonl", 64 * MB)
    assert done.statuses == ["ok"]
    assert done.table.number("bytes_out").tolist() == sizes
    assert sizes[0] > 64 * MB


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_prompt_that_is_refused_before_it_was_read(secure: bool, tmp_path: Path) -> None:
    """The server says so and closes, with megabytes unread: its kernel resets the connection."""
    no = plain(413, "Payload Too Large", b'{"error":{"message":"prompt of too many bytes"}}')._replace(
        close=True
    )
    tls, ca_file = server_tls(tmp_path) if secure else (None, None)
    with FaultServer(answering(no), tls, read_bodies=False) as server:
        load = {"max_concurrency": 2, "num_prompts": 4, "workers": 2}
        spec = asked(server.url, tmp_path / "runs", load, ca_file=ca_file)
        done = drill_prompts(spec, tmp_path / "long.jsonl", *[8 * MB] * 4)
    assert done.statuses == ["http_error"] * 4
    assert done.errors == {"HTTP 413 Payload Too Large: prompt of too many bytes"}
    assert (done.table.number("http_status") == 413).all()
    check_invalid(done)


# --- an answer of 128 thousand tokens ------------------------------------------------------------------------

TOKENS = 131_072
MOST_MEMORY = 600 * MB


class WatchMemory(NullObserver):
    """The most memory that any worker ever held, as far as reports come."""

    peak_bytes = 0

    def on_progress(self, progress: Progress) -> None:
        workers = [c for c in psutil.Process().children() if "loadgen.worker" in " ".join(c.cmdline())]
        self.peak_bytes = max([self.peak_bytes, *(worker.memory_info().rss for worker in workers)])


def check_long(done: Drilled, answers: int) -> None:
    assert done.statuses == ["ok"] * answers
    assert done.table.number("output_tokens_server").tolist() == [TOKENS] * answers
    assert done.table.number("output_tokens_client").tolist() == [TOKENS] * answers
    chunks = done.table.chunks
    # Two reads may share a segment, and its one stamp is converted anew for each.
    clock_error_ns = done.table.point.health[0].clock_error_ns or 0
    for row in range(answers):
        kinds = chunks["kind"][chunks["request"] == row]
        assert np.count_nonzero(kinds == ChunkKind.CONTENT) == TOKENS
        # Role, finish, usage and [DONE] are an event each.
        assert len(kinds) == TOKENS + 4
        times = chunks["recv_ns"][chunks["request"] == row]
        assert np.diff(times).min() >= -clock_error_ns
        assert times[-1] == done.table.number("end_ns")[row]
    assert np.nansum(chunks["tokens"]) == TOKENS * answers


@pytest.mark.parametrize("case", ["blocks", "one write each"])
def test_answers_of_128_thousand_tokens(case: str, tmp_path: Path) -> None:
    answers = 3 if case == "blocks" else 1
    settings = TruthSettings(ttft_s=0.001, itl_s=1e-6, flood=case == "blocks", log=False)
    memory = WatchMemory()
    with start_truth_server(settings) as server:
        spec = asked(server.url, tmp_path, {"max_concurrency": answers, "num_prompts": answers})
        spec = spec.model_copy(update={"workload": Workload(input_len=(8,), output_len=(TOKENS,))})
        done = drill(spec, memory)
    check_long(done, answers)
    assert 0 < memory.peak_bytes < MOST_MEMORY
    (health,) = done.table.point.health
    assert health.rss_peak_bytes is None or health.rss_peak_bytes < MOST_MEMORY
