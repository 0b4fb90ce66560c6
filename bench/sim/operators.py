"""Operator tables: times of a model's linear layers over the number of tokens, as Vidur's profiler writes them.

    cd bench && python -m sim.operators [FILE ...]

A file holds one or several series (one for each model and number of tensor-parallel workers). The curve of each is
fitted to the calibrated part alone. Two hold-outs: every fifth number of tokens, and all beyond half of the largest,
which the curve has to extrapolate to twice what it saw.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inferometer.errors import DataError
from inferometer.simulator.latency.curve import fit_curve
from sim.row import Row

Floats = npt.NDArray[np.float64]
FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "ops" / "a100_llama3-8b_mlp.csv"
_PREFIX, _SUFFIX = "time_stats.", ".median"
_TOKENS = "num_tokens"
_FOLDS = 5


class Series(NamedTuple):
    """One model on so many workers: seconds of one layer by number of tokens, ascending."""

    name: str
    tokens: Floats
    seconds: Floats


class Errors(NamedTuple):
    """Mean absolute relative errors of one series."""

    name: str
    interior: float
    doubled: float


def read_series(path: Path) -> list[Series]:
    """The series of a table: rows with the same values in all columns that are neither times nor tokens.

    Raises:
        DataError: no column of tokens or of times.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    times = [
        name for name in (rows[0] if rows else ()) if name.startswith(_PREFIX) and name.endswith(_SUFFIX)
    ]
    if not times or _TOKENS not in rows[0]:
        raise DataError(f"{path} is no operator table: it lacks {_TOKENS} or {_PREFIX}NAME{_SUFFIX}")
    kinds = [name for name in rows[0] if not name.startswith(_PREFIX) and name != _TOKENS]
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        # A model that lacks an operator has an empty cell or nan there.
        took_s = sum(took for took in (float(row[name] or "nan") for name in times) if isfinite(took)) / 1e3
        if took_s > 0.0 and float(row[_TOKENS]) >= 1.0:
            series = found.setdefault(" ".join(row[kind] for kind in kinds if row[kind]), {})
            series.setdefault(int(float(row[_TOKENS])), []).append(took_s)
    return [
        Series(
            f"{path.stem}: {name}",
            np.asarray(sorted(points), dtype=np.float64),
            np.asarray([np.median(points[tokens]) for tokens in sorted(points)], dtype=np.float64),
        )
        for name, points in found.items()
    ]


def errors_of(series: Series) -> Errors:
    """Both hold-outs of one series."""
    index = np.arange(len(series.tokens))
    seen = index % _FOLDS != _FOLDS // 2
    small = series.tokens <= series.tokens.max() / 2
    return Errors(series.name, _error(series, seen), _error(series, small))


def _error(series: Series, seen: npt.NDArray[np.bool_]) -> float:
    curve = fit_curve(series.tokens[seen], series.seconds[seen])
    predicted = curve.seconds(series.tokens[~seen])
    return float(np.abs(predicted / series.seconds[~seen] - 1.0).mean())


def operator_errors(paths: Sequence[Path]) -> list[Errors]:
    """Errors of all series of all files."""
    return [errors_of(series) for path in paths for series in read_series(path)]


def row(paths: Sequence[Path] = (FILE,)) -> Row:
    """The line of the table of checks."""
    check, goal = "operators at twice the calibrated tokens", "<= 5 % mean"
    if not all(path.exists() for path in paths):
        return Row(check, goal, "", None, f"{FILE.name} is not there")
    found = operator_errors(paths)
    doubled = float(np.mean([each.doubled for each in found]))
    interior = float(np.mean([each.interior for each in found]))
    return Row(check, goal, f"{doubled:.2%}; inside {interior:.2%}", doubled <= 0.05, f"{len(found)} series")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, default=[FILE])
    found = operator_errors(parser.parse_args().files)
    for each in found:
        print(f"{each.name:60} interior {each.interior:6.2%}  twice the tokens {each.doubled:6.2%}")
    print(
        f"{'mean of ' + str(len(found)):60} interior {np.mean([each.interior for each in found]):6.2%}"
        f"  twice the tokens {np.mean([each.doubled for each in found]):6.2%}"
    )


if __name__ == "__main__":
    main()
