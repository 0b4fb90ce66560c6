"""Tests that communities have agreed on, as values under whatever else is given: ``--preset NAME``."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from inferometer.errors import UsageError
from inferometer.spec.layers import Layer


@dataclass(frozen=True)
class Preset:
    """One test of a published document.

    Attributes:
        text: what it measures, in one line.
        source: the command line that it stands for, as its document writes it.
        values: by dotted name; flags, environment and file win over them.
        needs: flags that it cannot do without, for the command line that is shown.
        then: command lines that complete the test where one run cannot hold it.
        notes: what differs from the source, one line each.
    """

    text: str
    source: str
    values: Mapping[str, Any]
    needs: str = "--url URL"
    then: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


_FILE = "--url URL --dataset-path FILE"
_WAVES = "as there, each epoch waits for its slowest request; --no-waves keeps the concurrency full instead"
_TOGETHER = "prompt + answer above the limit: the row is left out, where the script shortens the answer"
_FRESH = (
    "the script draws from the whole file anew at each rate; here rows are fresh as long as the file lasts"
)
_GUIDE = (
    "inferometer run --preset guide-alpaca --url URL --dataset-path alpaca_data.json",
    "inferometer run --preset guide-sharegpt --url URL --dataset-path ShareGPT_V3_unfiltered_cleaned_split.json",
)
_GUIDE_RATES = (0.05, 1.0, 2.0, 4.0, 8.0, 10.0, 20.0, 30.0)
_SERVING: Mapping[str, Any] = {
    "load.request_rate": _GUIDE_RATES,
    "load.warmup": 256,
    "sweep.pause_s": 60.0,
    "sampling.ignore_eos": True,
    "workload.on_bad_row": "skip",
    "workload.oversample": True,
}
_PARALLEL: Mapping[str, Any] = {
    "load.max_concurrency": (1, 2, 4, 8),
    "load.pair": "matrix",
    "shape.waves": True,
    "sweep.pause_s": 10.0,
}

PRESETS: Mapping[str, Preset] = {
    "static": Preset(
        "fixed concurrency, prompt and answer length: concurrency x pairs of lengths, 10 epochs (Ascend guide)",
        "python benchmark_parallel.py --epochs 10 --parallel-num 1 2 4 8 --output-tokens 256 256 "
        "--prompt-tokens 1024 2048",
        {
            **_PARALLEL,
            "sweep.epochs": 10,
            "workload.input_len": (1024, 2048),
            "workload.output_len": (256,),
        },
        notes=(_WAVES,),
    ),
    "dynamic": Preset(
        "request rates with exponential gaps over your own prompts, up to where latency grows (Ascend guide)",
        "python benchmark_serving.py --dataset custom_datasets.json --dataset-type custom --request-rate 0.01 1 2 4 8 "
        "10 20 --num-prompts 10 1000 1000 1000 1000 1000 1000 --max-tokens 4096 --max-prompt-tokens 3768",
        {
            **_SERVING,
            "load.request_rate": (0.01, 1.0, 2.0, 4.0, 8.0, 10.0, 20.0),
            "load.num_prompts": (10, 1000, 1000, 1000, 1000, 1000, 1000),
            "workload.dataset": "custom",
            "workload.column": ("prompt=input", "output=output"),
            "workload.max_prompt_tokens": 3768,
            "workload.max_model_len": 4096,
        },
        _FILE,
        notes=(_TOGETHER, _FRESH),
    ),
    "guide": Preset(
        "the static half of the Ascend guide's combined test: 512/256 and 1024/256 tokens, 5 epochs",
        "python benchmark.py (its benchmark_parallel sheet)",
        {
            **_PARALLEL,
            "sweep.epochs": 5,
            "workload.input_len": (512, 1024),
            "workload.output_len": (256,),
        },
        then=_GUIDE,
        notes=("one run holds one data set, so the combined test is three runs", _WAVES),
    ),
    "guide-alpaca": Preset(
        "the Alpaca half of the Ascend guide's combined test: rates 0.05 to 30",
        "python benchmark.py (its benchmark_serving sheet, alpaca)",
        {
            **_SERVING,
            "load.num_prompts": (6, 100, 1000, 1000, 1000, 1000, 1000, 1000),
            "workload.dataset": "alpaca",
            "workload.max_prompt_tokens": 900,
            "workload.max_model_len": 1024,
        },
        _FILE,
        notes=(_TOGETHER, _FRESH),
    ),
    "guide-sharegpt": Preset(
        "the ShareGPT half of the Ascend guide's combined test: rates 0.05 to 30",
        "python benchmark.py (its benchmark_serving sheet, sharegpt)",
        {
            **_SERVING,
            "load.num_prompts": (6, 1000, 1000, 1000, 1000, 1000, 1000, 1000),
            "workload.dataset": "sharegpt",
            "workload.sharegpt_max_input": 900,
            "workload.sharegpt_max_total": 1024,
        },
        _FILE,
        notes=(_TOGETHER, _FRESH),
    ),
    "lmdeploy-deepseekv3": Preset(
        "2,048 tokens in, 1,024 to 32,768 out, all requests at once (LMDeploy, DeepSeek-V3)",
        "python3 benchmark/profile_restful_api.py --backend lmdeploy --dataset-name random --num-prompts 10000 "
        "--random-input-len 2048 --random-output-len 1024 (then 2048 4096 8192; 16384 and 32768 with 2000 prompts)",
        {
            "load.request_rate": (float("inf"),),
            "load.num_prompts": (10000, 10000, 10000, 10000, 2000, 2000),
            "workload.input_len": (2048,),
            "workload.output_len": (1024, 2048, 4096, 8192, 16384, 32768),
            "workload.range_ratio": 0.0,
            "workload.range_ratio_as": "sglang",
        },
        "--url URL --nodes-served 2",
        notes=(
            "lengths are uniform from 1 to those named, the script's default of --random-range-ratio 0; "
            "its tables show that: per-node input and output are not exactly in the ratio of the lengths",
            "10,000 connections need as many file descriptors: ulimit -n, or --workers N",
        ),
    ),
    "speculative": Preset(
        "acceptance of drafted tokens on HumanEval's prompts, one request at a time (Ascend guide)",
        "python speculative_benchmark_parallel.py --dataset human-eval-v2-20210705.jsonl --num-prompts 80 "
        "--output_len 1024",
        {
            "load.max_concurrency": (1,),
            "load.num_prompts": (80,),
            "workload.dataset": "humaneval",
            "workload.output_len": (1024,),
            "output.table": "guide",
        },
        _FILE,
        notes=(
            "acceptance comes from the engine's counters; --num-speculative-tokens N where it has none",
            "answers end where the model ends them, at 1,024 tokens at the latest",
        ),
    ),
    "speed": Preset(
        "one request at a time, prompts of 1 to 129,024 tokens, 2,048 out, three rounds (EvalScope, Qwen2.5)",
        "evalscope perf --parallel 1 --max-tokens 2048 --min-tokens 2048 --dataset speed_benchmark (and "
        "speed_benchmark_long)",
        {
            "endpoint.backend": "openai-completions",
            "load.max_concurrency": (1,),
            "load.num_prompts": (1,),
            "load.warmup": 1,
            "sweep.repeat": 3,
            "workload.input_len": (1, 6144, 14336, 30720, 63488, 129024),
            "workload.output_len": (2048,),
        },
        notes=(
            "a server of a shorter context refuses the longest prompts: --input-len 1 6144 14336 30720",
            "a prompt of one token cannot be fresh: the server's prefix cache may know it",
        ),
    ),
}

# What of a preset is dropped when a stronger place gives one of these: it was made for the preset's own value.
_GIVES_WAY: Mapping[str, tuple[str, ...]] = {
    "load.request_rate": ("load.num_prompts",),
    "load.max_concurrency": ("load.num_prompts",),
    "load.duration_s": ("load.num_prompts", "sweep.epochs"),
    "load.num_prompts": ("sweep.epochs",),
    "sweep.epochs": ("load.num_prompts",),
    "workload.lengths": (
        "workload.input_len", "workload.output_len", "workload.range_ratio", "workload.range_ratio_as",
    ),
    "workload.input_dist": ("workload.input_len", "workload.range_ratio", "workload.range_ratio_as"),
    "workload.output_dist": ("workload.output_len", "workload.range_ratio", "workload.range_ratio_as"),
    "workload.dataset": (
        "workload.input_len", "workload.output_len", "workload.range_ratio", "workload.range_ratio_as",
        "workload.column", "workload.max_prompt_tokens", "workload.sharegpt_max_input", "workload.sharegpt_max_total",
    ),
}  # fmt: skip
# A limit on the concurrency of given rates replaces nothing.
_ONLY_WHERE_REPLACED = ("load.request_rate", "load.max_concurrency")


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none; the message suggests the nearest one.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, list(PRESETS), n=1)
    step = f"did you mean {near[0]}?" if near else f"known: {', '.join(PRESETS)}"
    raise UsageError(f"unknown preset {name!r}", f"{step} (inferometer config presets)")


def preset_layer(name: str, given: Collection[str]) -> Layer:
    """The values of a preset, as the weakest layer above the defaults.

    Args:
        name: of the preset.
        given: dotted names that stronger layers give; what was made for the preset's own value of one of these is
            left out with it (the request counts of its rates, when other rates are given).

    Raises:
        UsageError: no such preset.
    """
    values = dict(find_preset(name).values)
    for dotted, dropped in _GIVES_WAY.items():
        if dotted in given and (dotted in values or dotted not in _ONLY_WHERE_REPLACED):
            for each in dropped:
                values.pop(each, None)
    if "workload.output_len" in given and _paired(values, "workload.output_len", "load.num_prompts"):
        del values["load.num_prompts"]
    return Layer(values, dict.fromkeys(values, f"preset {name}"))


def _paired(values: Mapping[str, Any], one: str, other: str) -> bool:
    """Whether both are lists of which the first values belong together, and so on."""
    lengths = {len(value) if isinstance(value := values.get(name), tuple) else 1 for name in (one, other)}
    return len(lengths) == 1 and lengths != {1}
