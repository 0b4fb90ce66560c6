"""The first requests of a measured run calibrate, the others are predicted.

Folders as in ``shared/data/serving_runs``: ``requests.jsonl`` with times of each request, ``meta.json`` with the
engine's limits. Times of the held-out requests are not looked at; that they arrive, and their lengths, is load.

    cd bench && python -m sim.vllm_run FOLDER...
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from inferometer.simulator.calibration.replay import Floats, Times, open_load, replay
from inferometer.simulator.calibration.requests import RequestFit, RunTimes, fit_requests
from inferometer.simulator.instance.limits import EngineLimits

CALIBRATED = 100
_BATCHED_TOKENS = 2048
_SEQUENCES = 256


class Errors(msgspec.Struct, frozen=True):
    """Relative errors of predictions of held-out requests."""

    mean_ttft: float
    mean_tpot: float
    mean_e2e: float
    p99_ttft: float
    e2e_mape: float


def read_run(folder: Path) -> tuple[RunTimes, EngineLimits]:
    """A run and the limits of its engine.

    The engine's monotonic clock is laid onto the arrivals by the quickest hand-over between them.
    """
    rows = [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines() if line]
    rows.sort(key=lambda row: row["arrival_time"])
    begin = rows[0]["arrival_time"]
    shift = min(row["queued_ts"] - row["arrival_time"] for row in rows) + begin

    def column(name: str, zero: float) -> Floats:
        return np.array([row[name] for row in rows]) - zero

    arrival = column("arrival_time", begin)
    load = open_load([row["input_toks"] for row in rows], [row["output_toks"] for row in rows], arrival)
    meta = json.loads((folder / "meta.json").read_text())["engine_kwargs"]
    limits = EngineLimits(
        max_num_seqs=meta.get("max_num_seqs") or _SEQUENCES,
        max_num_batched_tokens=meta.get("max_num_batched_tokens") or _BATCHED_TOKENS,
        max_model_len=meta.get("max_model_len") or 131072,
    )
    return RunTimes(
        load, Times(arrival, column("first_token_ts", shift), column("last_token_ts", shift))
    ), limits


def errors(run: RunTimes, found: Times, held_out: slice) -> Errors:
    """Predicted over measured minus 1, of the held-out requests."""
    outputs, seen = run.load.outputs(), run.times

    def off(model: Floats, real: Floats) -> float:
        return float(np.nanmean(model[held_out]) / np.nanmean(real[held_out]) - 1)

    late = np.percentile(found.ttft_s()[held_out], 99) / np.percentile(seen.ttft_s()[held_out], 99) - 1
    each = np.abs(found.e2e_s()[held_out] / seen.e2e_s()[held_out] - 1)
    return Errors(
        mean_ttft=off(found.ttft_s(), seen.ttft_s()),
        mean_tpot=off(found.tpot_s(outputs), seen.tpot_s(outputs)),
        mean_e2e=off(found.e2e_s(), seen.e2e_s()),
        p99_ttft=float(late),
        e2e_mape=float(each.mean()),
    )


def calibrated(run: RunTimes, limits: EngineLimits, count: int = CALIBRATED) -> RequestFit:
    """A fit to the first requests of a run; how large the KV pool is it does not know."""
    used = np.arange(len(run.load.jobs)) < count
    return fit_requests(run, limits, used=used, kv_known=False)


def main(folders: list[Path]) -> None:
    """Print one line per run."""
    for folder in folders:
        run, limits = read_run(folder)
        begun = time.perf_counter()
        fit = calibrated(run, limits)
        took = time.perf_counter() - begun
        off = errors(run, replay(run.load, fit.limits, fit.fit.coefficients), slice(CALIBRATED, None))
        shares = ", ".join(f"{name} {value:+.2%}" for name, value in msgspec.structs.asdict(off).items())
        print(f"{folder.name}: {shares} (fit {took:.1f} s, kv {'fitted' if fit.kv_fitted else 'ample'})")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
