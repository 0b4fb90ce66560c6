"""Flags of other tools that change what another of their flags means here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.exchange.compat.translate import Group, Translation

# Peers put a prefix before prompts of the length asked for; here it is part of that length.
ADDED_PREFIXES = frozenset(
    {
        "--random-prefix-len",
        "--prefix-repetition-prefix-len",
        "--prefix-length",
        "--prefix-prompt-length",
        "--gsp-system-prompt-len",
    }
)
_PER_GROUP = "--gsp-prompts-per-group"


def combine(done: Translation) -> None:
    """Rewrite what several flags of a peer say together.

    Raises:
        UsageError: half of it is missing, or the peers mean different things by it.
    """
    _ratio(done)
    _longest(done)
    _prefix(done)
    _per_group(done)
    _spread(done, "--input-dist", "--input-len")
    _spread(done, "--output-dist", "--output-len")


def _ratio(done: Translation) -> None:
    name = done.spelled.get("--range-ratio")
    if name == "--random-range-ratio" and _group(done, "--range-ratio-as") is None:
        raise UsageError(
            f"{name} means lengths in [1-r, 1+r] in vLLM but in [r, 1] in SGLang and LMDeploy",
            "say which is meant: --range-ratio-as vllm, or --range-ratio-as sglang",
        )


def _longest(done: Translation) -> None:
    group = _group(done, "--max-tokens")
    if group and done.spelled.get("--max-tokens") == "--MaxOutputLen" and _group(done, "--lengths"):
        done.groups.remove(group)
        done.hints.append(
            "--MaxOutputLen is not needed here: synthetic data has its own lengths, as in MindIE"
        )


def _prefix(done: Translation) -> None:
    name, group = done.spelled.get("--prefix-len"), _group(done, "--prefix-len")
    if name not in ADDED_PREFIXES or group is None:
        return
    if group.values in (["0"], ["0.0"]):
        done.groups.remove(group)
        done.hints.append(f"{name} 0 is not needed here: prompts share no prefix")
        return
    dataset = _group(done, "--dataset")
    if dataset is not None and dataset.values != ["random"]:
        return
    lengths = _group(done, "--input-len")
    if lengths is None or _group(done, "--range-ratio") is not None:
        raise UsageError(
            f"{name} adds to the length of prompts, which --prefix-len is a part of here, and that length is "
            f"{'not given' if lengths is None else 'drawn'}",
            "write --prefix-len N and, for the whole prompt, --input-len N or --input-dist DIST",
        )
    numbers = [word for value in lengths.values for word in value.replace(",", " ").split()]
    if len(group.values) != 1 or not all(word.isdecimal() for word in (*group.values, *numbers)):
        raise UsageError(f"{name} {' '.join(group.values)}: it takes one whole number", f"write {name} N")
    lengths.values = [str(int(number) + int(group.values[0])) for number in numbers]
    done.hints.append(
        f"{name} {group.values[0]} is --prefix-len {group.values[0]} --input-len {' '.join(lengths.values)} here: "
        "the prefix is part of the prompt's length"
    )


def _per_group(done: Translation) -> None:
    """SGLang counts requests by group; vLLM by all."""
    counts, groups = _group(done, "--num-prompts"), _group(done, "--prefix-groups")
    if done.spelled.get("--num-prompts") != _PER_GROUP or counts is None:
        return
    numbers = [*counts.values[:1], *(groups.values[:1] if groups else ())]
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise UsageError(
            f"{_PER_GROUP} needs --gsp-num-groups N to say how many requests there are",
            "write --num-prompts N",
        )
    counts.values = [str(int(numbers[0]) * int(numbers[1]))]
    done.hints.append(f"{_PER_GROUP} is --num-prompts {counts.values[0]} here: all groups together")


def _spread(done: Translation, dist: str, length: str) -> None:
    """AIPerf's mean and deviation of a length as one distribution."""
    group, mean = _group(done, dist), _group(done, length)
    if group is None or not group.values or not group.values[0].startswith("std="):
        return
    name = done.spelled.get(dist, dist)
    if group.values[0] in ("std=0", "std=0.0"):
        done.groups.remove(group)
        done.hints.append(f"{name} 0 is not needed here: lengths are exact")
        return
    if mean is None or len(mean.values) != 1:
        raise UsageError(f"{name} needs one mean, which {length} gives", f"write {dist} normal:mean=X,std=X")
    group.values = [f"normal:mean={mean.values[0]},{group.values[0]}"]
    done.groups.remove(mean)
    done.hints.append(f"{done.spelled.get(length, length)} and {name} are {dist} {group.values[0]} here")


def _group(done: Translation, name: str) -> Group | None:
    return next((group for group in reversed(done.groups) if group.name == name), None)
