"""Priors alone, nothing measured: time per output token of published sweeps at concurrencies up to 8.

    cd bench && python -m sim.uncalibrated [FILE]

There a step is a decode of all streams, so the prediction is one step in the middle of the answers. Sizes of the models
are those of their published config.json; models that ``published_model`` does not know are left out.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inferometer.models.asked import Asked
from inferometer.models.config import ModelConfig
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.devices import device
from inferometer.simulator.latency.experts import step_model
from inferometer.simulator.latency.facts import facts_of
from inferometer.simulator.latency.published import published_model
from inferometer.simulator.latency.roofline import Placement, priors, touched_experts

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "sweeps" / "measured_serving_sweeps.csv"
_MOST_STREAMS = 8


# The file's names of number formats, where they are not those of engines' flags; gpt-oss is published in MXFP4 alone.
_FORMATS = {"nvfp4": "mxfp4", "": None}


class Errors(NamedTuple):
    """Mean relative error, with and without sign, over the points of one model, system, engine and parallelism."""

    name: str
    points: int
    bias: float
    error: float


def prior_errors(path: Path = FILE) -> list[Errors]:
    """Errors of the configurations whose model and device are known here."""
    found: dict[str, list[float]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            streams = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
            sizes = published_model(row["model_path"])
            if streams and sizes and int(streams[1]) <= _MOST_STREAMS:
                name = "{model_path} {system} {backend} TP{tp_size}".format(**row)
                predicted_ms = 1e3 * _token_s(row, sizes, int(streams[1]))
                found[name].append(predicted_ms / float(row["silicon_tpot_ms"]) - 1.0)
    return [
        Errors(name, len(errors), float(np.mean(errors)), float(np.mean(np.abs(errors))))
        for name, errors in sorted(found.items())
    ]


def _token_s(row: Mapping[str, str], sizes: ModelConfig, streams: int) -> float:
    quantization = _FORMATS.get(row["gemm_quant_mode"], row["gemm_quant_mode"])
    facts = facts_of(sizes, Asked(quantization=quantization))
    place = Placement(tensor_parallel=int(row["tp_size"]))
    model = step_model(priors(facts, device(row["system"]), place), touched_experts(facts))
    context = int(row["isl"]) + int(row["osl"]) / 2
    return model.step_s(StepShape(streams, streams, round(streams * context), 0.0, 0, streams))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    for each in prior_errors(parser.parse_args().file):
        print(f"{each.name:55} {each.points:3} points  bias {each.bias:+7.1%}  error {each.error:6.1%}")


if __name__ == "__main__":
    main()
