"""Runs other load generators, the openai client and our own APIs against the simulated server, as their users would.

    cd bench && ../.venv/bin/python -m sim.clients [--only NAME ...] [--requests 20] [--keep FOLDER]

Each gets the server's address, the model's name, a number of requests and the loads it cannot do without: no model hub
is at hand, so that those that count tokens by themselves get a small local tokenizer, and prompts are of their own
"random" or "synthetic" kind. The server is started without flags, and no flag bends a client to it. Prints for each:
how many requests the client counts as done, how many it counts as failed, how many the server answered, and its TTFT
and its time per output token beside those of the server's own ``/metrics`` (which count up to where the answer
leaves, not up to where it is read).

The environments are those of ``peers`` (build/peers/NAME); a client without one is skipped, and named.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferometer.client.dialects.capabilities import CAPABILITIES
from peers.results import (
    Reported,
    Statistics,
    UnreadableError,
    read_aiperf,
    read_evalscope,
    read_genai_bench,
    read_guidellm,
    read_result,
    read_vllm,
)
from peers.tokenizer import make_tokenizer
from sim.row import Row

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"
MODEL = "sim-llama-8b"
LIMIT_S = 240.0
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_OPENAI = """
import json, sys, time, openai
url, model, requests, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
client = openai.OpenAI(base_url=url + "/v1", api_key="none")
done, ttfts, tpots = 0, [], []
for at in range(requests):
    begun = time.perf_counter()
    asked = {"model": model, "messages": [{"role": "user", "content": f"Tell me about the number {at}."}]}
    times = [time.perf_counter() for event in client.chat.completions.create(**asked, stream=True)
             if event.choices and event.choices[0].delta.content]
    ttfts.append(times[0] - begun)
    tpots.append((times[-1] - times[0]) / max(1, len(times) - 1))
    done += 1
whole = client.chat.completions.create(**asked, n=2, logprobs=True, top_logprobs=2, stop=["zebra"])
assert len(whole.choices) == 2 and whole.choices[0].logprobs.content[0].top_logprobs
assert len(client.completions.create(model=model, prompt=["one", "two"]).choices) == 2
assert len(client.embeddings.create(model=model, input=["one", "two"]).data) == 2
assert client.responses.create(model=model, input="one").output_text
assert client.models.retrieve(model).id == model
json.dump({"done": done, "ttft": sum(ttfts) / done, "tpot": sum(tpots) / done}, open(out, "w"))
"""


@dataclass(frozen=True)
class Load:
    """What every client is told."""

    url: str
    requests: int
    tokenizer: Path
    out: Path


@dataclass(frozen=True)
class Client:
    """A program that sends requests.

    Attributes:
        name: of the line in the table.
        place: environment below build/peers; empty = this one.
        program: in its ``bin``.
        arguments: as its user would write them.
        reader: of what it reports.
        variables: beside ours.
        done_codes: exit statuses of a run that was carried out; our own says 5 where this machine kept it late.
    """

    name: str
    place: str
    program: str
    arguments: Callable[[Load], list[str]]
    reader: Callable[[Path], Reported]
    variables: Mapping[str, str] = field(default_factory=dict)
    done_codes: tuple[int, ...] = (0,)

    @property
    def path(self) -> Path:
        """Of the program."""
        return PEERS / self.place / "bin" / self.program  # a program with a whole path stays itself


def _vllm(endpoint: Sequence[str]) -> Callable[[Load], list[str]]:
    def words(load: Load) -> list[str]:
        return [
            *("bench", "serve", "--base-url", load.url, "--model", MODEL, *endpoint),
            *("--tokenizer", str(load.tokenizer), "--num-prompts", str(load.requests)),
            *("--save-result", "--result-dir", str(load.out), "--result-filename", "result.json"),
        ]

    return words


def _evalscope(load: Load) -> list[str]:
    return [
        *("perf", "--url", f"{load.url}/v1/chat/completions", "--model", MODEL, "--dataset", "random"),
        *("--tokenizer-path", str(load.tokenizer), "--number", str(load.requests), "--parallel", "4"),
        *("--outputs-dir", str(load.out)),
    ]


def _guidellm(load: Load) -> list[str]:
    return [
        *("run", "--backend", f"kind=openai_http,target={load.url}"),
        *("--profile", "kind=concurrent,streams=4"),
        *("--constraint", f"kind=max_requests,count={load.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={load.tokenizer}"),
        *("--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=32"),
        *("--output", f"kind=json,path={load.out / 'result.json'}"),
    ]


def _aiperf(load: Load) -> list[str]:
    return [
        *("profile", "--url", load.url, "--model", MODEL, "--endpoint-type", "chat", "--streaming"),
        *("--tokenizer", str(load.tokenizer), "--request-count", str(load.requests)),
        *("--concurrency", "4", "--osl", "32", "--ui", "none", "--artifact-dir", str(load.out)),
    ]


def _genai_bench(load: Load) -> list[str]:
    return [
        *("benchmark", "--api-backend", "openai", "--api-key", "none", "--api-base", load.url),
        *("--api-model-name", MODEL, "--task", "text-to-text", "--model-tokenizer", str(load.tokenizer)),
        *("--traffic-scenario", "D(64,32)", "--num-concurrency", "4", "--max-time-per-run", "1"),
        *("--max-requests-per-run", str(load.requests)),
        *("--experiment-base-dir", str(load.out), "--experiment-folder-name", "run"),
        *("--log-dir", str(load.out)),
    ]


def _openai(load: Load) -> list[str]:
    return ["-c", _OPENAI, load.url, MODEL, str(load.requests), str(load.out / "openai.json")]


def _inferometer(name: str) -> Callable[[Load], list[str]]:
    found = CAPABILITIES[name]
    before = "/lmdeploy" if name == "lmdeploy-generate" else ""  # its /generate looks like another engine's

    def words(load: Load) -> list[str]:
        length = ["--output-len", "32"] if "max_tokens" in found.asks else []
        return [
            *("-m", "inferometer", "run", "--url", load.url + before, "--backend", name, "--model", MODEL),
            *("--num-prompts", str(load.requests), "--max-concurrency", "4", "--input-len", "64", *length),
            *("--out", str(load.out), "--ui", "none", "-q"),
        ]

    return words


def _read_ours(folder: Path) -> Reported:
    """``summary.json``: the count, and the mean times where the API has them."""
    point = json.loads((folder / "latest" / "summary.json").read_text("utf-8"))["points"][-1]
    means = {name: (point["stats_from_sent"] | point["stats"]).get(name) for name in ("ttft_ms", "itl_ms")}
    ttft, itl = (Statistics(None if one is None else one["mean"], None, None) for one in means.values())
    return Reported(int(point["counts"]["ok"]), ttft, itl)


def _read_openai(folder: Path) -> Reported:
    found: dict[str, Any] = json.loads((folder / "openai.json").read_text("utf-8"))
    ttft, tpot = (Statistics(found[name] * 1e3, None, None) for name in ("ttft", "tpot"))
    return Reported(int(found["done"]), ttft, tpot)


_VLLM_ENV = {**_OFFLINE, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_CHAT = ("--backend", "openai-chat", "--endpoint", "/v1/chat/completions")
CLIENTS = (
    Client("vllm bench serve", "vllm", "vllm", _vllm(()), read_vllm, _VLLM_ENV),
    Client("vllm bench serve (chat)", "vllm", "vllm", _vllm(_CHAT), read_vllm, _VLLM_ENV),
    Client("evalscope perf", "evalscope", "evalscope", _evalscope, read_evalscope, _OFFLINE),
    Client("guidellm run", "guidellm", "guidellm", _guidellm, read_guidellm, _OFFLINE),
    # offline, AIPerf takes the tokenizer's directory for a name on the hub
    Client("aiperf profile", "aiperf", "aiperf", _aiperf, read_aiperf),
    Client(
        "genai-bench benchmark", "genai-bench", "genai-bench", _genai_bench, read_genai_bench,
        {**_OFFLINE, "ENABLE_UI": "false"},
    ),
    Client("openai", "evalscope", "python", _openai, _read_openai),
    *(
        Client(f"inferometer run --backend {name}", "", sys.executable, _inferometer(name), _read_ours,
               done_codes=(0, 5))
        for name in CAPABILITIES
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What the server counts: answers by how they ended, and sums and counts of its histograms in seconds."""

    ended: Mapping[str, float]
    values: Mapping[str, float]

    def mean_ms(self, before: Seen, name: str) -> float | None:
        """Mean of a histogram since ``before``."""
        count = self.values[f"vllm:{name}_count"] - before.values[f"vllm:{name}_count"]
        total = self.values[f"vllm:{name}_sum"] - before.values[f"vllm:{name}_sum"]
        return 1e3 * total / count if count else None


@dataclass(frozen=True)
class Outcome:
    """How one client fared."""

    client: Client
    command: str
    reported: Reported | None
    failure: str
    answered: int
    aborted: int
    ttft_ms: float | None
    tpot_ms: float | None


def look(url: str) -> Seen:
    """Read ``/metrics``."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    ended, values = {}, {}
    for line in lines:
        name, _, value = line.rpartition(" ")
        if name.startswith("vllm:request_success_total{"):
            ended[name.rpartition('finished_reason="')[2].rstrip('"}')] = float(value)
        elif "{" in name and not line.startswith("#"):
            values[name.partition("{")[0]] = float(value)
    return Seen(ended, values)


def carry_out(client: Client, url: str, requests: int, keep: Path | None) -> Outcome:
    """Run one client and read both sides' figures."""
    with tempfile.TemporaryDirectory() as temporary:
        out = (keep or Path(temporary)) / client.name.replace(" ", "-")
        out.mkdir(parents=True, exist_ok=True)
        load = Load(url, requests, make_tokenizer(PEERS / "tokenizer"), out)
        command = [str(client.path), *client.arguments(load)]
        before = look(url)
        failure = ""
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=out,
                env={**os.environ, **client.variables},
            )  # fmt: skip
            (out / "said.txt").write_text(done.stdout + done.stderr, "utf-8")
            if done.returncode not in client.done_codes:
                failure = f"exit {done.returncode}: " + " | ".join(done.stderr.strip().splitlines()[-3:])
        except subprocess.TimeoutExpired:
            failure = f"did not end within {LIMIT_S:.0f} s"
        reported = None
        if not failure:
            try:
                reported = read_result(client.reader, out)
            except UnreadableError as error:
                failure = str(error)
        after = look(url)
    counts = {name: round(after.ended[name] - before.ended.get(name, 0)) for name in after.ended}
    return Outcome(
        client,
        shlex.join(["..." if "\n" in word else word for word in (client.path.name, *command[1:])]),
        reported,
        failure,
        sum(count for name, count in counts.items() if name != "abort"),
        counts.get("abort", 0),
        after.mean_ms(before, "time_to_first_token_seconds"),
        after.mean_ms(before, "inter_token_latency_seconds"),
    )


def row_of(outcome: Outcome, requests: int) -> Row:
    """The outcome as a line of the table."""
    reported = outcome.reported
    check = f"{outcome.client.name} against serve-sim"
    goal = f"{requests} of {requests} complete"
    if reported is None:
        return Row(check, goal, f"server answered {outcome.answered}", False, outcome.failure)
    failed = max(0, requests - reported.completed)
    measured = (
        f"{reported.completed} done, {failed} failed; server: {outcome.answered} answered, {outcome.aborted} left; "
        f"TTFT {_ms(reported.ttft.mean)} (server {_ms(outcome.ttft_ms)}), "
        f"token {_ms(reported.itl.mean)} (server {_ms(outcome.tpot_ms)})"
    )
    return Row(check, goal, measured, reported.completed >= requests and not failed, outcome.command)


def rows(requests: int = 20, only: Sequence[str] = (), keep: Path | None = None) -> Iterator[Row]:
    """Run all clients that are installed, one after the other, against one server."""
    command = [sys.executable, "-m", "inferometer", "serve-sim", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = _address(server)
            for client in CLIENTS:
                if only and client.name not in only and client.place not in only:
                    continue
                if not client.path.exists():
                    check, why = f"{client.name} against serve-sim", f"no build/peers/{client.place}"
                    yield Row(check, "completes", "not installed", None, why)
                    continue
                yield row_of(carry_out(client, url, requests, keep), requests)
        finally:
            server.terminate()


def _address(server: subprocess.Popen[str]) -> str:
    """What the server says when it listens."""
    assert server.stdout is not None
    for line in server.stdout:
        for word in line.replace(",", " ").split():
            if word.startswith("http://"):
                return word.rstrip(".").removesuffix("/v1")
    raise RuntimeError("serve-sim ended without an address")


def _ms(value: float | None) -> str:
    return "not said" if value is None else f"{value:.2f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=(), help="names of clients or environments")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="where what the clients wrote and said stays")
    options = parser.parse_args()
    for row in rows(options.requests, options.only, options.keep):
        word = {True: "ok", False: "MISS", None: "skipped"}[row.met]
        print(f"{word:8}{row.check}: {row.measured}\n        {row.note}", flush=True)


if __name__ == "__main__":
    main()
