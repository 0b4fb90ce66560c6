"""A real engine of this machine, calibrated from one run, and another load of it predicted.

    cd bench && python -m sim.real_engine [llamacpp] [vllm]

A tiny random model, the engine on core 0 and the client on the others. Calibrated is from one run of six load points
(closed loops, short and middling prompts); predicted are a closed loop and an open one of other lengths, with prompts
of as many tokens as the engine counted: its tokenizer and template make more of a text than was asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from inferometer.interpreter import own_module
from inferometer.models.tiny import cached_tiny_model
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from sim.row import Row

ROOT = Path(__file__).resolve().parents[2]
SEATS = 8
SHARED = ("--dataset", "random", "--seed", "3", "--quiet", "--json")
CALIBRATED = (
    *("--max-concurrency", "1", "4", "8", "--num-prompts", "40", "80", "120"),
    *("--input-len", "96", "384", "--output-len", "24", "64", "--pair", "matrix"),
)
PREDICTED = {
    "closed, 6 in flight, 224/48": ("--max-concurrency", "6"),
    "open, 224/48": (),
}
INPUT, OUTPUT, REQUESTS = "224", "48", "120"
_TIMEOUT_S = 900
_RESULT = (0, 5)
"""Exit codes of a run that measured something, VALID or INVALID."""
REPEATS = 3
"""Runs of each predicted load: engines on this machine differ from run to run, by a fifth in an open loop."""
_WITHIN = 0.10
_SHARE_OF_CAPACITY = 0.6


class Engine(NamedTuple):
    """How an engine is started for a run; the run's record tells a calibration its flags."""

    launch: str
    name: str


class Predicted(NamedTuple):
    """Means of a load in seconds, of each run and predicted; ``failed``: conditions that these did not meet."""

    engine: str
    load: str
    failed: tuple[str, ...]
    runs: list[dict[str, float]]
    predicted: dict[str, float]

    def measured(self, metric: str) -> float:
        """The median run's."""
        return median(run[metric] for run in self.runs)

    def off(self, metric: str) -> float:
        """Predicted over measured minus 1."""
        return self.predicted[metric] / self.measured(metric) - 1

    @property
    def spread(self) -> str:
        """The mean E2E of the runs, the least and the most, in ms."""
        each = [run["E2E"] * 1e3 for run in self.runs]
        return f"{min(each):.0f} to {max(each):.0f} ms"


def engines() -> dict[str, Engine]:
    """Those that can be started here."""
    limits = f"--max-num-seqs {SEATS} --max-model-len 1024 --no-enable-prefix-caching"
    found = {"llamacpp": Engine(f"llamacpp tiny {limits}", "llamacpp")}
    program = ROOT / "build/peers/vllm/bin/vllm"
    if program.exists():
        flags = f"--max-num-seqs {SEATS} --max-num-batched-tokens 2048 --max-model-len 1024 --no-enable-prefix-caching"
        model = cached_tiny_model(ROOT / "build/bench").folder
        served = f"{program} serve {model} --served-model-name tiny --enforce-eager {flags}"
        found["vllm"] = Engine(served, "vllm")
    return found


def predict(engine: Engine) -> list[Predicted]:
    """Calibrate from one run, and compare predictions of the other loads with runs of them."""
    with tempfile.TemporaryDirectory(prefix="real-engine-") as made:
        place = ("--launch", engine.launch, "--out", made)
        if len(os.sched_getaffinity(0)) > 1:
            place += ("--launch-cores", "0")
        if engine.name == "vllm":
            place += ("--launch-env", "VLLM_CPU_KVCACHE_SPACE=1")
        folder = _run("run", *SHARED, *CALIBRATED, *place)
        profile = str(Path(made) / "profile.json")
        _said("simulate", "calibrate", str(folder), "-o", profile, "--quiet")
        loads = dict(PREDICTED)
        rate = _SHARE_OF_CAPACITY * _capacity(folder)
        loads["open, 224/48"] += ("--request-rate", f"{rate:.2f}")
        found = []
        for name, load in loads.items():
            asked = (*SHARED, *load, "--output-len", OUTPUT, "--num-prompts", REQUESTS)
            runs = [_run("run", *asked, "--input-len", INPUT, *place) for _ in range(REPEATS)]
            counted = str(
                round(float(np.nanmean(read_run(runs[0]).tables[-1].number("input_tokens_server"))))
            )
            told = _run("simulate", "--profile", profile, *asked, "--input-len", counted, "--out", made)
            failed = dict.fromkeys(word for each in (folder, *runs) for word in _failed(each))
            real = [_means(each) for each in runs]
            found.append(Predicted(engine.name, name, tuple(failed), real, _means(told)))
        return found


def _failed(folder: Path) -> list[str]:
    return list((read_run(folder).meta.verdict or {}).get("failed", []))


def _capacity(folder: Path) -> float:
    """Requests per second that the engine ended at the highest concurrency, by output tokens of the predicted loads."""
    table = read_run(folder).tables[-1]
    ok = table.text("status") == "ok"
    tokens = table.number("output_tokens_server")[ok].sum()
    span = np.nanmax(table.number("last_token_ns")[ok]) - np.nanmin(table.number("sent_ns")[ok])
    return float(tokens / (span / 1e9) / int(OUTPUT))


def _means(folder: Path) -> dict[str, float]:
    table: PointTable = read_run(folder).tables[-1]
    ok = table.text("status") == "ok"
    sent, first, last = (
        table.number(f"{name}_ns")[ok] / 1e9 for name in ("sent", "first_token", "last_token")
    )
    tokens = table.number("output_tokens_server")[ok]
    return {
        "TTFT": float(np.mean(first - sent)),
        "TPOT": float(np.mean((last - first) / (tokens - 1))),
        "E2E": float(np.mean(last - sent)),
    }


def _run(verb: str, *flags: str) -> Path:
    return Path(json.loads(_said(verb, *flags).splitlines()[-1])["run"])


def _said(*words: str) -> str:
    """What a command that measured or computed something printed.

    Raises:
        OSError: it did not.
    """
    done = subprocess.run(
        own_module("inferometer", *words), stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode not in _RESULT:
        raise OSError(f"inferometer {' '.join(words[:2])} ended with {done.returncode}")
    return done.stdout


def _predicted(engine: Engine) -> list[Predicted] | OSError:
    """``predict``, or why not: an engine that does not start here says nothing of the others."""
    try:
        return predict(engine)
    except OSError as error:
        return error


def row(names: tuple[str, ...] = ()) -> Row:
    """For the table of checks; engines that cannot be started here are named."""
    here = engines()
    notes = [] if "vllm" in here else ["vLLM is not in build/peers"]
    found: list[Predicted] = []
    for name in names or tuple(here):
        predicted = _predicted(here[name])
        if isinstance(predicted, OSError):
            notes.append(f"{name}: {predicted}")
        else:
            found += predicted
    figures = "; ".join(
        f"{one.engine} {one.load}: E2E {one.off('E2E'):+.1%} (TTFT {one.off('TTFT'):+.1%}, TPOT "
        f"{one.off('TPOT'):+.1%}; runs {one.spread})"
        for one in found
    )
    failed = dict.fromkeys(condition for one in found for condition in one.failed)
    if failed:
        notes.append(f"conditions of the runs that did not hold: {', '.join(failed)}")
    return Row(
        "a real engine on this machine, calibrated from one run",
        "mean E2E of another load within 10 % (median of three runs)",
        figures,
        all(abs(one.off("E2E")) <= _WITHIN for one in found) if found else None,
        "; ".join(notes),
    )


def main(argv: list[str]) -> int:
    """Print a line per engine and load."""
    here = engines()
    for name in argv or here:
        for one in predict(here[name]):
            parts = (
                f"{metric} {one.measured(metric) * 1e3:.1f} -> {value * 1e3:.1f} ms ({one.off(metric):+.1%})"
                for metric, value in one.predicted.items()
            )
            doubtful = f"  not held: {', '.join(one.failed)}" if one.failed else ""
            print(
                f"{one.engine:<9} {one.load:<28} {', '.join(parts)}, runs {one.spread}{doubtful}", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
