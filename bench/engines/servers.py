"""Starts the two real engines on chosen cores, with a tiny model, and asks them what they have counted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inferometer.client.exposition import name_and_labels, series_of
from inferometer.models.tiny import TinyModel

MODEL = "tiny"
SLOTS = 8
READY_LIMIT_S = 300.0
STOP_LIMIT_S = 20.0
_HERE = Path(__file__).parent
_VLLM_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # as many threads as it may have cores
}


class NotReadyError(Exception):
    """An engine did not come up; the message is the end of its log."""


@dataclass(frozen=True)
class Placement:
    """Which cores are whose.

    Attributes:
        name: for people.
        server: cores of the engine.
        client: cores of whoever puts load on it.
    """

    name: str
    server: tuple[int, ...]
    client: tuple[int, ...]


def placements() -> tuple[Placement, Placement]:
    """Engine and client on a core each, and both on both.

    Raises:
        SystemExit: there is only one core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the bench needs two cores: one for the engine, one for the client")
    first, last = cores[0], cores[-1]
    return Placement("apart", (first,), (last,)), Placement("shared", (first, last), (first, last))


@dataclass(frozen=True)
class Server:
    """A running engine.

    Attributes:
        engine: its name.
        url: address without a path.
        log: what it writes.
        edge: the log of its HTTP edge (``engines.edge``); None where it has none.
    """

    engine: str
    url: str
    log: Path
    edge: Path | None


def counters(server: Server) -> dict[str, float]:
    """What it has counted so far: each series of /metrics, summed over its labels."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for series, value in series_of(text).items():
        name, _ = name_and_labels(series)
        found[name] = found.get(name, 0.0) + value
    return found


@contextmanager
def start_vllm(programs: Path, model: TinyModel, placement: Placement, folder: Path) -> Iterator[Server]:
    """vLLM on CPU, eager, no prefix cache, with the middleware that notes times at its HTTP edge."""
    shutil.copy(_HERE / "edge.py", folder / "inferometer_edge.py")
    edge, port = folder / f"edge-{placement.name}.jsonl", _free_port()
    environment = {
        **_VLLM_ENVIRONMENT,
        "EDGE_LOG": str(edge),
        "PYTHONPATH": str(folder),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        *(str(programs / "vllm"), "serve", str(model.folder), "--host", "127.0.0.1", "--port", str(port)),
        *("--served-model-name", MODEL, "--max-model-len", "4096", "--enforce-eager"),
        *("--no-enable-prefix-caching", "--middleware", "inferometer_edge.Edge"),
    ]
    log = folder / f"vllm-{placement.name}.log"
    with _running(command, environment, placement.server, log, port):
        yield Server("vllm", f"http://127.0.0.1:{port}", log, edge)


@contextmanager
def start_llamacpp(model: TinyModel, placement: Placement, folder: Path) -> Iterator[Server]:
    """llama.cpp's server with a thread per core that it may have."""
    port, threads = _free_port(), len(placement.server)
    command = [sys.executable, str(_HERE / "serve_llamacpp.py"), str(port), str(model.gguf)]
    command += [str(SLOTS), str(threads)]
    log = folder / f"llamacpp-{placement.name}.log"
    with _running(command, {}, placement.server, log, port):
        yield Server("llama.cpp", f"http://127.0.0.1:{port}", log, None)


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], cores: tuple[int, ...], log: Path, port: int
) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            on_cores(cores, command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/health", log)
            yield
        finally:
            _stop(process)


def on_cores(cores: tuple[int, ...], command: list[str]) -> list[str]:
    """The command, kept on these cores with all that it starts."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() < begun + READY_LIMIT_S and process.poll() is None:
        if _answers(url):
            return
        time.sleep(0.5)
    end = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
    word = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    raise NotReadyError(f"{log.stem} {word} after {time.monotonic() - begun:.0f} s: {end}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:  # nobody listens yet, or it still loads (503)
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine's whole session; what has left it is reaped by the bench when it ends."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
