"""How many SSE chunks a second the simulated server sends on one core, what a chunk costs it, and how late steps are.

    cd bench && python -m sim.server_speed [--seconds 4]

The server has one core and the load the other. Three kinds of load: *paced*, where the engine asks for a rate and the
figures of interest are CPU and step lag; a *flood*, whose steps are as short as can be, so that the rate is the limit
and the lag means nothing; and a *run* of ours against the paced engine, as a user would start it. The first two count
chunks and read nothing in them, so that the client is never the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import selectors
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from inferometer.interpreter import own_module
from inferometer.simulator import SimSettings, start_simulated_server
from sim.row import Row

_GOAL_PER_S = 20_000
_CHUNK = b"\n\r\n"  # ends every SSE chunk of this server
_CORES = sorted(os.sched_getaffinity(0))
_EVEN = {"per_token_s": 0.0, "per_seq_s": 0.0, "per_kv_token_s": 0.0, "num_blocks": 1 << 20}


class Case(NamedTuple):
    """One load: settings of the server, and streams that are open all the time."""

    name: str
    settings: SimSettings
    streams: int


class Speed(NamedTuple):
    """What was measured of one case; times in s, ``lag`` are bounds of the server's histogram."""

    name: str
    streams: int
    chunks_per_s: float
    cpu_share: float
    lag_p50: str
    lag_p99: str

    @property
    def cpu_us(self) -> float:
        """CPU of the server for a chunk."""
        return self.cpu_share / self.chunks_per_s * 1e6

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.streams} streams, {self.chunks_per_s:,.0f} chunks/s, server CPU "
            f"{self.cpu_share:.0%} of a core, {self.cpu_us:.1f} us a chunk ({1e6 / self.cpu_us:,.0f} a CPU second), "
            f"step lag p50 <= {self.lag_p50} s, p99 <= {self.lag_p99} s"
        )


PACED = Case("paced, 25,600 chunks/s asked", SimSettings(base_s=0.01, **_EVEN), 256)
FLOOD = Case("flood", SimSettings(base_s=1e-6, **_EVEN), 64)
CASES = (
    Case("paced, default engine", SimSettings(), 32),
    Case("paced, 10,000 chunks/s asked", SimSettings(base_s=0.01, **_EVEN), 100),
    PACED,
    FLOOD,
)


def _stream(address: tuple[str, int]) -> socket.socket:
    body = json.dumps({"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 30_000,
                       "ignore_eos": True, "stream": True}).encode()  # fmt: skip
    connection = socket.create_connection(address)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    connection.setblocking(False)
    return connection


def _count(streams: list[socket.socket], seconds: float) -> float:
    """Chunks a second that arrive on ``streams`` within ``seconds``."""
    chunks = 0
    begin = time.monotonic()
    with selectors.EpollSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < begin + seconds:
            for key, _ in selector.select(0.1):
                chunks += key.fileobj.recv(1 << 18).count(_CHUNK)
    return chunks / (time.monotonic() - begin)


def _lag(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'step_lag_seconds_bucket\{.*le="([^"]+)"\} (\d+)', text)
    return {bound: int(count) for bound, count in found}


def _bound(before: dict[str, int], after: dict[str, int], share: float) -> str:
    counts = {bound: after[bound] - before[bound] for bound in after}
    return next(bound for bound, count in counts.items() if count >= share * counts["+Inf"])


def measure(case: Case, seconds: float) -> Speed:
    """One case, with the server on a core of its own."""
    with start_simulated_server(case.settings) as server:
        process = _on_a_core_of_its_own(server.pid)
        parts = urlsplit(server.url)
        streams = [_stream((parts.hostname or "", parts.port or 0)) for _ in range(case.streams)]
        _count(streams, 0.7)
        lag, cpu_s, begin = _lag(server.url), sum(process.cpu_times()[:2]), time.monotonic()
        rate = _count(streams, seconds)
        cpu_s, took_s = sum(process.cpu_times()[:2]) - cpu_s, time.monotonic() - begin
        after = _lag(server.url)
        for stream in streams:
            stream.close()
    return Speed(
        case.name, case.streams, rate, cpu_s / took_s, _bound(lag, after, 0.5), _bound(lag, after, 0.99)
    )


def run_against(case: Case, seconds: float) -> str:
    """A run of ours against a case: its output rate, its verdict, and the server's step lag beside it."""
    tokens = 400
    rounds = max(1, round(seconds / (tokens * case.settings.base_s)))
    with start_simulated_server(case.settings) as server, tempfile.TemporaryDirectory() as made:
        process = _on_a_core_of_its_own(server.pid)
        lag, cpu_s, begin = _lag(server.url), sum(process.cpu_times()[:2]), time.monotonic()
        words = ("run", "--url", server.url, "--max-concurrency", str(case.streams), "--workers", "1",
                 "--num-prompts", str(case.streams * rounds), "--output-len", str(tokens), "--input-len", "16",
                 "--out", made, "--quiet", "--json")  # fmt: skip
        done = subprocess.run(own_module("inferometer", *words), capture_output=True, text=True, check=False)
        cpu_s, took_s = sum(process.cpu_times()[:2]) - cpu_s, time.monotonic() - begin
        after = _lag(server.url)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise SystemExit(f"inferometer run gave no result: {done.stderr.strip()[-300:]}")
        folder = Path(json.loads(lines[-1])["run"])
        told = json.loads((folder / "summary.json").read_text())
    point = told["points"][-1]
    rate = point["values"]["output_throughput_per_s"]
    return (
        f"run of ours, {case.streams} in flight: {rate:,.0f} tokens/s, {point['verdict']['word']}; server CPU "
        f"{cpu_s / took_s:.0%} of a core, step lag p50 <= {_bound(lag, after, 0.5)} s, "
        f"p99 <= {_bound(lag, after, 0.99)} s"
    )


def _on_a_core_of_its_own(pid: int) -> psutil.Process:
    """The server's process on one core; this one, and what it starts, stays on the others where there are any."""
    process = psutil.Process(pid)
    process.cpu_affinity(_CORES[:1])
    return process


@contextlib.contextmanager
def _beside_the_server() -> Iterator[None]:
    psutil.Process().cpu_affinity(_CORES[1:] or _CORES)
    try:
        yield
    finally:
        psutil.Process().cpu_affinity(_CORES)


def row(seconds: float = 4.0) -> Row:
    """For the table of checks."""
    with _beside_the_server():
        paced, flood = (measure(case, seconds) for case in (PACED, FLOOD))
    return Row(
        "chunks a second of serve-sim on one core",
        f">= {_GOAL_PER_S:,}",
        f"{flood.chunks_per_s:,.0f} chunks/s at most, {1e6 / flood.cpu_us:,.0f} a CPU second; "
        f"{paced.chunks_per_s:,.0f} asked for take {paced.cpu_share:.0%} of the core, {paced.cpu_us:.1f} us a "
        f"chunk, step lag p99 <= {paced.lag_p99} s",
        1e6 / flood.cpu_us >= _GOAL_PER_S,
        "each token is one SSE event in a chunk of its own; judged by CPU seconds, for others may use the core too",
    )


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    seconds = parser.parse_args().seconds
    with _beside_the_server():
        for case in CASES:
            print(measure(case, seconds), flush=True)
        print(run_against(PACED, seconds), flush=True)


if __name__ == "__main__":
    main()
