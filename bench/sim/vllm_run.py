"""The first requests of a measured run calibrate, the others are predicted.

Folders as in ``shared/data/serving_runs``: ``requests.jsonl`` with times of each request, ``meta.json`` with the
engine's limits, ``timeseries.csv`` with what the engine said of itself each second. Times of the held-out requests are
not looked at; that they arrive, and their lengths, is load.

    cd bench && python -m sim.vllm_run [--bank SEED] [FOLDER...]

Without folders, all of ``shared/data/serving_runs``; with ``--bank``, the made runs of ``sim.truth`` beside them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from inferometer.errors import DataError
from inferometer.simulator.calibration.evidence import Observed
from inferometer.simulator.calibration.evidence_fit import Evidence, JointFit, fit_evidence, replayed
from inferometer.simulator.calibration.replay import Floats, Load, Times, open_load
from inferometer.simulator.calibration.requests import RunTimes, with_pool
from inferometer.simulator.instance.limits import EngineLimits
from sim.row import Row
from sim.truth import FAMILIES, TrueRun, true_run

CALIBRATED = 100
RUNS: Final = Path(__file__).parents[3] / "shared/data/serving_runs"
_BATCHED_TOKENS = 2048
_SEQUENCES = 256
_LONGEST = 131_072
_KV_BLOCKS: Final = ("num_gpu_blocks", "num_gpu_blocks_override", "kv_cache_num_blocks")
_KV_TOKENS: Final = ("kv_cache_tokens", "gpu_kv_cache_size", "kv_cache_size_tokens")
_ONE_CLOCK_S: Final = 3600.0
_USED_PERCENT: Final = 2.0
_TICKS: Final = 3


class Errors(msgspec.Struct, frozen=True):
    """Relative errors of predictions of held-out requests."""

    mean_ttft: float
    mean_tpot: float
    mean_e2e: float
    p99_ttft: float
    e2e_mape: float

    def met(self) -> bool:
        """Whether the goals hold: means and E2E by request within 3 %, the 99th percentile of TTFT within 5 %."""
        means = max(abs(self.mean_ttft), abs(self.mean_tpot), abs(self.mean_e2e), self.e2e_mape)
        return means <= 0.03 and abs(self.p99_ttft) <= 0.05

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:+.2%}" for name, value in msgspec.structs.asdict(self).items())


def read_run(folder: Path) -> TrueRun:
    """A run, and the limits of its engine as far as they are told.

    The engine's monotonic clock is laid onto the arrivals by the quickest hand-over between them.

    Raises:
        DataError: a request without lengths or arrival.
    """
    rows = [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines() if line]
    rows.sort(key=lambda row: _first_of(row, "arrival_time", "arrival_ts", "arrival"))
    arrival, queued, first, last, inputs, outputs = (
        np.array([_first_of(row, *names) for row in rows])
        for names in (
            ("arrival_time", "arrival_ts", "arrival"),
            ("queued_ts", "queued_time"),
            ("first_token_ts", "first_token_time"),
            ("last_token_ts", "last_token_time", "finished_ts"),
            ("input_toks", "input_tokens", "prompt_tokens"),
            ("output_toks", "output_tokens", "completion_tokens"),
        )
    )
    if not np.isfinite([arrival, inputs, outputs]).all():
        raise DataError(f"{folder.name}: a request without arrival, input or output tokens")
    # Of the first requests alone: what the others were queued at is held out.
    ahead = (queued - arrival)[:CALIBRATED] if np.isfinite(queued[:CALIBRATED]).any() else np.zeros(1)
    shift = float(np.nanmin(ahead))
    if not 0 <= np.nanmin(first - arrival - shift) < _ONE_CLOCK_S:
        raise DataError(
            f"{folder.name}: times of tokens and arrivals are of different clocks, and none was queued"
        )
    times = Times(arrival - arrival[0], first - shift - arrival[0], last - shift - arrival[0])
    load = open_load(inputs.astype(int).tolist(), outputs.astype(int).tolist(), times.arrival_s.tolist())
    meta = json.loads((folder / "meta.json").read_text())
    flat = _flat(meta)
    limits = EngineLimits(
        max_num_seqs=flat.get("max_num_seqs") or _SEQUENCES,
        max_num_batched_tokens=flat.get("max_num_batched_tokens") or _BATCHED_TOKENS,
        max_model_len=_LONGEST,
        block_tokens=flat.get("block_size") or 16,
        kv_blocks=_LONGEST,
    )
    tokens = _told_tokens(flat, limits.block_tokens) or _reported_tokens(folder, load, times)
    held = limits if tokens is None else with_pool(limits, load, tokens)
    return TrueRun(folder.name, RunTimes(load, times), held, tokens is not None)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of all levels by their names alone; the outer one of a name that comes twice."""
    inner = [_flat(value) for value in fields.values() if isinstance(value, dict)]
    own = {name: value for name, value in fields.items() if not isinstance(value, dict)}
    return {name: value for level in [*inner, own] for name, value in level.items() if value is not None}


def _first_of(row: Mapping[str, Any], *names: str) -> float:
    """The first of the fields that has a value; NaN if none has."""
    return next((float(row[name]) for name in names if row.get(name) is not None), math.nan)


def _told_tokens(meta: Mapping[str, Any], block_tokens: int) -> float | None:
    """The KV pool as the engine told it."""
    blocks, tokens = _first_of(meta, *_KV_BLOCKS) * block_tokens, _first_of(meta, *_KV_TOKENS)
    return next((each for each in (tokens, blocks) if each > 0), None)


def _reported_tokens(folder: Path, load: Load, times: Times) -> float | None:
    """The KV pool from the share in use that the engine reported each second, before the first held-out request."""
    file = folder / "timeseries.csv"
    if not file.exists() or len(load.jobs) <= CALIBRATED:
        return None
    until, found = float(times.arrival_s[CALIBRATED]), []
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            now, used = _first_of(row, "t"), _first_of(row, "kv_cache_pct")
            if used < _USED_PERCENT or not now < until:
                continue
            active = (times.first_s <= now) & (times.last_s > now)
            share = (now - times.first_s) / np.maximum(times.last_s - times.first_s, 1e-9)
            held = (load.inputs() + load.outputs() * share)[active]
            found.append(float(held.sum() / used * 100))
    return float(np.median(found)) if len(found) >= _TICKS else None


def errors(run: RunTimes, found: Times, held_out: slice) -> Errors:
    """Predicted over measured minus 1, of the held-out requests."""
    outputs, seen = run.load.outputs(), run.times

    def off(model: Floats, real: Floats) -> float:
        chosen = np.isfinite(real[held_out])
        return float(model[held_out][chosen].mean() / real[held_out][chosen].mean() - 1)

    known = np.isfinite(seen.first_s[held_out])
    late = [np.percentile(times.ttft_s()[held_out][known], 99) for times in (found, seen)]
    each = np.abs(found.e2e_s()[held_out] / seen.e2e_s()[held_out] - 1)
    return Errors(
        mean_ttft=off(found.ttft_s(), seen.ttft_s()),
        mean_tpot=off(found.tpot_s(outputs), seen.tpot_s(outputs)),
        mean_e2e=off(found.e2e_s(), seen.e2e_s()),
        p99_ttft=float(late[0] / late[1] - 1),
        e2e_mape=float(np.nanmean(each)),
    )


def seen(true: TrueRun) -> Evidence:
    """The first requests of a run; how large the KV pool is it says only if the engine told."""
    times = true.run.times
    used = np.isfinite(times.first_s) & np.isfinite(times.last_s)
    used[CALIBRATED:] = False
    point = Observed(name=true.family, configuration=true.family, run=true.run, used=used, limits=true.limits)
    return Evidence(observed=(point,), limits=true.limits, pool_known=true.kv_known)


def judged(true: TrueRun) -> tuple[Errors, JointFit]:
    """The errors on the held-out requests of a run, and the fit."""
    evidence = seen(true)
    fit = fit_evidence(evidence)
    found = replayed(evidence.observed[0], evidence, fit.fit.logs)
    return errors(true.run, found, slice(CALIBRATED, None)), fit


def rows(folders: Sequence[Path] | None = None) -> list[Row]:
    """A line of the table of checks for each run."""
    goal = "mean TTFT, TPOT, E2E within 3 %, p99 TTFT 5 %, E2E MAPE <= 3 %"
    found = sorted(RUNS.glob("*/requests.jsonl"))
    chosen = [file.parent for file in found] if folders is None else folders
    lines = []
    for folder in chosen:
        off, _ = judged(read_run(folder))
        lines.append(
            Row(f"first {CALIBRATED} requests of {folder.name} predict the others", goal, str(off), off.met())
        )
    return lines or [
        Row("first requests of a run predict the others", goal, "", None, "no shared/data/serving_runs")
    ]


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description="Predict the later requests of runs from their first ones.")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--bank", type=int, help="also the made runs of sim.truth with this seed")
    told = parser.parse_args()
    folders = told.folders or [file.parent for file in sorted(RUNS.glob("*/requests.jsonl"))]
    made = [true_run(name, told.bank) for name in FAMILIES] if told.bank is not None else []
    for true in [*map(read_run, folders), *made]:
        begun = time.process_time()
        off, fit = judged(true)
        print(
            f"{true.family}: {off} (fit {time.process_time() - begun:.1f} s, kv {fit.pool.how})", flush=True
        )


if __name__ == "__main__":
    main()
