"""The clients that put the load on: ``inferometer run``, vLLM bench's request function, and ``vllm bench serve``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.servers import MODEL, Placement, Server, on_cores
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord

TIMEOUT_S = 300.0
_HERE = Path(__file__).parent
_JUDGED = (0, 5)  # a run that calls itself INVALID has still been carried out


class ClientError(Exception):
    """A client could not do its work; the message is the end of what it said."""


@dataclass(frozen=True)
class Load:
    """What is put on an engine: a closed loop of equal requests.

    Attributes:
        streams: requests in flight.
        requests: how many in all.
        input_tokens: of each prompt.
        tokens: of each answer, whatever the model would end it with.
    """

    streams: int
    requests: int
    input_tokens: int
    tokens: int

    @property
    def title(self) -> str:
        """For people."""
        streams = "1 stream" if self.streams == 1 else f"{self.streams} streams"
        return f"{streams}, {self.requests} x {self.input_tokens} + {self.tokens} tokens"


@dataclass(frozen=True)
class Kit:
    """What every client needs.

    Attributes:
        programs: directory of the programs of vLLM's environment.
        tokenizer: directory of the model's tokenizer.
        folder: where results may lie, and what PYTHONPATH names.
    """

    programs: Path
    tokenizer: Path
    folder: Path


@dataclass(frozen=True)
class Asked:
    """How one of our runs is done.

    Attributes:
        backend: dialect.
        extra_body: merged into each request.
        seed: of its prompts.
    """

    backend: str = "openai-completions"
    extra_body: Mapping[str, Any] | None = None
    seed: int = 0


def run_ours(server: Server, load: Load, place: Placement, kit: Kit, asked: Asked) -> RunRecord:
    """``inferometer run``, prompts and answers kept.

    Raises:
        ClientError: it left no result.
    """
    command = [
        *(sys.executable, "-m", "inferometer", "run", "--url", server.url, "--backend", asked.backend),
        *("--model", MODEL, "--tokenizer", str(kit.tokenizer), "--dataset", "random"),
        *("--input-len", str(load.input_tokens), "--output-len", str(load.tokens), "--ignore-eos"),
        *("--num-prompts", str(load.requests), "--max-concurrency", str(load.streams)),
        *("--temperature", "0", "--seed", str(asked.seed), "--warmup", "0", "--workers", "1"),
        *("--keep-text", "--out", str(kit.folder / "runs"), "--ui", "none", "-q", "--json"),
    ]
    if asked.extra_body:
        command += ["--extra-body", json.dumps(asked.extra_body)]
    environment = {**os.environ, "PYTHONPATH": str(kit.folder)}
    said = _run(on_cores(place.client, command), environment, codes=_JUDGED)
    return read_run(Path(json.loads(said.strip().splitlines()[-1])["run"]))


def run_user_space(
    server: Server, load: Load, place: Placement, kit: Kit, prompts: list[str], extra_body: Mapping[str, Any]
) -> dict[str, Any]:
    """vLLM bench's request function with these prompts; see ``engines.user_client`` for what comes back.

    Raises:
        ClientError: it failed, or one of its requests did.
    """
    (function,) = kit.programs.parent.glob(
        "lib/python*/site-packages/vllm/benchmarks/lib/endpoint_request_func.py"
    )
    order = {
        "function": str(function),
        "url": server.url,
        "model": MODEL,
        "prompts": prompts,
        "tokens": load.tokens,
        "streams": load.streams,
        "extra_body": {"temperature": 0.0, **extra_body},
        # llama.cpp closes connections that it said it would keep: this client's requests would fail on them.
        "keep_alive": server.engine == "vllm",
    }
    command = [str(kit.programs / "python"), str(_HERE / "user_client.py")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found: dict[str, Any] = json.loads(
        _run(on_cores(place.client, command), environment, order=json.dumps(order))
    )
    failed = sum(not request["ok"] for request in found["requests"])
    if failed:
        raise ClientError(f"{failed} of {len(found['requests'])} requests of the user-space client failed")
    return found


def run_vllm_bench(server: Server, load: Load, place: Placement, kit: Kit, seed: int) -> dict[str, Any]:
    """``vllm bench serve``: the object that it saves.

    Raises:
        ClientError: it failed.
    """
    name = f"vllm-bench-{place.name}-{seed}.json"
    command = [
        *(str(kit.programs / "vllm"), "bench", "serve", "--backend", "openai"),
        *("--endpoint", "/v1/completions", "--base-url", server.url, "--model", MODEL),
        *("--tokenizer", str(kit.tokenizer), "--dataset-name", "random", "--seed", str(seed)),
        *("--random-input-len", str(load.input_tokens), "--random-output-len", str(load.tokens)),
        *("--num-prompts", str(load.requests), "--max-concurrency", str(load.streams)),
        *("--ignore-eos", "--temperature", "0", "--disable-tqdm"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99"),
        *("--save-result", "--result-dir", str(kit.folder), "--result-filename", name),
    ]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu"}
    _run(on_cores(place.client, command), {**os.environ, **offline})
    found: dict[str, Any] = json.loads((kit.folder / name).read_text(encoding="utf-8"))
    return found


def _run(
    command: list[str], environment: Mapping[str, str], order: str = "", codes: tuple[int, ...] = (0,)
) -> str:
    done = subprocess.run(
        command,
        check=False,
        env=dict(environment),
        input=order,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode not in codes:
        end = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise ClientError(f"{command[3]} ended with {done.returncode}: {end}")
    return done.stdout
