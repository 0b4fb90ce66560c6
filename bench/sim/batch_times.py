"""Prompt and token times over prompt size and batch, as Splitwise's tables have them: five-fold cross validation.

    cd bench && python -m sim.batch_times [FILE]

Of each series (model, hardware, tensor parallelism) a fold leaves out whole combinations of sizes, so that no repeat
of a combination is on both sides. A few rows are those of a batch that did not fit (64 prompts in the time of 4): fits
are robust, and such a row counts in the mean error, which is why the median stands beside it. The coefficients are
those of the simulator: a decode step costs a fixed part, one for each sequence and one for each token of context; a
prefill the roofline of its tokens and the pairs of attention.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inferometer.simulator.latency.nonnegative import fit_robust
from sim.row import Row

Floats = npt.NDArray[np.float64]
FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "sweeps" / "prefill_decode_batch_times.csv"
_FOLDS = 5
_KINKS = 24


class Batch(NamedTuple):
    """One measured batch: tokens of each prompt and answer, sequences, seconds of the prompt and of each token."""

    prompt_tokens: float
    sequences: float
    output_tokens: float
    prompt_s: float
    token_s: float


class Errors(NamedTuple):
    """Mean and median absolute relative errors of one series."""

    name: str
    decode: float
    decode_median: float
    prefill: float
    prefill_median: float


def read_rows(path: Path) -> dict[str, list[Batch]]:
    """Rows of each series; of repeats the median."""
    repeats: dict[str, dict[tuple[float, float, float], list[tuple[float, float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            name = f"{row['model']} {row['hardware']} TP{row['tensor_parallel']}"
            key = (float(row["prompt_size"]), float(row["batch_size"]), float(row["token_size"]))
            took = (float(row["prompt_time"]) / 1e3, float(row["token_time"]) / 1e3)
            repeats.setdefault(name, {}).setdefault(key, []).append(took)
    return {
        name: [Batch(*key, *np.median(found, axis=0).tolist()) for key, found in sorted(series.items())]
        for name, series in repeats.items()
    }


def decode_terms(rows: list[Batch]) -> Floats:
    """Fixed, sequences, KV tokens: of an answer's middle, where the mean step is."""
    sequences = np.asarray([row.sequences for row in rows])
    context = np.asarray([row.prompt_tokens + row.output_tokens / 2 for row in rows])
    return np.stack([np.ones_like(sequences), sequences, sequences * context], axis=1)


def prefill_terms(rows: list[Batch], kink: float) -> Floats:
    """The roofline that turns compute bound at ``kink`` tokens, and query-key pairs."""
    sequences = np.asarray([row.sequences for row in rows])
    prompt = np.asarray([row.prompt_tokens for row in rows])
    return np.stack([np.maximum(kink, sequences * prompt), sequences * prompt**2 / 2], axis=1)


def _prefill_fit(rows: list[Batch]) -> tuple[float, Floats]:
    seconds = np.asarray([row.prompt_s for row in rows])
    tokens = np.asarray([row.prompt_tokens * row.sequences for row in rows])
    fits = []
    for kink in np.geomspace(tokens.min(), tokens.max(), _KINKS):
        terms = prefill_terms(rows, float(kink))
        found = fit_robust(terms, seconds)
        fits.append((float(np.abs(np.log(terms @ found / seconds)).sum()), float(kink), found))
    _, kink, found = min(fits, key=lambda fit: fit[0])
    return kink, found


def _folds(rows: list[Batch]) -> Iterator[tuple[list[Batch], list[Batch]]]:
    for fold in range(_FOLDS):
        yield (
            [row for index, row in enumerate(rows) if index % _FOLDS != fold],
            [row for index, row in enumerate(rows) if index % _FOLDS == fold],
        )


def _prompts(rows: list[Batch]) -> list[Batch]:
    """One row for each prompt size and batch: the length of the answer is nothing to the prefill."""
    return list({(row.prompt_tokens, row.sequences): row for row in rows}.values())


def errors_of(name: str, rows: list[Batch]) -> Errors:
    """Both errors of one series over five folds, which are dealt in order of size."""
    decode: list[npt.NDArray[np.float64]] = []
    prefill: list[npt.NDArray[np.float64]] = []
    for seen, held in _folds(rows):
        steps = fit_robust(decode_terms(seen), np.asarray([row.token_s for row in seen]))
        decode.append(decode_terms(held) @ steps / np.asarray([row.token_s for row in held]) - 1.0)
    for seen, held in _folds(_prompts(rows)):
        kink, prompts = _prefill_fit(seen)
        prefill.append(prefill_terms(held, kink) @ prompts / np.asarray([row.prompt_s for row in held]) - 1.0)
    decoded, prefilled = (np.abs(np.concatenate(parts)) for parts in (decode, prefill))
    return Errors(
        name,
        float(decoded.mean()),
        float(np.median(decoded)),
        float(prefilled.mean()),
        float(np.median(prefilled)),
    )


def batch_errors(path: Path = FILE) -> list[Errors]:
    """Errors of all series of a table."""
    return [errors_of(name, rows) for name, rows in read_rows(path).items()]


def row(path: Path = FILE) -> Row:
    """The line of the table of checks."""
    check, goal = "decode steps over batch and context, five folds", "MAPE <= 7 % in every series"
    if not path.exists():
        return Row(check, goal, "", None, f"{path.name} is not there")
    found = batch_errors(path)
    worst = max(found, key=lambda each: each.decode)
    prefill = float(np.median([each.prefill_median for each in found]))
    told = f"{np.mean([each.decode for each in found]):.1%}, the worst series {worst.decode:.1%}"
    note = f"{len(found)} series; prefill, where rows of batches that did not fit spoil means: median {prefill:.1%}"
    return Row(check, goal, told, worst.decode <= 0.07, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    for each in batch_errors(parser.parse_args().file):
        print(
            f"{each.name:34} decode {each.decode:6.2%} (median {each.decode_median:6.2%})"
            f"  prefill {each.prefill:6.2%} (median {each.prefill_median:6.2%})"
        )


if __name__ == "__main__":
    main()
