"""Five load points of a measured sweep calibrate each configuration, the other points are predicted.

The table is ``shared/data/sweeps/measured_serving_sweeps.csv``. Memory of the devices and the two engines' documented
rules give the KV pool: vLLM takes 90 % of a device, TensorRT-LLM 90 % of what weights leave and admits a request only
where its whole answer fits. Nothing else is known of an engine.

    cd bench && python -m sim.sweep TABLE [MODEL-SUBSTRING]
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from inferometer.simulator.calibration.ensemble import Interval, interval, refits
from inferometer.simulator.calibration.fit import coefficients_of, fit
from inferometer.simulator.calibration.replay import Floats
from inferometer.simulator.calibration.table import (
    Habits,
    Point,
    fit_table,
    load_of,
    predict,
    residuals_of,
    weak_table_prior,
)
from inferometer.simulator.instance.limits import EngineLimits

POINTS = 5
MEMBERS = 12
HABITS = Habits()
_DEVICE_BYTES = {"h100_sxm": 80e9, "h200_sxm": 141e9}
# weights and bytes of KV per token, from the models' configurations (70B and its cache in 8 bits)
_MODEL_BYTES = {"70B": (70.6e9, 163_840), "8B": (16.1e9, 131_072), "120b": (65e9, 73_728)}
_RESERVED_BYTES = 3e9
_ROOM = 0.9


class Config(msgspec.Struct, frozen=True):
    """One engine on one system, and its measured points."""

    backend: str
    model: str
    system: str
    devices: int
    points: tuple[Point, ...]

    def kv_tokens(self) -> int:
        """Tokens of the KV pool by the engine's rule."""
        weights, each = next(v for name, v in _MODEL_BYTES.items() if name in self.model)
        memory, reserved = _DEVICE_BYTES[self.system] * self.devices, _RESERVED_BYTES * self.devices
        if self.backend == "vllm":
            return int((0.9 * memory - weights - reserved) / each)
        return int(0.9 * (memory - weights - reserved) / each)

    def limits(self, point: Point | None = None) -> EngineLimits:
        """The engine's limits; for a point of TensorRT-LLM, what its full reservation leaves of the batch."""
        pool, sequences = self.kv_tokens(), 512
        if self.backend == "trtllm" and point is not None:
            sequences = max(1, min(sequences, pool // (point.input_tokens + point.output_tokens)))
        return EngineLimits(
            max_num_seqs=sequences,
            max_num_batched_tokens=8192,
            kv_blocks=pool // 16,
            max_model_len=min(pool // 16 * 16, 20_000),
        )


class HeldOut(msgspec.Struct, frozen=True):
    """A point that was predicted."""

    config: str
    point: Point
    ttft: Interval
    tpot: Interval


def read_sweep(path: Path, model: str = "") -> list[Config]:
    """The configurations of a table whose model's name contains ``model``."""
    found: dict[tuple[str, str, str, str], list[Point]] = {}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            given = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
            point = Point(
                concurrency=int(given[1] if given else row["batch_size"]),
                input_tokens=int(row["isl"]),
                output_tokens=int(row["osl"]),
                ttft_s=float(row["silicon_ttft_ms"]) / 1e3,
                tpot_s=float(row["silicon_tpot_ms"]) / 1e3,
            )
            key = (row["backend"], row["model_path"], row["system"], row["tp_size"])
            if model in row["model_path"]:
                found.setdefault(key, []).append(point)
    return [Config(key[0], key[1], key[2], int(key[3]), tuple(points)) for key, points in found.items()]


def spanning(config: Config, count: int) -> list[Point]:
    """Points far from each other in concurrency and lengths, none of which fills the KV pool."""
    room = _ROOM * config.kv_tokens()
    points = [p for p in config.points if p.concurrency * (p.input_tokens + p.output_tokens) < room]
    places = np.log([[p.concurrency, p.input_tokens, p.output_tokens] for p in points])
    places = (places - places.min(axis=0)) / np.maximum(np.ptp(places, axis=0), 1e-9)
    chosen = [int(np.argmin(places.sum(axis=1)))]
    while len(chosen) < min(count, len(points)):
        near = ((places[:, None] - places[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(np.argmax(near)))
    return [points[i] for i in chosen]


def left_out(config: Config, points: Sequence[Point], start: Floats) -> Floats:
    """Log errors of TTFT and TPOT of each point, predicted from a fit to the others."""
    prior, limits, rows = weak_table_prior(points), config.limits(), []
    for out in points:
        residuals = residuals_of([point for point in points if point is not out], limits, HABITS)
        found = fit(residuals, prior.logs(), np.array(prior.spread), start=start, polish=0)
        told = predict(load_of(out, HABITS), limits, found.coefficients)
        rows.append((told.ttft_s / (out.ttft_s or np.nan), told.tpot_s / (out.tpot_s or np.nan)))
    return np.log(rows)


def predicted(config: Config) -> list[HeldOut]:
    """Every point of a configuration but the calibrated ones, with 90 % intervals."""
    points, limits = spanning(config, POINTS), config.limits()
    best = fit_table(points, limits, habits=HABITS, polish=0)
    prior = weak_table_prior(points)
    residuals = residuals_of(points, limits, HABITS)
    members = refits(residuals, best, prior.logs(), np.array(prior.spread), members=MEMBERS, seed=1)
    off = left_out(config, points, best.logs)
    name, rows = f"{config.backend} {config.model} {config.system} x{config.devices}", []
    for point in config.points:
        if point in points:
            continue
        load, own = load_of(point, HABITS), config.limits(point)
        told = predict(load, own, best.coefficients)
        each = [predict(load, own, coefficients_of(member)) for member in members]
        ttft = interval(told.ttft_s, [member.ttft_s for member in each], off[:, 0])
        tpot = interval(told.tpot_s, [member.tpot_s for member in each], off[:, 1])
        rows.append(HeldOut(name, point, ttft, tpot))
    return rows


def summary(rows: Sequence[HeldOut]) -> dict[str, float]:
    """Errors and coverage of predictions."""
    ttft = np.array([abs(row.ttft.value / (row.point.ttft_s or np.nan) - 1) for row in rows])
    tpot = np.array([abs(row.tpot.value / (row.point.tpot_s or np.nan) - 1) for row in rows])
    inside = [row.ttft.low <= (row.point.ttft_s or np.nan) <= row.ttft.high for row in rows]
    within = [row.tpot.low <= (row.point.tpot_s or np.nan) <= row.tpot.high for row in rows]
    return {
        "points": len(rows),
        "tpot_mape": float(tpot.mean()),
        "tpot_median": float(np.median(tpot)),
        "ttft_median": float(np.median(ttft)),
        "ttft_mape": float(ttft.mean()),
        "ttft_covered": float(np.mean(inside)),
        "tpot_covered": float(np.mean(within)),
    }


def main(path: Path, model: str) -> None:
    """Print a line per configuration and one for all."""
    configs = [config for config in read_sweep(path, model) if len(config.points) > POINTS + 1]
    everything: list[HeldOut] = []
    with ProcessPoolExecutor(2) as workers:
        for rows in workers.map(predicted, configs):
            everything += rows
            print(
                rows[0].config, {name: round(value, 3) for name, value in summary(rows).items()}, flush=True
            )
    print("all", {name: round(value, 3) for name, value in summary(everything).items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
