"""Rules of generated data: lengths that contradict each other, prefixes that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.spec.data import TRACES, Prefix, Workload
from inferometer.spec.kinds import Part
from inferometer.spec.lengths import length_plan, plan_trouble
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem

_LEAST_PREFIX = 2  # tokens: one that tells the prefixes apart, and the line break after it


def synthetic_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in lengths, text and prefixes. Reads a file that ``--lengths`` names."""
    data = spec.workload
    if data.dataset == "random":
        yield from _lengths(spec)
        yield from _text(spec)
    yield from _prefix(spec)


def _lengths(spec: RunSpec) -> Iterator[Problem]:
    data = spec.workload
    given = [name for name in ("lengths", "input_dist", "output_dist", "range_ratio") if getattr(data, name)]
    for name, others in (
        ("lengths", ("input_dist", "output_dist", "range_ratio", "input_len", "output_len")),
        ("input_dist", ("range_ratio", "input_len")),
        ("output_dist", ("range_ratio", "output_len")),
    ):
        for other in (other for other in others if name in given and _given(data, other)):
            yield Problem(f"{_flag(name)} and {_flag(other)} both set lengths", "keep one of them")
    if spec.sampling.max_tokens is not None and {"lengths", "output_dist", "range_ratio"} & set(given):
        yield Problem(
            f"--max-tokens {spec.sampling.max_tokens} would replace the answer lengths that "
            f"{_flag(given[0])} asks for",
            "drop --max-tokens",
        )
    if spec.sessions.turn_input_len and (data.lengths or data.input_dist):
        yield Problem(
            f"--turn-input-len fixes the prompts of later turns, and {_flag(given[0])} makes them vary",
            "drop --turn-input-len",
        )
    if data.range_ratio is None and _given(data, "range_ratio_as"):
        yield Problem("--range-ratio-as says what --range-ratio means, and that is not given", "drop it")
    if data.range_ratio == 1 and data.range_ratio_as == "vllm":
        yield Problem("--range-ratio 1 as vLLM means it allows prompts of no token", "give less than 1")
    trouble = plan_trouble(data)
    if trouble is not None:
        yield Problem(trouble.message, trouble.next_step or "check it")


def _text(spec: RunSpec) -> Iterator[Problem]:
    if spec.workload.text != "token-ids":
        return
    if spec.workload.tokenizer in ("builtin", "none"):
        yield Problem(
            "--text token-ids needs a vocabulary, and the builtin tokenizer is an estimate without one",
            "give the model's own: --tokenizer PATH/tokenizer.json",
        )
    if spec.endpoint.backend == "openai-chat":
        yield Problem("--text token-ids cannot be sent as chat messages", "use --backend openai-completions")


def _prefix(spec: RunSpec) -> Iterator[Problem]:
    part, data = spec.prefix, spec.workload
    if part.prefix_popularity == "uniform" and _given(part, "prefix_zipf"):
        yield Problem("--prefix-zipf is for --prefix-popularity zipf", "add it, or drop --prefix-zipf")
    if not part.prefix_len:
        for name in ("prefix_groups", "prefix_popularity", "prefix_share", "prefix_warm"):
            if _given(part, name):
                yield Problem(
                    f"{_flag(name)} is given, but no prompt shares a prefix",
                    "give --prefix-len N, or drop it",
                )
        return
    if part.prefix_len < _LEAST_PREFIX:
        yield Problem(
            f"--prefix-len {part.prefix_len} is below {_LEAST_PREFIX}", f"give {_LEAST_PREFIX} or more"
        )
    if data.dataset in TRACES:
        yield Problem(
            f"--prefix-len puts text before prompts, and --dataset {data.dataset} shares what was recorded as shared",
            "drop it",
        )
    if data.dataset == "random" and plan_trouble(data) is None:
        yield from _too_long(part, data)


def _too_long(part: Prefix, data: Workload) -> Iterator[Problem]:
    shortest = length_plan(data, min(data.input_len), 1).shortest_input
    if part.prefix_len >= shortest:
        yield Problem(
            f"--prefix-len {part.prefix_len} leaves nothing of a prompt of {shortest} tokens, of which it is a part",
            "lower it, or give longer prompts (min=N of a distribution)",
        )


def _given(part: Part, name: str) -> bool:
    default = type(part).model_fields[name].default
    return name in part.model_fields_set and getattr(part, name) != default


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
