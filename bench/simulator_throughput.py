"""How many SSE chunks a second the simulated server can carry, and how late its steps get.

Two cases: a paced one (10,000 chunks/s asked, so the figure of interest is the CPU it takes and the step lag)
and a flood (steps as short as can be, so the rate is
the limit and the lag means nothing). The client only counts bytes, in its own
process on the other core. Run: .venv/bin/python bench/simulator_throughput.py [--seconds 4]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import psutil

from inferometer.simulator import SimSettings, start_simulated_server

_CHUNK = b"\n\r\n"  # ends every SSE chunk of this server


def _stream(address: tuple[str, int], tokens: int) -> socket.socket:
    body = json.dumps({"messages": [{"role": "user", "content": "hello there"}], "max_tokens": tokens,
                       "ignore_eos": True, "stream": True}).encode()  # fmt: skip
    connection = socket.create_connection(address)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    connection.setblocking(False)
    return connection


def _count(streams: list[socket.socket], seconds: float) -> int:
    """Chunks that arrive on ``streams`` within ``seconds``."""
    chunks = 0
    end = time.monotonic() + seconds
    with selectors.EpollSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while time.monotonic() < end:
            for key, _ in selector.select(0.1):
                chunks += key.fileobj.recv(1 << 18).count(_CHUNK)
    return chunks


def _lag(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'step_lag_seconds_bucket\{.*le="([^"]+)"\} (\d+)', text)
    return {bound: int(count) for bound, count in found}


def _percentile_bound(before: dict[str, int], after: dict[str, int], share: float) -> str:
    counts = {bound: after[bound] - before[bound] for bound in after}
    total = counts["+Inf"]
    return next(bound for bound, count in counts.items() if count >= share * total)


def measure(name: str, settings: SimSettings, streams: int, seconds: float, core: int) -> None:
    with start_simulated_server(settings) as server:
        process = psutil.Process(server.pid)
        process.cpu_affinity([core])
        parts = urlsplit(server.url)
        connections = [_stream((parts.hostname, parts.port), 30_000) for _ in range(streams)]
        _count(connections, 0.7)
        lag, cpu = _lag(server.url), sum(process.cpu_times()[:2])
        chunks = _count(connections, seconds)
        cpu = sum(process.cpu_times()[:2]) - cpu
        after = _lag(server.url)
        for connection in connections:
            connection.close()
    p50, p99 = (_percentile_bound(lag, after, share) for share in (0.5, 0.99))
    print(f"{name}: {streams} streams, {chunks / seconds:,.0f} chunks/s, server CPU {cpu / seconds:.0%} of a core, "
          f"{cpu / chunks * 1e6:.1f} us per chunk, step lag p50 <= {p50} s, p99 <= {p99} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    seconds = parser.parse_args().seconds
    cores = os.sched_getaffinity(0)
    core = max(cores)
    psutil.Process().cpu_affinity([min(cores)])
    even = {"per_token_s": 0.0, "per_seq_s": 0.0, "per_kv_token_s": 0.0, "num_blocks": 1 << 20}
    measure("paced, default model", SimSettings(), 32, seconds, core)
    measure("paced, 10,000 chunks/s asked", SimSettings(base_s=0.01, **even), 100, seconds, core)
    measure("paced, 25,600 chunks/s asked", SimSettings(base_s=0.01, **even), 256, seconds, core)
    measure("flood", SimSettings(base_s=1e-6, **even), 64, seconds / 2, core)


if __name__ == "__main__":
    main()
