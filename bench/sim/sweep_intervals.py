"""How often 90 % prediction intervals of sweeps hold what was measured, where five points are all that is known.

    cd bench && python -m sim.sweep_intervals [TABLE] [--choices 2]

Centre and ensemble are of a fit to the five points; the noise is what left-one-out fits of the same five missed. No
held-out point is looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inferometer.simulator.calibration.ensemble import interval, refits
from inferometer.simulator.calibration.fit import NAMES, Floats, coefficients_of
from inferometer.simulator.calibration.table import (
    ROUNDS_SPREAD,
    Habits,
    Point,
    Predicted,
    TableProblem,
    point_noise,
    predict,
)
from inferometer.simulator.latency.profile import Noise
from sim.row import Row
from sim.sweep import FILE, Calibrated, Config, calibrated, read_sweep, spanning, usable

MEMBERS = 12
_METRICS = ("ttft_s", "tpot_s")


class Covered(NamedTuple):
    """Of each held-out point of a configuration, whether its intervals hold, and how wide they are: high over low."""

    config: str
    inside: dict[str, list[bool]]
    width: dict[str, list[float]]


def told_by(config: Config, found: Calibrated, logs: Floats, point: Point) -> Predicted:
    """A point as one member of an ensemble tells it."""
    habits = Habits(rounds=max(1.0, float(np.exp(logs[len(NAMES)]))), held_back=found.fit.habits.held_back)
    limits = config.engine.limits(point)
    return predict(point, limits, coefficients_of(logs), habits, found.experts)


def members_of(config: Config, found: Calibrated, points: Sequence[Point]) -> list[Floats]:
    """Logarithms that fit the points about as well."""
    limits = [config.engine.limits(point) for point in points]
    problem = TableProblem(points, limits, found.fit.habits, found.experts)
    problem.correct(found.fit.logs, problem.simulated(found.fit.logs))
    center = np.append(found.fit.prior.logs(), np.log(Habits().rounds))
    spread = np.append(found.fit.prior.spread, ROUNDS_SPREAD)
    return refits(problem.averaged, found.fit, center, spread, members=MEMBERS, seed=1)


def noises_of(config: Config, points: Sequence[Point]) -> dict[str, Noise]:
    """Noise by metric, from each point as a fit to the others tells it."""
    told, spreads = [], []
    for out in points:
        others = [point for point in points if point is not out]
        found = calibrated(config, others)
        told.append(told_by(config, found, found.fit.logs, out))
        members = [told_by(config, found, logs, out) for logs in members_of(config, found, others)]
        spreads.append({name: _spread(members, name) for name in _METRICS})
    return {
        name: point_noise(
            name,
            np.array([getattr(each, name) for each in told]),
            np.array([getattr(point, name) for point in points]),
            np.array([each[name] for each in spreads]),
        )
        for name in _METRICS
    }


def _spread(members: Sequence[Predicted], name: str) -> float:
    return float(np.std(np.log([getattr(member, name) for member in members]), ddof=1))


def covered(config: Config, number: int) -> Covered:
    """The intervals of one configuration."""
    points = spanning(config, number=number)
    found, noises = calibrated(config, points), noises_of(config, points)
    members = members_of(config, found, points)
    inside: dict[str, list[bool]] = {name: [] for name in _METRICS}
    width: dict[str, list[float]] = {name: [] for name in _METRICS}
    for point in config.points:
        if point in points:
            continue
        best = told_by(config, found, found.fit.logs, point)
        each = [told_by(config, found, logs, point) for logs in members]
        for name in _METRICS:
            told = interval(getattr(best, name), [getattr(one, name) for one in each], noises[name])
            inside[name].append(told.low <= getattr(point, name) <= told.high)
            width[name].append(told.high / max(told.low, 1e-9))
    return Covered(config.name, inside, width)


def all_covered(path: Path = FILE, choices: int = 1) -> list[Covered]:
    """All usable configurations of a table."""
    pairs = [(config, number) for config in usable(read_sweep(path)) for number in range(choices)]
    with ProcessPoolExecutor(2) as workers:
        return list(workers.map(covered, *zip(*pairs, strict=True)))


def share(rows: Sequence[Covered], name: str) -> float:
    """Share of the points inside."""
    return float(np.mean([each for row in rows for each in row.inside[name]]))


def row(path: Path = FILE) -> Row:
    """The line of the table of checks."""
    check, goal = "90 % intervals of sweeps from five points", "cover 85 to 95 %"
    if not path.exists():
        return Row(check, goal, "", None, f"{path.name} is not there")
    rows = all_covered(path)
    ttft, tpot = (share(rows, name) for name in _METRICS)
    wide = {name: float(np.median([each for row in rows for each in row.width[name]])) for name in _METRICS}
    note = f"high over low, median: TTFT {wide['ttft_s']:.2f}, TPOT {wide['tpot_s']:.2f}"
    met = all(0.85 <= each <= 0.95 for each in (ttft, tpot))
    return Row(check, goal, f"TTFT {ttft:.1%}, TPOT {tpot:.1%}", met, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--choices", type=int, default=1)
    given = parser.parse_args()
    rows = all_covered(given.file, given.choices)
    for config in dict.fromkeys(each.config for each in rows):
        mine = [each for each in rows if each.config == config]
        widths = [float(np.median([one for each in mine for one in each.width[name]])) for name in _METRICS]
        shares = [share(mine, name) for name in _METRICS]
        print(f"{config:55} TTFT {shares[0]:.0%} (x{widths[0]:.2f})  TPOT {shares[1]:.0%} (x{widths[1]:.2f})")
    print(f"{'all':55} TTFT {share(rows, 'ttft_s'):.1%}  TPOT {share(rows, 'tpot_s'):.1%}")


if __name__ == "__main__":
    main()
