"""How often 90 % prediction intervals hold the measured value: real runs, and made runs of known truth.

The first requests of a run calibrate it. Then every later request, the means and 99th percentiles of all of them, and
the same of other loads on that engine (``sim.truth.SHIFTS``; the last of them has other lengths than were calibrated)
are predicted. (Of sweeps: ``sim.sweep_intervals``.)

    cd bench && python -m sim.intervals [--seeds 0 1] [--families NAME ...]

Constants of ``calibration.noise`` and ``calibration.ensemble`` were chosen with seeds 0 and 1, how a full
pool is found with 0, 3, 4 and 6; the table of checks has a seed that was not looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, groupby
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from inferometer.simulator.calibration.ensemble import interval, refits
from inferometer.simulator.calibration.evidence import Observed
from inferometer.simulator.calibration.evidence_fit import Chosen, fit_evidence, near, refit, replayed
from inferometer.simulator.calibration.fit import Floats
from inferometer.simulator.calibration.noise import LeftOut, noises
from inferometer.simulator.calibration.replay import Times
from inferometer.simulator.calibration.requests import RunTimes
from inferometer.simulator.latency.profile import Noise, extrapolated
from inferometer.simulator.latency.trust import distance, shown, typical
from sim.row import Row
from sim.truth import FAMILIES, SHIFTS, TrueRun, true_run
from sim.vllm_run import CALIBRATED, RUNS, read_run, seen

MEMBERS = 10
BLOCKS = 5
UNSEEN = 11
METRICS: Final = ("ttft", "tpot", "e2el")


class Held(NamedTuple):
    """Values that were predicted, and whether their intervals hold them.

    Attributes:
        family: of runs.
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
        self._evidence = seen(true)
        (point,) = self._evidence.observed
        self._fit = fit_evidence(self._evidence)
        whole = self._chosen(point.used)
        residuals = near(self._evidence, self._fit, whole)
        center, spread = self._fit.center, self._fit.spread
        self._members = refits(residuals, self._fit.fit, center, spread, members=members, seed=1)
        self.noise = noises(self._left_out(point))
        self._steps = point.limits.max_num_batched_tokens
        times, known = true.run.times, point.used
        tokens = (true.run.load.inputs()[known], true.run.load.outputs()[known])
        self._seen = shown(tokens, (times.first_s[known], times.last_s[known]), self._steps)

    def _chosen(self, used: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Chosen:
        return Chosen((used,), np.zeros(0, np.bool_), np.zeros(0, np.bool_))

    def _times(self, run: RunTimes, logs: Floats) -> Times:
        point = msgspec.structs.replace(self._evidence.observed[0], run=run)
        return replayed(point, self._evidence, logs)

    def away(self, run: RunTimes) -> float:
        """How far a load is from what was calibrated."""
        times = self._times(run, self._fit.fit.logs)
        tokens = (run.load.inputs(), run.load.outputs())
        return distance(self._seen, typical(tokens, (times.first_s, times.last_s), self._steps))

    def told(self, run: RunTimes, logs: Floats | None = None) -> dict[str, Floats]:
        """Predictions for each request of a load, by the best coefficients or others."""
        return columns(run, self._times(run, self._fit.fit.logs if logs is None else logs))

    def told_by_members(self, run: RunTimes) -> dict[str, Floats]:
        """The same by each member: a row each."""
        each = [self.told(run, logs) for logs in self._members]
        return {metric: np.stack([one[metric] for one in each]) for metric in METRICS}

    def _left_out(self, point: Observed) -> dict[str, LeftOut]:
        """Predictions of each block of the calibrated requests by a fit to the others."""
        block = np.arange(CALIBRATED) * BLOCKS // CALIBRATED
        found = {metric: np.full(CALIBRATED, np.nan) for metric in METRICS}
        for number in range(BLOCKS):
            out = np.flatnonzero(block == number)
            kept = point.used.copy()
            kept[out] = False
            logs = refit(self._evidence, self._fit, self._chosen(kept))
            for metric, values in self.told(point.run, logs).items():
                found[metric][out] = values[out]
        members = self.told_by_members(point.run)
        spreads = {metric: np.log(each).std(axis=0, ddof=1) for metric, each in members.items()}
        real = columns(point.run, point.run.times)
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


def measured(folder: Path) -> list[Held]:
    """A real run."""
    true = read_run(folder)
    return list(held_by(Ensemble(true), folder.name, "same", true.run, slice(CALIBRATED, None)))


def all_held(families: Iterable[str], seeds: Iterable[int]) -> Iterator[Held]:
    """Everything, as it is done."""
    folders = [file.parent for file in sorted(RUNS.glob("*/requests.jsonl"))]
    cases = [(name, seed) for seed in seeds for name in families]
    with ProcessPoolExecutor(2) as workers:
        for rows in chain(workers.map(measured, folders), workers.map(made, cases)):
            yield from rows


def covered(rows: Iterable[Held]) -> float:
    """The share of all values that are inside."""
    pairs = [(row.share * row.values, row.values) for row in rows]
    return sum(hits for hits, _ in pairs) / max(1, sum(values for _, values in pairs))


def row() -> Row:
    """The line of the table of checks: on the half of the made runs that nothing was chosen with."""
    found = list(all_held(FAMILIES, (UNSEEN,)))
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
    told = parser.parse_args()
    print(f"{'':40}" + "".join(f"{metric:>10}" for metric in _PREDICTED), flush=True)
    found: list[Held] = []
    for key, rows in groupby(all_held(told.families, told.seeds), lambda each: each[:2]):
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
