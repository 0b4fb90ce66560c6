"""The simulated server as real clients meet it: the openai package and curl, over loopback."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from statistics import median

import openai
import pytest

from inferometer import __version__
from inferometer.simulator import SimSettings, SimulatedServer, start_simulated_server
from inferometer.workload.builtin import BuiltinTokenizer

MODEL = "sim-llama-8b"
HELLO = [{"role": "user", "content": "hello there"}]
FIXED = {"ignore_eos": True}


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with start_simulated_server(SimSettings()) as running:
        yield running


@pytest.fixture
def client(server: SimulatedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=10) as made:
        yield made


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return subprocess.run(
        ["curl", "-sS", "--max-time", "10", *arguments], capture_output=True, text=True, check=False
    )


def faulty(kind: str, **fields: object) -> dict[str, object]:
    return {**FIXED, "inferometer_fault": {"kind": kind, **fields}}


def metric(server: SimulatedServer, name: str) -> float:
    text = curl(f"{server.url}/metrics").stdout
    [line] = [line for line in text.splitlines() if line.startswith(name + "{")]
    return float(line.rsplit(" ", 1)[1])


def wait_until(holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_models(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert (model.id, model.owned_by) == (MODEL, "inferometer-simulator")


def test_chat_whole_and_streamed_are_the_same_answer(client: openai.OpenAI) -> None:
    asked = {"model": MODEL, "messages": HELLO, "max_tokens": 20, "extra_body": FIXED}
    whole = client.chat.completions.create(**asked)
    stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    *chunks, last = stream
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole.choices[0].message.content
    assert BuiltinTokenizer().count(whole.choices[0].message.content) == 20
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert last.usage == whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 20)


def test_completion_whole_and_streamed_are_the_same_answer(client: openai.OpenAI) -> None:
    asked = {"model": MODEL, "prompt": "hello there", "max_tokens": 20, "extra_body": FIXED}
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"
    assert len(chunks) == 20


def test_curl_reads_the_stream(server: SimulatedServer, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    body = {"messages": HELLO, "max_tokens": 3, "ignore_eos": True, "stream": True}
    for extra in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
        said = curl("-D", str(heads), *extra, "-d", json.dumps(body), f"{server.url}/v1/chat/completions")
        assert said.returncode == 0
        assert said.stdout.count("data: ") == 1 + 3 + 1
        assert said.stdout.endswith("data: [DONE]\n\n")
        assert f"server: inferometer-simulator/{__version__}" in heads.read_text()


def test_curl_reads_json_and_reuses_its_connection(server: SimulatedServer) -> None:
    body = json.dumps({"prompt": "hello there", "max_tokens": 3})
    url = f"{server.url}/v1/completions"
    said = curl("-w", " %{num_connects}\n", "-d", body, url, url)
    lines = said.stdout.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["1", "0"]
    assert json.loads(lines[0].rsplit(" ", 1)[0])["usage"]["prompt_tokens"] == 2


def test_errors_are_what_the_client_library_expects(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-9"):
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="n=129") as refused:
        client.chat.completions.create(model=MODEL, messages=HELLO, n=129)
    assert (refused.value.param, refused.value.code) == ("n", "400")
    with pytest.raises(openai.BadRequestError, match="none of them empty"):
        client.completions.create(model=MODEL, prompt=["a", []])


def test_ten_streams_at_once_share_the_steps(server: SimulatedServer, client: openai.OpenAI) -> None:
    def one(_: int) -> int:
        stream = client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=60, stream=True, extra_body=FIXED
        )
        return sum(bool(chunk.choices[0].delta.content) for chunk in stream)

    before = metric(server, "vllm:iteration_tokens_total_count")
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == [60] * 10
    assert metric(server, "vllm:iteration_tokens_total_count") - before < 10 * 60  # as one after the other


def stream_times(server: SimulatedServer, body: dict[str, object]) -> tuple[float, list[float]]:
    """When a stream was asked for, and when each of its events was there, in seconds."""
    with closing(http.client.HTTPConnection(server.url.removeprefix("http://"))) as connection:
        start = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps({**body, "model": MODEL, "stream": True}))
        lines = connection.getresponse()
        return start, [time.monotonic() for line in lines if line.startswith(b"data: {")]


def test_times_are_those_of_the_model(server: SimulatedServer) -> None:
    settings = SimSettings()
    step_s = settings.base_s + settings.per_token_s + settings.per_seq_s + 2030 * settings.per_kv_token_s
    prefill_s = settings.base_s + 2000 * settings.per_token_s + settings.per_seq_s

    def on_time() -> bool:
        start, times = stream_times(server, {"prompt": [next(number)] * 2000, "max_tokens": 60, **FIXED})
        ttft_s, tpot_s = times[0] - start, (times[-1] - times[0]) / 59
        assert ttft_s > prefill_s * 0.9
        return (
            ttft_s < prefill_s + 0.1
            and step_s * 0.95 < tpot_s < step_s * 1.3
            and step_s * 0.7 < median(after - before for before, after in pairwise(times)) < step_s * 1.3
        )

    number = count(7)  # another prompt each time, as a cached one is quick
    wait_until(on_time)  # a machine that is busy elsewhere may be late, but not each time


def test_a_client_that_leaves_frees_its_blocks(server: SimulatedServer, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=20_000, stream=True, extra_body=FIXED
    )
    next(stream)
    wait_until(lambda: metric(server, "vllm:kv_cache_usage_perc") > 0)
    stream.close()
    wait_until(lambda: metric(server, "vllm:kv_cache_usage_perc") == 0)
    assert metric(server, "vllm:num_requests_running") == 0


class TestFaults:
    def ask(self, client: openai.OpenAI, fault: dict[str, object], *, stream: bool = True) -> list:
        made = client.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=12, stream=stream, extra_body=fault,
            **({"stream_options": {"include_usage": True}} if stream else {}),
        )  # fmt: skip
        return list(made) if stream else [made]

    def test_status(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.RateLimitError):
            self.ask(client, faulty("status", status=429))
        with pytest.raises(openai.InternalServerError, match="502"):
            self.ask(client, faulty("status", status=502, html=True))

    def test_hang(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.APITimeoutError):
            self.ask(client.with_options(timeout=0.1), faulty("hang"))

    def test_cut(self, server: SimulatedServer, client: openai.OpenAI) -> None:
        with pytest.raises(openai.APIConnectionError):
            self.ask(client, faulty("cut", after_tokens=3))
        body = {"messages": HELLO, "max_tokens": 12, "stream": True, **faulty("cut", after_tokens=3)}
        said = curl("-d", json.dumps(body), f"{server.url}/v1/chat/completions")
        assert said.returncode == 18  # the transfer ended before its end
        assert said.stdout.count("data: ") == 1 + 3

    def test_slow_first_byte(self, client: openai.OpenAI) -> None:
        start = time.monotonic()
        assert self.ask(client, faulty("slow_first_byte", delay_s=0.1))
        assert time.monotonic() - start > 0.1

    def test_error_event(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.APIError, match="on purpose"):
            self.ask(client, faulty("error_event", after_tokens=2))

    def test_coalesce(self, client: openai.OpenAI) -> None:
        assert len(self.ask(client, faulty("coalesce", tokens=4))) == 1 + 12 + 1

    def test_no_usage(self, client: openai.OpenAI) -> None:
        assert all(chunk.usage is None for chunk in self.ask(client, faulty("no_usage")))

    def test_no_done(self, server: SimulatedServer) -> None:
        body = {"messages": HELLO, "max_tokens": 2, "stream": True, **faulty("no_done")}
        said = curl("-d", json.dumps(body), f"{server.url}/v1/chat/completions")
        assert said.returncode == 0
        assert said.stdout.count("data: ") == 1 + 2
        assert "[DONE]" not in said.stdout

    @pytest.mark.parametrize(
        ("kind", "content_type"), [("html", "text/html"), ("not_stream", "application/json")]
    )
    def test_wrong_kind_of_answer(self, server: SimulatedServer, kind: str, content_type: str) -> None:
        body = {"messages": HELLO, "max_tokens": 2, "stream": True, **faulty(kind)}
        said = curl(
            "-w", "%{http_code} %{content_type}", "-d", json.dumps(body), f"{server.url}/v1/chat/completions"
        )
        assert f"200 {content_type}" in said.stdout
