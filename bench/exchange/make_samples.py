"""Makes the real result files in ``tests/data/exchange`` anew: each tool, a small load, the simulated server.

    cd bench && python -m exchange.make_samples [--only NAME ...]

Directories of this machine and texts of prompts are taken out, so that the files hold figures alone; everything else
is as the tool wrote it, but for parts of GuideLLM's file, which would be three times as large. Other samples there are
constructed from published layouts: their names begin with "made_".
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.faults import Fault
from peers.cases import Case
from peers.environments import ensure_environment
from peers.tokenizer import make_tokenizer
from peers.tools import TOOLS, Place, Tool

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "data" / "exchange"
MODEL = "sim-llama-8b"
TIMEOUT_S = 300.0
_CASE = Case("sample", "6 requests of 8 tokens, two at a time", 6, 8, streams=2)
_OPENED = Case("sample-open", "6 requests of 8 tokens, 20 a second", 6, 8, rate=20.0)
_LONG_TEXT = 120
# Two thirds of GuideLLM's file: words, pictures and sounds, and what repeats other metrics.
_GUIDELLM_LEFT_OUT = (
    "text", "image", "video", "audio", "tool_call", "time_to_last_round_trip_ms", "avg_round_trip_time_ms",
    "output_tokens_per_iteration", "iter_tokens_per_iteration", "total_token_count", "root_dispatch_delay",
    "request_streaming_iterations_count", "time_to_first_output_token_ms",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=_MAKERS, default=list(_MAKERS), metavar="NAME")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "peers")
    options = parser.parse_args(argv)
    tokenizer = make_tokenizer(options.environments / "tokenizer")
    with start_simulated_server(SimSettings(model=MODEL, seed=1)) as server:
        for name in options.only:
            tool = next(tool for tool in TOOLS if tool.name == name)
            programs = ensure_environment(name, options.environments)
            with tempfile.TemporaryDirectory() as folder:
                _MAKERS[name](tool, Place(programs, server.url, MODEL, tokenizer, Path(folder)))
                print(f"made  {OUT / name}")
    return 0


def _run(tool: Tool, place: Place, case: Case, *more: str) -> None:
    path = f"{place.programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **tool.environment, "PATH": path}
    command = [*tool.command(place, case), *more]
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        cwd=place.out,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode not in tool.done_codes:
        sys.exit(f"{tool.title} ended with {done.returncode}: {done.stdout[-1000:]} {done.stderr[-2000:]}")
    (place.out / "console.txt").write_text(done.stdout, encoding="utf-8")


def _vllm(tool: Tool, place: Place) -> None:
    _run(tool, place, _CASE, "--save-detailed")
    _keep(place, place.out / "result.json", "vllm/detailed.json")
    _keep_text(place, place.out / "console.txt", "vllm/console.txt")
    for case in (_CASE, _OPENED):
        _run(tool, place, case, "--append-result", "--goodput", "ttft:500", "tpot:50")
    # the first line is the run with details, pretty or not
    lines = (place.out / "result.json").read_text(encoding="utf-8").splitlines()[-2:]
    (OUT / "vllm" / "appended.jsonl").write_text(_clean(place, "\n".join(lines)) + "\n", encoding="utf-8")


def _evalscope(tool: Tool, place: Place) -> None:
    _run(tool, place, _CASE)
    _fresh("evalscope")
    summary = next(place.out.rglob("benchmark_summary.json"))
    for name in ("benchmark_summary.json", "benchmark_percentile.json", "benchmark_args.json"):
        _keep(place, summary.with_name(name), f"evalscope/{name}")
    _keep_text(place, place.out / "console.txt", "evalscope/console.txt")
    shutil.copy(summary.with_name("benchmark_data.db"), OUT / "evalscope" / "benchmark_data.db")
    with sqlite3.connect(OUT / "evalscope" / "benchmark_data.db") as database:
        database.execute("UPDATE result SET request = '', response_messages = ''")
        database.commit()
        database.execute("VACUUM")


def _guidellm(tool: Tool, place: Place) -> None:
    table = place.out / "benchmarks.csv"
    refusing = SimSettings(model=MODEL, seed=1, fault=Fault(kind="status", status=503, share=0.3))
    with start_simulated_server(refusing) as server:
        of_failures = replace(place, url=server.url)
        _run(tool, of_failures, replace(_CASE, requests=10), "--output", f"kind=csv,path={table}")
        _keep_text(of_failures, table, "guidellm_table/benchmarks.csv")
    _run(tool, place, replace(_CASE, requests=2))
    path = place.out / "result.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    for benchmark in found["benchmarks"]:
        for name in _GUIDELLM_LEFT_OUT:
            benchmark["metrics"].pop(name)
        for metric in benchmark["metrics"].values():
            if isinstance(metric, dict) and "total" in metric and metric.get("successful") == metric["total"]:
                metric.pop("total")
    path.write_text(json.dumps(found), encoding="utf-8")
    _keep(place, path, "guidellm/benchmarks.json")


def _aiperf(tool: Tool, place: Place) -> None:
    _run(tool, place, _CASE)
    _fresh("aiperf")
    for name in ("profile_export_aiperf.json", "profile_export_aiperf.csv", "profile_export.jsonl"):
        _keep_text(place, next(place.out.rglob(name)), f"aiperf/{name}")


def _genai_bench(tool: Tool, place: Place) -> None:
    _run(tool, place, _CASE)
    _fresh("genai-bench")
    folder = next(place.out.rglob("experiment_metadata.json")).parent
    for path in sorted(folder.glob("*.json")):
        _keep(place, path, f"genai-bench/{path.name}")


def _fresh(name: str) -> None:
    shutil.rmtree(OUT / name, ignore_errors=True)


def _keep(place: Place, path: Path, name: str) -> None:
    """A JSON file without long texts."""
    found = _without_texts(json.loads(path.read_text(encoding="utf-8")))
    _write(name, _clean(place, json.dumps(found, separators=(",", ":"))) + "\n")


def _keep_text(place: Place, path: Path, name: str) -> None:
    _write(name, _clean(place, path.read_text(encoding="utf-8")))


def _write(name: str, text: str) -> None:
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_texts(each) for each in value]
    return "" if isinstance(value, str) and len(value) > _LONG_TEXT else value


def _clean(place: Place, text: str) -> str:
    for path, name in ((place.out, "/out"), (place.tokenizer, "/tokenizer"), (ROOT, "/home")):
        text = text.replace(str(path), name)
    text = text.replace(os.uname().nodename, "host")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text)


_MAKERS: dict[str, Callable[[Tool, Place], None]] = {
    "vllm": _vllm,
    "evalscope": _evalscope,
    "guidellm": _guidellm,
    "aiperf": _aiperf,
    "genai-bench": _genai_bench,
}

if __name__ == "__main__":
    sys.exit(main())
