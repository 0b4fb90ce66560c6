"""llama.cpp's own clock: what it wrote of each request, and how long its HTTP server takes beside that.

Its /metrics has the same times cut to whole ms per request, so they are read from its log: "prompt eval time", from
when a slot took the request up to its first token, and "eval time", from there to the last one.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from pathlib import Path

import numpy as np

from engines.servers import MODEL, Placement, Server

_FLUSH_LIMIT_S = 5.0
_PREFILL = re.compile(rb"prompt eval time = +([0-9.]+) ms / +([0-9]+) tokens")
_DECODE = re.compile(rb"\|\s+eval time = +([0-9.]+) ms / +([0-9]+) tokens")


class MissingError(Exception):
    """The log does not hold what was done."""


class Timings:
    """The times of the requests that end from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start_bytes = log.stat().st_size

    def read(self, requests: int, tokens: int) -> tuple[float, float]:
        """Mean ms of prefill and of decode of ``requests`` answers of ``tokens`` tokens.

        Raises:
            MissingError: others, or another number, are in the log.
        """
        limit = time.monotonic() + _FLUSH_LIMIT_S
        prefill: list[tuple[bytes, bytes]] = []
        decode: list[tuple[bytes, bytes]] = []
        while len(decode) < requests and time.monotonic() < limit:
            with self._log.open("rb") as file:
                file.seek(self._start_bytes)
                text = file.read()
            prefill, decode = _PREFILL.findall(text), _DECODE.findall(text)
            time.sleep(0.05)  # it writes its log a little later
        if len(prefill) != requests or len(decode) != requests or any(int(n) != tokens for _, n in decode):
            raise MissingError(
                f"its log has {len(prefill)} prefills and {len(decode)} answers, not {requests} of {tokens} tokens"
            )
        return float(np.mean([float(ms) for ms, _ in prefill])), float(
            np.mean([float(ms) for ms, _ in decode])
        )


def http_path_ms(server: Server, prompts: list[str], place: Placement) -> float:
    """What its HTTP server takes beside its clock: connecting is not in it, reading, tokenising and writing are.

    The median over requests for one token, sent one after another by a plain blocking client on the client's cores.
    """
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, place.client)
    try:
        return float(np.median([_beside_ms(server, prompt) for prompt in prompts]))
    finally:
        os.sched_setaffinity(0, everywhere)


def _beside_ms(server: Server, prompt: str) -> float:
    asked = {"model": MODEL, "prompt": prompt, "max_tokens": 1, "temperature": 0, "cache_prompt": False}
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        connection.connect()
        start = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(asked))
        answer = json.loads(connection.getresponse().read())
        took_ms = (time.monotonic() - start) * 1e3
    finally:
        connection.close()
    timings = answer["timings"]
    return took_ms - float(timings["prompt_ms"]) - float(timings["predicted_ms"])
