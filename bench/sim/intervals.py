"""How often 90 % prediction intervals hold the measured value: requests of a run, and points of sweeps.

cd bench && python -m sim.intervals RUN-FOLDER...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from inferometer.simulator.calibration.ensemble import interval, refits
from inferometer.simulator.calibration.fit import Floats, coefficients_of
from inferometer.simulator.calibration.replay import Times, replay
from inferometer.simulator.calibration.requests import RunTimes, residuals_of
from sim.vllm_run import CALIBRATED, calibrated, read_run

MEMBERS = 12


def columns(run: RunTimes, times: Times) -> dict[str, Floats]:
    """The quantities that are predicted for each request."""
    return {"ttft": times.ttft_s(), "tpot": times.tpot_s(run.load.outputs()), "e2e": times.e2e_s()}


def coverage(folder: Path) -> dict[str, float]:
    """Share of held-out requests inside their intervals, by quantity.

    The errors on left-out data are those of the second half of the calibrated requests, predicted from the first.
    """
    run, limits = read_run(folder)
    half = CALIBRATED // 2
    fit, early = calibrated(run, limits), calibrated(run, limits, half)
    used = np.arange(len(run.load.jobs)) < CALIBRATED
    spread = np.array(fit.prior.spread)
    members = refits(
        residuals_of(run, fit.limits, used), fit.fit, fit.prior.logs(), spread, members=MEMBERS, seed=1
    )
    real = columns(run, run.times)
    told = columns(run, replay(run.load, fit.limits, fit.fit.coefficients))
    before = columns(run, replay(run.load, early.limits, early.fit.coefficients))
    each = [columns(run, replay(run.load, fit.limits, coefficients_of(member))) for member in members]
    found = {}
    for name, values in real.items():
        off = np.log(before[name] / values)[half:CALIBRATED]
        held_out = range(CALIBRATED, len(values))
        told_by = [interval(told[name][i], [member[name][i] for member in each], off) for i in held_out]
        inside = [one.low <= values[i] <= one.high for i, one in zip(held_out, told_by, strict=True)]
        found[name] = float(np.mean(inside))
    return found


def main(folders: list[Path]) -> None:
    """Print a line per run."""
    for folder in folders:
        print(folder.name, {name: round(share, 3) for name, share in coverage(folder).items()})


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
