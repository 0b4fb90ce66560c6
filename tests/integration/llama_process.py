"""llama.cpp's own server in a process beside the tests, for what needs nothing else of ours."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A crash of the library must end this process, not the tests'.
_SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_parallel, params.n_ctx, params.n_threads_http, params.verbosity = 2, 4096, 2, -1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.offline, params.use_jinja, params.warmup = True, True, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


class Llama:
    """A server that listens at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What it answers to a JSON body."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def llama(gguf: Path) -> Iterator[Llama]:
    """A server of the model in ``gguf``, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(gguf)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            address = next((line.strip() for line in process.stdout if line.startswith("http")), None)
            assert address is not None, "llama.cpp did not start"
            yield Llama(address)
        finally:
            process.kill()
