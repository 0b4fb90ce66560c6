"""Five load points of a measured sweep calibrate each configuration, the other points are predicted.

The table is like ``shared/data/sweeps/measured_serving_sweeps.csv``: a row for each load point with engine, model,
system, devices, lengths, TTFT and TPOT. What else is used of an engine are its documented rules (``sim.engines``); of
clients, that they form a closed loop. How many requests each sent, and whether the engine has a seat for each of them,
the calibrated points tell.

    cd bench && python -m sim.sweep [TABLE] [--choices 5]

The five points are chosen by their places alone: one, and then always that farthest from those chosen, among those
that fit the KV pool. ``--choices`` begins at so many different points, so that a figure is not luck.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from inferometer.errors import DataError
from inferometer.simulator.calibration.table import Point, TableFit, fit_table, predict
from inferometer.simulator.latency.experts import TouchedExperts
from sim.engines import Engine, Serving
from sim.row import Row

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "sweeps" / "measured_serving_sweeps.csv"
POINTS = 5
CHOICES = 5
GOAL = "TPOT MAPE <= 6 %, median <= 4 %; TTFT median <= 20 %"
_NEEDED = ("model_path", "system", "isl", "osl", "silicon_ttft_ms", "silicon_tpot_ms")
_LAYOUT = ("moe_tp_size", "moe_ep_size", "moe_quant_mode")
_ROOM = 0.9
_UNLIKELY = 3.0  # a logarithm: twenty to one


class Config(msgspec.Struct, frozen=True):
    """One engine on one system, and its measured points."""

    serving: Serving
    engine: Engine
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """For people."""
        serving = self.serving
        return f"{serving.backend} {serving.model} {serving.system} x{serving.devices}"


class HeldOut(msgspec.Struct, frozen=True):
    """A point that was predicted, in seconds."""

    point: Point
    ttft_s: float
    tpot_s: float


class Choice(msgspec.Struct, frozen=True):
    """One choice of points of one configuration, and what it predicted."""

    config: str
    number: int
    calibrated: tuple[Point, ...]
    held_out: tuple[HeldOut, ...]


class Calibrated(NamedTuple):
    """A fit, and what the model was taken for."""

    fit: TableFit
    experts: TouchedExperts | None


class Errors(msgspec.Struct, frozen=True):
    """Absolute relative errors of predictions."""

    points: int
    tpot_mape: float
    tpot_median: float
    ttft_median: float

    def __str__(self) -> str:
        return (
            f"{self.points:4} points  TPOT MAPE {self.tpot_mape:5.1%}  median {self.tpot_median:5.1%}"
            f"  TTFT median {self.ttft_median:5.1%}"
        )


def read_sweep(path: Path = FILE) -> list[Config]:
    """The configurations of a table; a place that it has twice counts once.

    Prompts and answers on devices of their own (``mode``) are another kind of service, and are left out.

    Raises:
        DataError: a column is missing, without which nothing can be predicted.
    """
    found: dict[Serving, dict[tuple[int, int, int], Point]] = {}
    with path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        if lacking := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
            raise DataError(f"{path} is no table of load points: it has no column {', '.join(lacking)}")
        for row in reader:
            point = _point(row)
            if point is not None and (row.get("mode") or "agg") == "agg":
                place = (point.concurrency, point.input_tokens, point.output_tokens)
                found.setdefault(_serving(row), {}).setdefault(place, point)
    servings = list(found)
    return [
        Config(serving, Engine.of(serving, servings), tuple(points.values()))
        for serving, points in found.items()
    ]


def _point(row: dict[str, str]) -> Point | None:
    """A load point to one rank; None where a row lacks a number, or has one that cannot be."""
    given = re.search(r"silicon_concurrency=(\d+)", row.get("silicon_data_source") or "")
    clients = float(given[1]) if given else _number(row, "concurrency", "batch_size")
    ttft_ms, tpot_ms = _number(row, "silicon_ttft_ms"), _number(row, "silicon_tpot_ms")
    inputs, outputs = _number(row, "isl"), _number(row, "osl")
    if not all(value >= 1 for value in (clients, inputs, outputs / 2)):
        return None
    if not all(value > 0 for value in (ttft_ms, tpot_ms)):
        return None
    return Point(
        concurrency=max(1, round(clients / _whole(row, "attention_dp_size"))),
        input_tokens=round(inputs),
        output_tokens=round(outputs),
        ttft_s=ttft_ms / 1e3,
        tpot_s=tpot_ms / 1e3,
    )


def _number(row: dict[str, str], *names: str) -> float:
    """The first of these columns that has a value; NaN where none has."""
    return next((float(row[name]) for name in names if row.get(name)), math.nan)


def _whole(row: dict[str, str], name: str) -> int:
    return int(float(row.get(name) or 1))


def _serving(row: dict[str, str]) -> Serving:
    return Serving(
        backend=row.get("backend") or "",
        model=row["model_path"],
        system=row["system"],
        tensor_parallel=_whole(row, "tp_size"),
        pipeline_parallel=_whole(row, "pp_size"),
        weights=row.get("gemm_quant_mode") or row.get("precision") or "",
        ranks=_whole(row, "attention_dp_size"),
        layout=tuple(row.get(name) or "" for name in _LAYOUT),
    )


def spanning(config: Config, count: int = POINTS, number: int = 0) -> list[Point]:
    """Points far from each other in concurrency and lengths, none of which fills the KV pool if there are enough.

    Args:
        config: whose points.
        count: of points.
        number: 0 begins at the smallest load, another number at some other point.
    """
    room = _ROOM * config.engine.pool_tokens

    def held(point: Point) -> int:
        return point.concurrency * (point.input_tokens + point.output_tokens)

    points = [point for point in config.points if held(point) < room]
    if len(points) < count:
        points = sorted(config.points, key=held)[:count]
    places = np.log([[p.concurrency, p.input_tokens, p.output_tokens] for p in points])
    places = (places - places.min(axis=0)) / np.maximum(np.ptp(places, axis=0), 1e-9)
    first = np.random.default_rng(number).integers(len(points)) if number else np.argmin(places.sum(axis=1))
    chosen = [int(first)]
    while len(chosen) < min(count, len(points)):
        near = ((places[:, None] - places[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(np.argmax(near)))
    return [points[i] for i in chosen]


def calibrated(config: Config, points: Sequence[Point]) -> Calibrated:
    """A fit to these points; of a model that is not known, as a mixture where that fits far better."""
    engine = config.engine
    limits = [engine.limits(point) for point in points]
    fits = [
        Calibrated(fit_table(points, limits, prior=engine.prior, experts=each), each)
        for each in engine.experts
    ]
    return min(fits, key=lambda found: found.fit.loss + (_UNLIKELY if found is not fits[0] else 0.0))


def predicted(config: Config, number: int = 0) -> Choice:
    """Every point of a configuration but the calibrated ones."""
    points = spanning(config, number=number)
    (fit, experts), engine = calibrated(config, points), config.engine
    rows = []
    for point in config.points:
        if point not in points:
            told = predict(point, engine.limits(point), fit.coefficients, fit.habits, experts)
            rows.append(HeldOut(point, told.ttft_s, told.tpot_s))
    return Choice(config.name, number, tuple(points), tuple(rows))


def errors_of(choices: Sequence[Choice]) -> Errors:
    """Errors of all points that were held out."""
    rows = [row for choice in choices for row in choice.held_out]
    ttft = np.array([abs(row.ttft_s / (row.point.ttft_s or np.nan) - 1) for row in rows])
    tpot = np.array([abs(row.tpot_s / (row.point.tpot_s or np.nan) - 1) for row in rows])
    return Errors(len(rows), float(tpot.mean()), float(np.median(tpot)), float(np.median(ttft)))


def usable(configs: Sequence[Config]) -> list[Config]:
    """Those with points to calibrate and at least two to predict."""
    return [config for config in configs if len(config.points) > POINTS + 1]


def all_choices(path: Path = FILE, choices: int = CHOICES) -> list[Choice]:
    """Every usable configuration of a table, calibrated with so many choices of points."""
    pairs = [(config, number) for config in usable(read_sweep(path)) for number in range(choices)]
    with ProcessPoolExecutor(2) as workers:
        return list(workers.map(predicted, *zip(*pairs, strict=True), chunksize=4))


def by_choice(choices: Sequence[Choice]) -> list[Errors]:
    """Errors over all configurations, by the number of the choice."""
    numbers = sorted({choice.number for choice in choices})
    return [errors_of([choice for choice in choices if choice.number == number]) for number in numbers]


def row(path: Path = FILE) -> Row:
    """The line of the table of checks: the first choice, and the range over the others."""
    if not path.exists():
        return Row("five points, rest of the sweeps", GOAL, "", None, f"{path} is not there")
    found = by_choice(all_choices(path))
    first = found[0]
    met = first.tpot_mape <= 0.06 and first.tpot_median <= 0.04 and first.ttft_median <= 0.2
    parts = [
        f"{title} {getattr(first, name):.1%} ({min(values):.1%} to {max(values):.1%})"
        for title, name in (
            ("TPOT MAPE", "tpot_mape"),
            ("median", "tpot_median"),
            ("TTFT median", "ttft_median"),
        )
        for values in [[getattr(each, name) for each in found]]
    ]
    note = f"{first.points} held-out points; in brackets {len(found)} choices of the calibrated points"
    return Row("five points of each configuration, the rest of its sweep", GOAL, ", ".join(parts), met, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--choices", type=int, default=CHOICES)
    given = parser.parse_args()
    choices = all_choices(given.file, given.choices)
    for name in dict.fromkeys(choice.config for choice in choices):
        print(f"{name:55} {errors_of([choice for choice in choices if choice.config == name])}")
    for number, found in enumerate(by_choice(choices)):
        print(f"{f'all, choice {number}':55} {found}")


if __name__ == "__main__":
    main()
