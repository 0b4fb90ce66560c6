"""Rules of what is sent: options that another data set would obey must not be ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inferometer.spec.data import TRACES, Workload
from inferometer.spec.fields import window_s
from inferometer.spec.file_rules import file_problems
from inferometer.spec.image_rules import image_problems
from inferometer.spec.kinds import Part
from inferometer.spec.length_rules import synthetic_problems
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem
from inferometer.spec.session_rules import mix_problems, session_problems

GENERATED = "random"
FILE_DATASETS = (
    "sharegpt",
    "openqa",
    "alpaca",
    "codefuse",
    "longalpaca",
    "humaneval",
    "mtbench",
    "specbench",
    "custom",
    "line",
)
# Options of --dataset random alone.
_RANDOM_ONLY = ("input_len", "lengths", "input_dist", "output_dist", "range_ratio", "range_ratio_as", "text")
_PROMPT_FILTERS = ("min_prompt_length", "max_prompt_length", "max_prompt_tokens")
STDIN = "-"
HUBS = ("hf://", "modelscope://")


def data_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in the parts that say what is sent."""
    data = spec.workload
    if data.dataset == GENERATED:
        if data.dataset_path is not None:
            yield Problem(
                f"--dataset-path {data.dataset_path!r} is given, but --dataset random reads no file",
                "name its format, as --dataset sharegpt, openqa or custom",
            )
        if data.oversample:
            yield Problem(
                "--oversample uses the rows of a file again, but --dataset random makes as many as it needs",
                "drop --oversample",
            )
    elif data.dataset in (*FILE_DATASETS, *TRACES) and data.dataset_path is None:
        yield Problem(f"--dataset {data.dataset} needs a file", "give --dataset-path FILE")
    yield from _path(data)
    yield from _foreign(data)
    yield from file_problems(spec)
    yield from _parts(spec)
    yield from synthetic_problems(spec)
    yield from session_problems(spec)
    yield from mix_problems(spec)
    yield from image_problems(spec)
    low, high = data.min_prompt_length, data.max_prompt_length
    if high and low > high:
        yield Problem(f"--min-prompt-length {low} is above --max-prompt-length {high}", "exchange them")


def _path(data: Workload) -> Iterator[Problem]:
    path = data.dataset_path
    if path is None or path == STDIN or path.startswith(HUBS) or Path(path).exists():
        return
    yield Problem(f"--dataset-path {path!r} does not exist", f"check the path; it is read from {Path.cwd()}")


def _foreign(data: Workload) -> Iterator[Problem]:
    """Lengths and filters that another data set would obey, and this one would silently ignore."""
    if data.dataset != GENERATED:
        for name in (name for name in _RANDOM_ONLY if changed(data, name)):
            yield Problem(
                f"{_flag(name)} is for --dataset random; the prompts of {data.dataset} have their own lengths",
                f"drop {_flag(name)}, or use --dataset random",
            )
    filters = [
        name for name in type(data).model_fields if name.startswith("sharegpt_") and changed(data, name)
    ]
    if filters and data.dataset in {GENERATED, *FILE_DATASETS, *TRACES} - {"sharegpt"}:
        yield _filter_of("sharegpt", filters[0], data)
    filters = [name for name in _PROMPT_FILTERS if changed(data, name)]
    if filters and data.dataset in (GENERATED, "sharegpt", *TRACES):
        yield _filter_of("openqa and other files", filters[0], data)


def _filter_of(owner: str, name: str, data: Workload) -> Problem:
    instead = "use --input-len N" if data.dataset == GENERATED else f"drop {_flag(name)}"
    return Problem(f"{_flag(name)} filters --dataset {owner}, but the data set is {data.dataset}", instead)


def _parts(spec: RunSpec) -> Iterator[Problem]:
    """Parts that belong to one kind of data."""
    trace = [name for name in type(spec.trace).model_fields if changed(spec.trace, name)]
    if trace and spec.workload.dataset not in TRACES:
        yield Problem(
            f"{_flag(trace[0])} is for the replay of a trace, but the data set is {spec.workload.dataset}",
            f"drop it, or use --dataset {' or '.join(TRACES)}",
        )
    if spec.workload.dataset in TRACES:
        yield from _replay(spec)


def _replay(spec: RunSpec) -> Iterator[Problem]:
    """What a trace decides, and what its window can be."""
    own = next((name for name in ("request_rate", "max_concurrency") if getattr(spec.load, name)), None)
    if own is not None and changed(spec.trace, "trace_speed"):
        yield Problem(
            f"--trace-speed scales the recorded arrivals, but {_flag(own)} sets others",
            f"drop {_flag(own)} to replay the trace, or drop --trace-speed",
        )
    if own is None and spec.load.num_prompts is not None and len(spec.load.num_prompts) > 1:
        yield Problem(
            f"--num-prompts {' '.join(map(str, spec.load.num_prompts))} asks for several load points, and a trace "
            "has one load",
            "give one number",
        )
    if own is None and spec.workload.oversample:
        yield Problem(
            "--oversample uses rows again in any order, but a replayed trace has one",
            "replay it again: --trace-loop N",
        )
    if spec.trace.trace_window is not None:
        try:
            window_s(spec.trace.trace_window)
        except ValueError as error:
            yield Problem(
                f"--trace-window {spec.trace.trace_window!r}: {error}", "write --trace-window 10m-15m"
            )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def changed(part: Part, name: str) -> bool:
    """Whether a field was given a value that is not its default."""
    default = type(part).model_fields[name].default
    return name in part.model_fields_set and getattr(part, name) != default
