"""From the spec to a data set, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from inferometer.registry import Registry
from inferometer.spec import LoadPoint, Prefix, RunSpec
from inferometer.spec.data import TRACES
from inferometer.spec.session_rules import model_weights, parse_think_time
from inferometer.workload.images import illustrated
from inferometer.workload.model_mix import ModelMix, TraceModelMix
from inferometer.workload.request import Dataset, Tokenizer, Trace
from inferometer.workload.sessions import MadeSessions, PacedSessions

DATASETS = Registry(
    "data set",
    {
        "random": "inferometer.workload.random_text:open_random",
        "sharegpt": "inferometer.workload.sharegpt:open_sharegpt",
        "openqa": "inferometer.workload.questions:open_openqa",
        "alpaca": "inferometer.workload.questions:open_alpaca",
        "codefuse": "inferometer.workload.questions:open_codefuse",
        "longalpaca": "inferometer.workload.questions:open_longalpaca",
        "humaneval": "inferometer.workload.questions:open_humaneval",
        "mtbench": "inferometer.workload.questions:open_categories",
        "specbench": "inferometer.workload.questions:open_categories",
        "custom": "inferometer.workload.custom:open_custom",
        "line": "inferometer.workload.custom:open_line",
        **dict.fromkeys(TRACES, "inferometer.workload.traces:open_trace"),
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
    # It needs numpy, which a worker process, that reads this module too, would only carry along.
    from inferometer.workload.prefix import with_prefixes

    dataset = cast("Dataset", DATASETS.get(spec.workload.dataset)(spec, point, tokenizer))
    dataset = with_prefixes(dataset, spec, tokenizer)
    if spec.sessions.wanted:
        dataset = with_turns(dataset, spec, point, tokenizer)
    mix = model_weights(spec.workload.model_mix)
    if mix and isinstance(dataset, Trace):
        return illustrated(spec, TraceModelMix(dataset, mix))
    return illustrated(spec, ModelMix(dataset, mix) if mix else dataset)


def with_turns(dataset: Dataset, spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> Dataset:
    """Sessions: random prompts get later turns, those of a file are bounded; both get their think time."""
    sessions = spec.sessions
    if spec.workload.dataset == "random":
        dataset = MadeSessions(dataset, _later_turns(spec, point, tokenizer), sessions.turns)
    think = parse_think_time(sessions.think_time) if sessions.think_time != "0s" else None
    return PacedSessions(dataset, sessions.turns, think)


def _later_turns(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> Dataset:
    """What the user says in later turns: as the first, but of its own length if asked for, and without a prefix."""
    length = spec.sessions.turn_input_len
    if length:
        point = replace(point, input_len=length)
    alone = spec.model_copy(update={"prefix": Prefix()})
    return cast("Dataset", DATASETS.get("random")(alone, point, tokenizer))
