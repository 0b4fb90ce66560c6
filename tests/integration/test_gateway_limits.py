"""A gateway in front of a server: its limits are named in the report and kept in summary.json."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from commands import folders, here

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import plain


class Gateway:
    """Passes requests on to a server, ``rate`` a second at most and for ``limit_s`` each, as API gateways do."""

    def __init__(self, server: str, rate: int, limit_s: float) -> None:
        self._server = server
        self._rate = rate
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._second, self._let = 0, 0

    def __call__(self, request: Incoming) -> Script:
        if request.method == "POST" and not self._lets():
            return plain(429, "Too Many Requests", b'{"error_code": "APIG.0308", "error_msg": "throttled"}')
        asked = urllib.request.Request(
            self._server + request.path, request.body or None, method=request.method
        )
        asked.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(asked, timeout=self._limit_s) as reply:
                return plain(200, "OK", reply.read())
        except (TimeoutError, urllib.error.URLError):
            return plain(
                504, "Gateway Timeout", b'{"error_code": "APIG.0201", "error_msg": "backend timeout"}'
            )

    def _lets(self) -> bool:
        with self._lock:
            now = int(time.monotonic())
            if now != self._second:
                self._second, self._let = now, 0
            self._let += 1
            return self._let <= self._rate


def measured(tmp_path: Path, rate: int, limit_s: float, *flags: str) -> tuple[str, dict[str, object]]:
    """The console report, and the only reading of the failures."""
    with (
        start_simulated_server(SimSettings()) as server,
        FaultServer(Gateway(server.url, rate, limit_s)) as gateway,
    ):
        done = here("run", "--url", gateway.url, "--out", str(tmp_path), "-q", "--input-len", "8", "--no-stream",
                    "--warmup", "0", *flags)  # fmt: skip
    assert done.code == 5, done
    (folder,) = folders(tmp_path)
    (point,) = json.loads((folder / "summary.json").read_text())["points"]
    (reading,) = point["failures"]
    return done.out, reading


def test_requests_a_second(tmp_path: Path) -> None:
    load = ("--request-rate", "60", "--num-prompts", "240", "--burstiness", "inf", "--output-len", "2")
    out, reading = measured(tmp_path, 20, 30.0, *load)
    assert reading["http_status"] == 429
    assert reading["accepted_per_s"] == pytest.approx(20, abs=6)  # its seconds are not ours
    said = " ".join(out.split())
    assert (
        said.count("HTTP 429: the server, or a gateway in front of it, refuses what is above its limit") == 1
    )
    assert "Next: lower --max-concurrency or --request-rate" in said


def test_seconds_a_call(tmp_path: Path) -> None:
    out, reading = measured(
        tmp_path, 1000, 1.2, "--max-concurrency", "4", "--num-prompts", "8", "--output-len", "2000"
    )
    assert reading["http_status"] == 504
    assert isinstance(reading["limit_s"], float)
    assert reading["limit_s"] >= 1.2
    assert re.search(
        r"a limit of about \d\.\d s for a synchronous call. Next: stream the answers", " ".join(out.split())
    )
