"""LMDeploy's published table: three output lengths calibrate, the longer ones are predicted.

The table is in ``shared/sources/lmdeploy-deepseekv3-benchmark.md`` (DeepSeek-V3, TP16). Only throughput is published,
so the unknowns are few: what a token, a step and a token of context take, and the KV pool. Lengths of the client are
even between 1 and the given ones (the default range ratio of its script), all requests are sent at once, and the
throughput is per node, of two. Averages are fitted and corrected by replays, as in ``calibration/table.py``.

    cd bench && python -m sim.lmdeploy
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec
import numpy as np

from inferometer.simulator.calibration.capacity import pool_blocks
from inferometer.simulator.calibration.fit import NAMES, Fit, Floats, Prior, coefficients_of, fit
from inferometer.simulator.calibration.replay import Load, open_load, replay
from inferometer.simulator.calibration.steady import SteadyState
from inferometer.simulator.calibration.table import Point
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients
from sim.row import Row

_NODES = 2
_BATCH = 1024
_INPUT = 2048
_NOISE = 0.01
_POOL_TOKENS = 440e3  # of the memory formula: 0.8 x (79 - 43) GiB / 70,272 B of latent KV per token
CALIBRATED = (1024, 2048, 4096)
_POOL_SPREAD = 0.4
_CORRECTIONS = 6
_FREE = ("token_s", "step_s", "kv_token_s")


class Published(msgspec.Struct, frozen=True):
    """A row of the table: output length, requests, output tokens per second of a node."""

    output_tokens: int
    requests: int
    tokens_per_s: float

    def load(self) -> Load:
        """The client's requests."""
        random = np.random.default_rng(0)
        inputs = random.integers(1, _INPUT + 1, self.requests).tolist()
        outputs = random.integers(1, self.output_tokens + 1, self.requests).tolist()
        return open_load(inputs, outputs, [0.0] * self.requests)


TABLES = {
    "v0.7.1": (
        Published(1024, 10_000, 871.78),
        Published(2048, 10_000, 841.21),
        Published(4096, 10_000, 727.56),
        Published(8192, 10_000, 504.90),
        Published(16384, 2_000, 300.04),
        Published(32768, 2_000, 140.95),
    ),
    "v0.7.2": (
        Published(1024, 10_000, 905.46),
        Published(2048, 10_000, 886.01),
        Published(4096, 10_000, 767.29),
        Published(8192, 10_000, 561.04),
        Published(16384, 2_000, 386.53),
        Published(32768, 2_000, 236.37),
    ),
}


def limits_of(logs: Floats) -> EngineLimits:
    """LMDeploy's: whole prompts before decodes, and a pool of the fitted size."""
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=_BATCH,
        max_num_batched_tokens=8192,
        block_tokens=64,
        kv_blocks=pool_blocks(np.exp(logs[-1]), 64, 35_000),
        max_model_len=35_000,
    )


def throughput(row: Published, logs: Floats) -> float:
    """Output tokens per second of a node, replayed."""
    load = row.load()
    found = replay(load, limits_of(logs), coefficients_of(logs))
    return float(load.outputs().sum() / found.last_s.max() / _NODES)


def averaged(rows: Sequence[Published], logs: Floats) -> Floats:
    """About the same by averages, without the beginning and the end of the run."""
    places = [
        Point(concurrency=4 * _BATCH, input_tokens=_INPUT // 2, output_tokens=row.output_tokens // 2)
        for row in rows
    ]
    means = SteadyState(places, [limits_of(logs)] * len(rows)).averages(coefficients_of(logs))
    outputs = np.array([place.output_tokens for place in places], dtype=np.float64)
    rate: Floats = 4 * _BATCH * outputs / (means.ttft_s + (outputs - 1) * means.tpot_s) / _NODES
    return rate


def calibrated(rows: Sequence[Published]) -> Fit:
    """A fit to rows of the table; the prior has the order of magnitude of its first row."""
    step_s = _BATCH / (rows[0].tokens_per_s * _NODES)
    center = Coefficients(
        weights_s=step_s / 10,
        token_s=step_s / _BATCH / 10,
        step_s=step_s / 10,
        sequence_s=step_s / 4 / _BATCH,
        kv_token_s=step_s / 4 / (_BATCH * _INPUT / 2),
    )
    spread = np.array([1.0 if name in _FREE else 0.0 for name in NAMES] + [_POOL_SPREAD])
    middle = np.append(Prior(center, tuple(spread[:-1])).logs(), np.log(_POOL_TOKENS))
    real = np.array([row.tokens_per_s for row in rows])
    correction, found = np.zeros(len(rows)), None
    for _ in range(_CORRECTIONS):

        def residuals(logs: Floats, correction: Floats = correction) -> Floats:
            return (np.log(averaged(rows, logs) / real) + correction) / _NOISE

        found = fit(residuals, middle, spread, start=None if found is None else found.logs, polish=0)
        told = np.array([throughput(row, found.logs) for row in rows])
        before, correction = correction, np.log(told / averaged(rows, found.logs))
        if np.abs(correction - before).max() < _NOISE / 2:
            break
    assert found is not None
    return found


def errors_of(version: str) -> dict[int, float]:
    """Predicted over measured minus 1 by output length; those of ``CALIBRATED`` were seen."""
    rows = TABLES[version]
    found = calibrated([row for row in rows if row.output_tokens in CALIBRATED])
    return {row.output_tokens: throughput(row, found.logs) / row.tokens_per_s - 1 for row in rows}


def all_errors() -> dict[str, dict[int, float]]:
    """Errors of both versions."""
    with ProcessPoolExecutor(2) as workers:
        return dict(zip(TABLES, workers.map(errors_of, TABLES), strict=True))


def row() -> Row:
    """The line of the table of checks."""
    found = all_errors()
    met = all(abs(errors[8192]) <= 0.1 and abs(errors[16384]) <= 0.2 for errors in found.values())
    told = "; ".join(
        f"{version} 8k {errors[8192]:+.1%}, 16k {errors[16384]:+.1%} (32k {errors[32768]:+.1%})"
        for version, errors in found.items()
    )
    return Row(
        "LMDeploy table, calibrated on outputs of 1k, 2k, 4k",
        "8k within 10 %, 16k within 20 %",
        told,
        met,
        "client's lengths even between 1 and the given ones; the KV pool is fitted",
    )


def main() -> None:
    for version, errors in all_errors().items():
        print(f"{version}: " + ", ".join(f"{length} {error:+.1%}" for length, error in errors.items()))


if __name__ == "__main__":
    main()
