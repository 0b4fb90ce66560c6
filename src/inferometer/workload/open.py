"""From the spec to a data set, by name."""

from __future__ import annotations

from typing import cast

from inferometer.registry import Registry
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.request import Dataset, Tokenizer

DATASETS = Registry(
    "data set",
    {
        "random": "inferometer.workload.random_text:open_random",
        "sharegpt": "inferometer.workload.sharegpt:open_sharegpt",
        "openqa": "inferometer.workload.openqa:open_openqa",
    },
    group="inferometer.datasets",
)


def open_dataset(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> Dataset:
    """The data set that ``spec`` names, for one load point.

    A target of the registry is a function with these three parameters that returns a Dataset.

    Args:
        spec: ``workload`` gives name, file and filters; ``trace`` and ``sessions`` are for data that has them.
        point: its ``input_len`` and ``output_len`` are the ones of this load.
        tokenizer: counts and, for random text, shapes the prompts.

    Raises:
        UsageError: unknown name, a file that is missing from the flags, or one too many.
        DataError: the file is missing, empty or broken.
    """
    return cast("Dataset", DATASETS.get(spec.workload.dataset)(spec, point, tokenizer))
