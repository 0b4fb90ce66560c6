"""How often 90 % prediction intervals hold the measured value: real runs, made runs of known truth, and sweeps.

The first requests of a run calibrate it. Then every later request, the means and 99th percentiles of all of them, and
the same of other loads on that engine (``sim.truth.SHIFTS``; the last of them has other lengths than were calibrated)
are predicted. Of sweeps five points calibrate a configuration, and the means of the others are predicted.

    cd bench && python -m sim.intervals [--seeds 0 1] [--families NAME ...] [--sweeps]

Constants of ``calibration.noise`` and ``calibration.ensemble`` were chosen with seeds 0 and 1; the table of
checks has a seed that was not looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from inferometer.simulator.calibration.ensemble import interval, refits
from inferometer.simulator.calibration.fit import NAMES, Floats, coefficients_of, fit
from inferometer.simulator.calibration.noise import LeftOut, noise_of, noises
from inferometer.simulator.calibration.replay import Times, replay
from inferometer.simulator.calibration.requests import (
    KV_SPREAD,
    RequestFit,
    RunTimes,
    residuals_of,
    with_pool,
)
from inferometer.simulator.calibration.table import (
    ROUNDS_SPREAD,
    Point,
    Predicted,
    TableProblem,
    fit_table,
    predict,
)
from inferometer.simulator.latency.profile import Noise, extrapolated
from inferometer.simulator.latency.trust import distance, shown, typical
from sim import sweep
from sim.row import Row
from sim.truth import FAMILIES, SHIFTS, TrueRun, true_run
from sim.vllm_run import CALIBRATED, RUNS, calibrated, read_run

MEMBERS = 10
BLOCKS = 5
UNSEEN = 3
METRICS: Final = ("ttft", "tpot", "e2el")


class Held(NamedTuple):
    """Values that were predicted, and whether their intervals hold them.

    Attributes:
        family: of runs or sweeps.
        load: ``same`` as was calibrated, or what was changed.
        metric: as in ``Profile.noise``.
        share: of the values that are inside.
        values: how many.
    """

    family: str
    load: str
    metric: str
    share: float
    values: int


def columns(run: RunTimes, times: Times) -> dict[str, Floats]:
    """The quantities that are predicted for each request."""
    found = (times.ttft_s(), times.tpot_s(run.load.outputs()), times.e2e_s())
    return dict(zip(METRICS, found, strict=True))


class Ensemble:
    """A fit to the first requests of a run, its members, and the noise of its predictions."""

    def __init__(self, true: TrueRun, members: int = MEMBERS) -> None:
        self.best: RequestFit = calibrated(true)
        used = np.arange(len(true.run.load.jobs)) < CALIBRATED
        center, spread = self.best.prior.logs(), np.array(self.best.prior.spread)
        if self.best.kv_fitted:
            center, spread = np.append(center, self.best.fit.logs[-1]), np.append(spread, KV_SPREAD)
        self._believed = center, spread
        residuals = residuals_of(true.run, self.best.limits, used)
        self._members = refits(residuals, self.best.fit, center, spread, members=members, seed=1)
        self.noise = noises(self._left_out(true.run, used))
        self._steps = self.best.limits.max_num_batched_tokens
        times = true.run.times
        first, last = times.first_s[:CALIBRATED], times.last_s[:CALIBRATED]
        known = np.isfinite(first) & np.isfinite(last)
        tokens = (true.run.load.inputs()[:CALIBRATED][known], true.run.load.outputs()[:CALIBRATED][known])
        self._seen = shown(tokens, (first[known], last[known]), self._steps)

    def away(self, run: RunTimes) -> float:
        """How far a load is from what was calibrated."""
        times = replay(run.load, self.best.limits, self.best.fit.coefficients)
        tokens = (run.load.inputs(), run.load.outputs())
        return distance(self._seen, typical(tokens, (times.first_s, times.last_s), self._steps))

    def told(self, run: RunTimes, logs: Floats | None = None) -> dict[str, Floats]:
        """Predictions for each request of a load, by the best coefficients or others."""
        logs = self.best.fit.logs if logs is None else logs
        limits = self.best.limits
        if len(logs) > len(NAMES):
            limits = with_pool(limits, run.load, float(np.exp(logs[-1])))
        return columns(run, replay(run.load, limits, coefficients_of(logs)))

    def told_by_members(self, run: RunTimes) -> dict[str, Floats]:
        """The same by each member: a row each."""
        each = [self.told(run, logs) for logs in self._members]
        return {metric: np.stack([one[metric] for one in each]) for metric in METRICS}

    def _left_out(
        self, run: RunTimes, used: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> dict[str, LeftOut]:
        """Predictions of each block of the calibrated requests by a fit to the others."""
        block = np.arange(CALIBRATED) * BLOCKS // CALIBRATED
        found = {metric: np.full(CALIBRATED, np.nan) for metric in METRICS}
        for number in range(BLOCKS):
            out = np.flatnonzero(block == number)
            kept = used.copy()
            kept[out] = False
            center, spread = self._believed
            residuals = residuals_of(run, self.best.limits, kept)
            logs = fit(residuals, center, spread, start=self.best.fit.logs, polish=0).logs
            for metric, values in self.told(run, logs).items():
                found[metric][out] = values[out]
        spreads = {
            metric: np.log(each).std(axis=0, ddof=1) for metric, each in self.told_by_members(run).items()
        }
        real = columns(run, run.times)
        return {
            metric: LeftOut(found[metric], real[metric][:CALIBRATED], spreads[metric][:CALIBRATED], block)
            for metric in METRICS
        }


def inside(value: float, told: float, members: Sequence[float], noise: Noise | None) -> bool:
    """Whether the interval of a prediction holds a value."""
    found = interval(told, members, noise)
    return found.low <= value <= found.high


def held_by(ensemble: Ensemble, family: str, load: str, run: RunTimes, rows: slice) -> Iterator[Held]:
    """What the intervals for a load hold."""
    real, told, members = columns(run, run.times), ensemble.told(run), ensemble.told_by_members(run)
    away = ensemble.away(run)
    widened = {metric: extrapolated(noise, away) for metric, noise in ensemble.noise.items()}
    for metric in METRICS:
        values, each, by = real[metric][rows], told[metric][rows], members[metric][:, rows]
        known = np.flatnonzero(np.isfinite(values) & np.isfinite(each))
        noise = widened.get(metric)
        hits = [inside(values[i], each[i], by[:, i].tolist(), noise) for i in known]
        yield Held(family, load, metric, float(np.mean(hits)), len(hits))
        for name, statistic, beside in _STATISTICS:
            totals = [statistic(member[known]) for member in by]
            hit = inside(
                statistic(values[known]), statistic(each[known]), totals, widened.get(beside + metric)
            )
            yield Held(family, load, f"{name}_{metric}", float(hit), 1)


def _p99(values: Floats) -> float:
    return float(np.percentile(values, 99))


def _mean(values: Floats) -> float:
    return float(values.mean())


_STATISTICS: Final[tuple[tuple[str, Callable[[Floats], float], str], ...]] = (
    ("mean", _mean, "mean_"),
    ("p99", _p99, ""),
)


_PREDICTED: Final = (*METRICS, *(f"{name}_{metric}" for name, *_ in _STATISTICS for metric in METRICS))


def made(case: tuple[str, int]) -> list[Held]:
    """A made run, and other loads on its engine."""
    name, seed = case
    true = true_run(name, seed)
    ensemble = Ensemble(true)
    found = list(held_by(ensemble, name, "same", true.run, slice(CALIBRATED, None)))
    for shift, change in enumerate(SHIFTS[1:], start=1):
        load = "other rate" if change.inputs == 1.0 else "other lengths"
        found += held_by(ensemble, name, load, true_run(name, seed, shift).run, slice(None))
    return found


def measured() -> list[Held]:
    """The real runs."""
    found: list[Held] = []
    for file in sorted(RUNS.glob("*/requests.jsonl")):
        true = read_run(file.parent)
        found += held_by(Ensemble(true), file.parent.name, "same", true.run, slice(CALIBRATED, None))
    return found


def swept(config: sweep.Config) -> list[Held]:
    """The points of a configuration beside the five that calibrate it."""
    points, engine = sweep.spanning(config), config.engine
    best, experts = sweep.calibrated(config, points)
    limits = [engine.limits(point) for point in points]
    problem = TableProblem(points, limits, best.habits, experts)
    problem.correct(best.logs, problem.simulated(best.logs))
    center = np.append(best.prior.logs(), np.log(best.habits.rounds))
    spread = np.append(best.prior.spread, ROUNDS_SPREAD)
    members = refits(problem.averaged, best, center, spread, members=MEMBERS, seed=1)

    def each(point: Point) -> tuple[Predicted, list[Predicted]]:
        own = engine.limits(point)
        by = [predict(point, own, coefficients_of(m), problem.habits_at(m), experts) for m in members]
        return predict(point, own, best.coefficients, best.habits, experts), by

    blind = []
    for out in points:
        kept = [point for point in points if point is not out]
        found = fit_table(kept, [engine.limits(point) for point in kept], prior=engine.prior, experts=experts)
        blind.append(predict(out, engine.limits(out), found.coefficients, found.habits, experts))
    rows = []
    others = [(point, *each(point)) for point in config.points if point not in points]
    for name in ("ttft_s", "tpot_s"):
        spreads = [float(np.log([getattr(m, name) for m in each(point)[1]]).std(ddof=1)) for point in points]
        noise = noise_of(
            LeftOut(
                np.array([getattr(one, name) for one in blind]),
                np.array([getattr(point, name) for point in points], dtype=np.float64),
                np.array(spreads),
                np.arange(len(points)),
            )
        )
        hits = [
            inside(getattr(point, name), getattr(told, name), [getattr(m, name) for m in by], noise)
            for point, told, by in others
            if getattr(point, name) is not None
        ]
        if hits:
            rows.append(Held("sweeps", config.name, f"mean_{name[:-2]}", float(np.mean(hits)), len(hits)))
    return rows


def all_held(families: Iterable[str], seeds: Iterable[int], sweeps: bool) -> Iterator[Held]:
    """Everything, as it is done."""
    yield from measured()
    cases = [(name, seed) for seed in seeds for name in families]
    configs = sweep.usable(sweep.read_sweep()) if sweeps and sweep.FILE.exists() else []
    with ProcessPoolExecutor(2) as workers:
        for rows in workers.map(made, cases):
            yield from rows
        for rows in workers.map(swept, configs):
            yield from rows


def covered(rows: Iterable[Held]) -> float:
    """The share of all values that are inside."""
    pairs = [(row.share * row.values, row.values) for row in rows]
    return sum(hits for hits, _ in pairs) / max(1, sum(values for _, values in pairs))


def row() -> Row:
    """The line of the table of checks: on the half of the made runs that nothing was chosen with."""
    found = list(all_held(FAMILIES, (UNSEEN,), sweeps=True))
    usual = [each for each in found if each.load != "other lengths"]
    families = list(dict.fromkeys(each.family for each in usual))
    shares = {name: covered([each for each in usual if each.family == name]) for name in families}
    worst, widest = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    mean = float(np.mean(list(shares.values())))
    stretched = covered([each for each in found if each.load == "other lengths"])
    told = f"{mean:.1%} (least {worst} {shares[worst]:.0%}, most {widest} {shares[widest]:.0%})"
    note = f"mean over {len(families)} families; {stretched:.0%} for lengths that were not calibrated"
    return Row("90 % prediction intervals", "85 to 95 % of held-out values", told, 0.85 <= mean <= 0.95, note)


def main() -> None:
    """Print coverage by family, load and metric."""
    parser = argparse.ArgumentParser(description="How often prediction intervals hold what was measured.")
    parser.add_argument("--seeds", nargs="*", type=int, default=[UNSEEN])
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--sweeps", action="store_true")
    told = parser.parse_args()
    print(f"{'':40}" + "".join(f"{metric:>10}" for metric in _PREDICTED), flush=True)
    found: list[Held] = []
    for key, rows in groupby(all_held(told.families, told.seeds, told.sweeps), lambda each: each[:2]):
        found += (these := list(rows))
        _print(*key, these)
    for load in ("same", "other rate", "other lengths"):
        _print("all", load, [each for each in found if each.load == load])


def _print(family: str, load: str, rows: Sequence[Held]) -> None:
    cells = [[each for each in rows if each.metric == metric] for metric in _PREDICTED]
    shares = "".join(f"{covered(cell):10.0%}" if cell else f"{'':10}" for cell in cells)
    print(f"{family[:20]:20}{load[:20]:20}{shares}", flush=True)


if __name__ == "__main__":
    main()
