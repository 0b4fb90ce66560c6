"""APIs other than OpenAI's, from the command line to the stored run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import check_succeeded, folders, here

from inferometer.record.store import read_run
from inferometer.testing.dialects import read_recordings
from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import plain, stream

STREAMS = Path(__file__).parents[1] / "data/streams"
LOAD = (
    "--max-concurrency",
    "2",
    "--num-prompts",
    "6",
    "--input-len",
    "8",
    "--output-len",
    "3",
    "--warmup",
    "1",
)
TEMPLATE = """\
path: /ask
headers: {X-Client: inferometer}
body: '{"question": {{ prompt | tojson }}, "limit": {{ max_tokens }}}'
framing: ndjson
text: say
error: problem
done: last
usage: {input: counts.in, output: counts.out}
"""


def ask(request: Incoming) -> Script:
    """An API that nobody knows: lines of JSON, a flag at the end."""
    if request.path != "/ask" or request.headers.get("x-client") != "inferometer":
        return plain(404, "Not Found", b'{"detail": "no such page"}')
    asked = json.loads(request.body)
    said = [{"say": f" word{at}"} for at in range(asked["limit"])]
    said.append(
        {"say": "", "last": True, "counts": {"in": len(asked["question"].split()), "out": asked["limit"]}}
    )
    lines = [json.dumps(one).encode() + b"\n" for one in said]
    return stream([(0.002 * at, one) for at, one in enumerate(lines)])


def test_an_api_that_nobody_knows_is_driven_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(TEMPLATE, "utf-8")
    with FaultServer(ask) as server:
        words = ("--backend", "template", "--template", str(tmp_path / "api.yaml"), *LOAD)
        done = here("run", "--url", server.url, "--out", str(tmp_path / "runs"), "--quiet", *words)
    check_succeeded(done, tmp_path / "runs")
    (table,) = read_run(folders(tmp_path / "runs")[-1]).measured
    assert set(table.text("status")) == {"ok"}
    assert list(table.number("output_tokens_server")) == [3.0] * 6
    assert list(table.number("streamed")) == [1.0] * 6


@pytest.mark.parametrize("first", ["unauthorised", "silent"])
def test_what_the_list_of_models_answers_says_nothing_of_another_api(first: str, tmp_path: Path) -> None:
    def script(request: Incoming) -> Script:
        if request.method == "POST":
            return ask(request)
        return Script([], hang_s=20) if first == "silent" else plain(401, "Unauthorized", b"{}")

    (tmp_path / "api.yaml").write_text(TEMPLATE, "utf-8")
    with FaultServer(script) as server:
        words = (
            "--backend",
            "template",
            "--template",
            str(tmp_path / "api.yaml"),
            *LOAD,
            "--read-timeout",
            "1",
        )
        done = here("run", "--url", server.url, "--out", str(tmp_path / "runs"), "--quiet", *words)
    check_succeeded(done, tmp_path / "runs")


def test_a_key_in_the_header_of_another_api_is_known_to_be_given(tmp_path: Path) -> None:
    with FaultServer(lambda _: plain(401, "Unauthorized", b"{}")) as server:
        words = ("--backend", "anthropic", "--api-key", "planted-1", "--model", "m")
        done = here("run", "--url", server.url, "--out", str(tmp_path), "-q", *words)
    assert (done.code, "does not accept this key" in done.err) == (6, True), done


def recorded(name: str) -> Any:
    """A server that answers every request as recorded, and knows no models."""
    recording = next(one for one in read_recordings(STREAMS / name) if one.expected.status == "ok")

    def answer(request: Incoming) -> Script:
        if request.method == "GET" or request.path != recording.path:
            return plain(404, "Not Found", b"{}")
        said = recording.answer
        if name == "vllm-generate":  # which repeats the prompt
            prompt = json.loads(request.body)["prompt"]
            said = b"".join(
                json.dumps({"text": [prompt + " yes" * at]}).encode() + b"\0" for at in range(1, 4)
            )
        return plain(200, "OK", said, recording.content_type or "text/plain")

    return answer


@pytest.mark.parametrize("name", ["vllm-generate", "sglang", "triton", "anthropic"])
def test_a_run_over_another_api(name: str, tmp_path: Path) -> None:
    with FaultServer(recorded(name)) as server:
        words = (
            "--backend",
            name,
            "--model",
            "vllm model" if name == "triton" else "tiny",
            *LOAD,
            "--no-ignore-eos",
        )
        done = here("run", "--url", server.url, "--out", str(tmp_path), "--quiet", "--keep-text", *words)
    assert done.code in (0, 5), done
    (table,) = read_run(folders(tmp_path)[-1]).measured
    assert set(table.text("status")) == {"ok"}, set(table.text("error"))
    assert set(table.number("streamed")) == {1.0}
    if name == "sglang":
        assert set(table.number("accepted_draft_tokens")) == {1.0}


def test_an_option_without_a_name_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    words = ("--url", "http://127.0.0.1:9", "--backend", "tgi", "--ignore-eos", "--out", str(tmp_path))
    for more in ((), ("--dry-run",)):
        done = here("run", *words, *more)
        assert (done.code, "--ignore-eos cannot be asked of --backend tgi" in done.err) == (2, True), done


def test_the_table_is_shown() -> None:
    listed, one = here("config", "backends"), here("config", "backends", "sglang")
    assert "template" in listed.out
    assert "text_is: delta" in here("config", "backends", "template").out
    assert "sampling_params.max_new_tokens" in one.out
    refused = here("config", "backends", "sgland")
    assert (refused.code, "no table for backend 'sgland'" in refused.err) == (2, True)
