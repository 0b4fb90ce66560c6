"""How often ``compare`` calls a difference where there is none, and how often it finds one that is there.

    python bench/compare_calibration.py [--pool 240] [--pairs 400] [--repeats 5]

The runs are simulated: a pool of load points of one service (H100 sheet, Llama 3.1 8B, closed loop), each with lengths
and text of its own. A simulation repeats itself exactly, so the noise of real servers is added: each run's clock goes
faster or slower by a factor of its own, which in a closed loop is the same as scaling the time of every step of the
engine in that run, and so scales every latency by it and every throughput by its inverse. Factors are log-normal with
a standard deviation of 1 or 2 %, heavy-tailed (Student's t with 3 degrees of freedom, 1 %), or those of a machine where
one run in ten is 5 % slower. An A/A pair is two sides of runs drawn from the pool, an A/B pair has all factors of B
lowered by 5 %.

Prints, for each way to decide, the share of A/A pairs with any primary figure called better or worse (family-wise), of
exploratory figures called so, and of A/B pairs whose output throughput is found better.

Measured with --pool 200 --pairs 400 (5 + 5 runs of 160 requests at concurrency 16, whose own spread from lengths is
0.7 % of throughput; Holm over 3 primary figures):

| way to decide                      | noise 1 %      | noise 2 %      | heavy tails    | one in ten slow |
|                                    | A/A     +5 %   | A/A     +5 %   | A/A     +5 %   | A/A     +5 %    |
| percentiles of runs                | 19.8 %  100 %  | 11.5 %  94 %   | 18.2 %  99 %   | 19.2 %  98 %    |
| percentiles of runs, then requests | 0.0 %   82 %   | 0.8 %   55 %   | 0.0 %   79 %   | 0.0 %   71 %    |
| studentised, runs, then requests   | 9.5 %   100 %  | 5.2 %   78 %   | 5.5 %   98 %   | 4.2 %   90 %    |
| Welch on logs, floored             | 1.0 %   92 %   | 1.8 %   68 %   | 1.5 %   95 %   | 1.5 %   77 %    |
| Welch on logs                      | 3.0 %   100 %  | 2.8 %   76 %   | 4.8 %   98 %   | 3.0 %   83 %    |
| exact rank test                    | 4.0 %   99 %   | 3.2 %   71 %   | 6.2 %   98 %   | 6.5 %   71 %    |
| compare                            | 1.8 %   100 %  | 2.8 %   75 %   | 1.5 %   98 %   | 1.8 %   75 %    |

Each exploratory figure alone was called better or worse in 1.0 to 2.7 % of the A/A pairs. At 2 % of noise no test that
keeps 5 % finds +5 % in 90 % of the cases with 5 + 5 runs: it takes 7 + 7. Of numbers drawn alike (4,000 pairs) Welch's
test of throughput alone, uncorrected, finds 87 %, the step-down max-T permutation test of all three 81 % (A/A 4.5 %),
Hommel's correction in place of Holm's 79 % without the rank test and 75 % with it, this way 71 %; 6 + 6 runs 86 %,
7 + 7 93 %, 8 + 8 96 %.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inferometer.api.simulating import simulate
from inferometer.metrics.bootstrap import Part, block_length, part_of, t_quantile
from inferometer.metrics.comparing.effects import Effect, decided, effect, holm, two_sided
from inferometer.metrics.comparing.names import kind_of
from inferometer.metrics.comparing.ranks import rank_test
from inferometer.metrics.latency import PointData
from inferometer.metrics.series import samples_of
from inferometer.record.store import read_run
from inferometer.spec import RunSpec

PRIMARY = ("output_throughput_per_s", "ttft_ms.p99", "tpot_ms.p99")
EXPLORING = (
    "request_throughput_per_s",
    "ttft_ms.p50",
    "ttft_ms.mean",
    "tpot_ms.p50",
    "e2el_ms.p50",
    "e2el_ms.p99",
)
CHANGE = 0.05
THRESHOLD = 0.02
ALPHA = 0.05
REPLICATES = 400  # of each run, by block bootstrap of its requests
RESAMPLES = 999


class Run(NamedTuple):
    """Figures of one load point, and what they come out at when its requests are drawn anew in blocks."""

    parts: dict[str, Part]
    replicates: dict[str, np.ndarray]


class Drawn(NamedTuple):
    """A run with a factor for its clock."""

    run: Run
    factor: float

    def part(self, key: str) -> Part:
        scale = self.factor if "_ms" in key else 1.0 / self.factor
        own = self.run.parts[key]
        return Part(own.value * scale, own.variance * scale**2, own.freedom)

    def replicates(self, key: str) -> np.ndarray:
        return self.run.replicates[key] * (self.factor if "_ms" in key else 1.0 / self.factor)


Side = Sequence[Drawn]
PValue = Callable[[Side, Side, str, np.random.Generator], float]


def pool_of(size: int, concurrency: int = 16, prompts: int = 160) -> list[Run]:
    """Load points that differ by their lengths alone."""
    with tempfile.TemporaryDirectory() as home:
        spec = RunSpec.model_validate(
            {
                "simulation": {"device": "h100", "model_config_file": "llama-3.1-8b"},
                "load": {"max_concurrency": [concurrency], "num_prompts": [prompts], "warmup": 0},
                "workload": {"input_len": [512], "output_len": [128], "range_ratio": 0.1},
                "sweep": {"repeat": size},
                "output": {"out": home, "ui": "none"},
            }
        )
        record = read_run(Path(simulate(spec).path))
        rng = np.random.default_rng(1)
        return [_run(PointData(table), rng) for table in record.measured]


def _run(data: PointData, rng: np.random.Generator) -> Run:
    samples = samples_of(data)
    parts, replicates = {}, {}
    for key in (*PRIMARY, *EXPLORING):
        name, _, statistic = key.partition(".")
        series = samples.rates[key] if key in samples.rates else samples.latencies[name]
        p = float(statistic[1:]) if statistic.startswith("p") else None
        parts[key] = part_of(series, p)
        replicates[key] = _replicates(series, p, rng)
    return Run(parts, replicates)


def _replicates(series: np.ndarray, p: float | None, rng: np.random.Generator) -> np.ndarray:
    length, n = block_length(series), len(series)
    starts = rng.integers(n, size=(REPLICATES, -(-n // length)))
    places = (starts[:, :, None] + np.arange(length)).reshape(REPLICATES, -1)[:, :n] % n
    drawn = series[places]
    return drawn.mean(axis=1) if p is None else np.percentile(drawn, p, axis=1)


def welch(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """Welch's t on the logarithms of the runs' values."""
    x, y = (np.log([drawn.part(key).value for drawn in side]) for side in (a, b))
    parts = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
    return two_sided(abs(y.mean() - x.mean()) / math.sqrt(sum(parts)), freedom)


def welch_floored(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """The same, never surer than the error inside the runs."""
    inside = [
        sum(d.part(key).variance / d.part(key).value ** 2 for d in side) / len(side) ** 2 for side in (a, b)
    ]
    x, y = (np.log([drawn.part(key).value for drawn in side]) for side in (a, b))
    freedom = sum(d.part(key).freedom for side in (a, b) for d in side)
    return max(welch(a, b, key, rng), two_sided(abs(y.mean() - x.mean()) / math.sqrt(sum(inside)), freedom))


def ranks(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """Exact Mann-Whitney."""
    return rank_test([d.part(key).value for d in a], [d.part(key).value for d in b])


def percentile_bootstrap(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """Percentiles of the hierarchical bootstrap: runs, then blocks of requests."""
    changes = _hierarchical(b, key, rng)[0] - _hierarchical(a, key, rng)[0]
    return float(2.0 * min((changes <= 0.0).mean(), (changes >= 0.0).mean()))


def runs_bootstrap(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """Percentiles of the bootstrap of runs alone."""
    x, y = (np.log([drawn.part(key).value for drawn in side]) for side in (a, b))
    means = (
        values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1) for values in (x, y)
    )
    first, second = means
    return float(2.0 * min((second - first <= 0.0).mean(), (second - first >= 0.0).mean()))


def studentised_bootstrap(a: Side, b: Side, key: str, rng: np.random.Generator) -> float:
    """The same, each resample divided by its own standard error (bootstrap-t)."""
    x, y = (np.log([drawn.part(key).value for drawn in side]) for side in (a, b))
    change = y.mean() - x.mean()
    error = math.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))
    (means_a, errors_a), (means_b, errors_b) = (_hierarchical(side, key, rng) for side in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(means_b - means_a - change) / np.sqrt(errors_a + errors_b)
    t = t[np.isfinite(t)]
    return float((1 + (t >= abs(change) / error).sum()) / (1 + len(t)))


def _hierarchical(side: Side, key: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the logarithms in each resample, and its variance there."""
    bank = np.log(np.array([drawn.replicates(key) for drawn in side]))
    runs = rng.integers(len(side), size=(RESAMPLES, len(side)))
    values = bank[runs, rng.integers(REPLICATES, size=runs.shape)]
    return values.mean(axis=1), values.var(axis=1, ddof=1) / len(side)


METHODS: dict[str, PValue] = {
    "percentiles of runs": runs_bootstrap,
    "percentiles of runs, then requests": percentile_bootstrap,
    "studentised, runs, then requests": studentised_bootstrap,
    "Welch on logs, floored": welch_floored,
    "Welch on logs": welch,
    "rank test": ranks,
}


def factors(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """What the clocks of ``n`` runs go by."""
    if kind == "heavy tails 1 %":
        return np.exp(0.01 * rng.standard_t(3, n) / math.sqrt(3.0))
    if kind == "one in ten 5 % slower":
        return np.exp(0.005 * rng.standard_normal(n)) * np.where(rng.random(n) < 0.1, 1.05, 1.0)
    return np.exp({"1 %": 0.01, "2 %": 0.02}[kind] * rng.standard_normal(n))


KINDS = ("1 %", "2 %", "heavy tails 1 %", "one in ten 5 % slower")


def pair(
    pool: Sequence[Run], kind: str, repeats: int, rng: np.random.Generator, change: float
) -> tuple[Side, Side]:
    """Two sides of runs that no other run of the pair is; the second faster by ``change``."""
    picked = rng.choice(len(pool), 2 * repeats, replace=False)
    scale = factors(kind, 2 * repeats, rng)
    scale[repeats:] /= 1.0 + change
    drawn = [Drawn(pool[place], float(factor)) for place, factor in zip(picked, scale, strict=True)]
    return drawn[:repeats], drawn[repeats:]


def shipped(a: Side, b: Side) -> list[Effect]:
    """What ``compare`` says."""
    found = []
    for key in (*PRIMARY, *EXPLORING):
        kind = kind_of(key)
        assert kind is not None
        made = effect(kind, [d.part(key) for d in a], [d.part(key) for d in b], THRESHOLD)
        found.append(_marked(made, key in PRIMARY))
    return decided(found)


def _marked(made: Effect, primary: bool) -> Effect:
    import msgspec

    return msgspec.structs.replace(made, primary=primary)


def rates_of_method(
    method: PValue, pool: Sequence[Run], kind: str, repeats: int, pairs: int
) -> tuple[float, float]:
    """Family-wise false positives over the primary figures, and power for output throughput, Holm corrected."""
    rng = np.random.default_rng(2)
    wrong = found = 0
    for _ in range(pairs):
        a, b = pair(pool, kind, repeats, rng, 0.0)
        wrong += min(holm([method(a, b, key, rng) for key in PRIMARY])) <= ALPHA
        a, b = pair(pool, kind, repeats, rng, CHANGE)
        found += holm([method(a, b, key, rng) for key in PRIMARY])[0] <= ALPHA
    return wrong / pairs, found / pairs


def rates_of_compare(
    pool: Sequence[Run], kind: str, repeats: int, pairs: int
) -> tuple[float, float, float, float]:
    """False positives (family-wise, and share of exploratory figures), power, and share of A/A primary called same."""
    rng = np.random.default_rng(2)
    wrong = exploring = found = same = 0
    for _ in range(pairs):
        effects = shipped(*pair(pool, kind, repeats, rng, 0.0))
        loud = [each for each in effects if each.word in ("better", "worse")]
        wrong += any(each.primary for each in loud)
        exploring += sum(not each.primary for each in loud)
        same += sum(each.word == "same" and each.primary for each in effects)
        found += shipped(*pair(pool, kind, repeats, rng, CHANGE))[0].word == "better"
    return wrong / pairs, exploring / pairs / len(EXPLORING), found / pairs, same / pairs / len(PRIMARY)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=int, default=240)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    pool = pool_of(asked.pool)
    print(f"{asked.pairs} A/A and A/B pairs (+{CHANGE:.0%}) a row, {asked.repeats} + {asked.repeats} runs")
    for key in PRIMARY:
        spread = np.std(np.log([run.parts[key].value for run in pool]), ddof=1)
        print(f"own spread of {key}: {spread:.2%}, error inside a run {_inside(pool, key):.2%}")
    print("\n| noise | way to decide | A/A called different | +5 % found |\n| --- | --- | ---: | ---: |")
    for kind in KINDS:
        for name, method in METHODS.items():
            wrong, found = rates_of_method(method, pool, kind, asked.repeats, asked.pairs)
            print(f"| {kind} | {name} | {wrong:.1%} | {found:.1%} |", flush=True)
        wrong, exploring, found, same = rates_of_compare(pool, kind, asked.repeats, asked.pairs)
        print(
            f"| {kind} | **compare** | {wrong:.1%} (each exploratory figure {exploring:.1%}, primary called same "
            f"{same:.0%}) | {found:.1%} |",
            flush=True,
        )
    print(f"\nt quantile of 2 x {asked.repeats} runs: {t_quantile(0.975, 2.0 * asked.repeats - 2.0):.3f}")


def _inside(pool: Sequence[Run], key: str) -> float:
    return float(np.mean([math.sqrt(run.parts[key].variance) / run.parts[key].value for run in pool]))


if __name__ == "__main__":
    main()
