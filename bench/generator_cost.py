"""What the load generator costs, and how true its clock is, beside a plain asyncio client in the same run.

    python bench/generator_cost.py [STREAMS] [TOKENS]

Both clients put the same load on the same simulated server: STREAMS closed-loop streams of TOKENS tokens. Printed:
CPU per received event, their ratio, and how late events were seen. The plain client keeps nothing, stamps in user
space and decodes at arrival, so it is a floor for its design and no rival; take ratios, not absolutes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from inferometer import api
from inferometer.record.store import read_run
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload

ROUNDS = 3


async def plain_stream(url: str, tokens: int, gaps_s: list[float]) -> int:
    """One request per connection turn, JSON at arrival: how most clients of this field are built."""
    parts = urlsplit(url)
    body = json.dumps(
        {
            "model": "sim-llama-8b",
            "messages": [{"role": "user", "content": "the cat sat on the mat"}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n"
    events = 0
    for _ in range(ROUNDS):
        writer.write(f"{head}\r\n{body}".encode())
        last = 0.0
        async for line in reader:
            now = time.perf_counter()
            if line.startswith(b"data: "):
                events += 1
                if line.strip() == b"data: [DONE]":
                    break
                json.loads(line[6:])
                if last:
                    gaps_s.append(now - last)
                last = now
        while (await reader.readline()) not in (b"0\r\n", b""):
            continue
        await reader.readline()
    writer.close()
    return events


async def plain(url: str, streams: int, tokens: int) -> None:
    gaps_s: list[float] = []
    cpu_s = time.process_time()
    events = sum(await asyncio.gather(*(plain_stream(url, tokens, gaps_s) for _ in range(streams))))
    cpu_s = time.process_time() - cpu_s
    print(json.dumps({"us_per_event": cpu_s / events * 1e6, "gap_p50_ms": float(np.median(gaps_s)) * 1e3}))


def ours(url: str, streams: int, tokens: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        spec = RunSpec(
            endpoint=Endpoint(url=url),
            load=Load(max_concurrency=(streams,), num_prompts=(ROUNDS * streams,)),
            workload=Workload(input_len=(6,), output_len=(tokens,)),
            output=Output(out=out),
        )
        result = api.run(spec)
        table = read_run(Path(result.path)).measured[0]
    health = table.point.health[0]
    lag_us = table.chunks["lag_ns"] / 1e3
    return {
        "us_per_event": health.cpu_s / len(lag_us) * 1e6,
        "late_p50_us": float(np.nanpercentile(lag_us, 50)),
        "late_p99_us": float(np.nanpercentile(lag_us, 99)),
        "cpu_share": health.cpu_s / health.wall_s,
    }


def main(argv: list[str]) -> int:
    streams, tokens = (int(a) for a in (*argv, "128", "64")[:2]) if len(argv) < 2 else map(int, argv[:2])
    with start_simulated_server(SimSettings(base_s=0.02, per_token_s=1e-6, per_seq_s=0.0)) as server:
        mine = ours(server.url, streams, tokens)
        command = [sys.executable, __file__, "--plain", server.url, str(streams), str(tokens)]
        theirs = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
        )
    ratio = theirs["us_per_event"] / mine["us_per_event"]
    print(f"{streams} streams x {tokens} tokens x {ROUNDS} rounds, one event per token, 20 ms apart")
    print(f"inferometer    {mine['us_per_event']:6.1f} us CPU per event, journal and decoding included")
    print(
        f"               events read {mine['late_p50_us']:.0f} us (p50), {mine['late_p99_us']:.0f} us (p99) after the"
    )
    print("               kernel had them; the kernel's time is what is recorded")
    print(f"asyncio + json {theirs['us_per_event']:6.1f} us CPU per event, nothing kept")
    print(f"ratio          {ratio:6.2f}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plain"]:
        asyncio.run(plain(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        sys.exit(main(sys.argv[1:]))
