"""Flags of other tools that change what another of their flags means here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from inferometer.errors import UsageError
from inferometer.spec.lengths import MOST_TOKENS, Fixed, Normal, Uniform, around, parse_dist

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
    _spread(done, "--input-dist", "--input-len")
    _spread(done, "--output-dist", "--output-len")
    _prefix(done)
    _per_group(done)


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
    if len(group.values) != 1 or not group.values[0].isdecimal():
        raise UsageError(f"{name} {' '.join(group.values)}: it takes one whole number", f"write {name} N")
    _drawn(done, name)
    longer = _longer(done, name, int(group.values[0]))
    done.hints.append(
        f"{name} {group.values[0]} is --prefix-len {group.values[0]} {longer} here: "
        "the prefix is part of the prompt's length"
    )


def _drawn(done: Translation, name: str) -> None:
    """A ratio as the distributions that it means, so that a prefix can be added to one of them alone."""
    ratio, meaning = _group(done, "--range-ratio"), _group(done, "--range-ratio-as")
    if ratio is None:
        return
    sides = {side: _group(done, f"--{side}-len") for side in ("input", "output")}
    share = re.fullmatch(r"0?\.[0-9]+|[01](\.0*)?", " ".join(ratio.values))
    for side, group in sides.items():
        numbers = [] if group is None else _whole_numbers(group)
        if group is None or share is None or len(numbers) != 1:
            raise UsageError(
                f"{name} adds to lengths that are drawn, of which --prefix-len is a part here",
                "write one --input-len N, one --output-len N and a --range-ratio from 0 to 1; or --prefix-len N and "
                "--input-dist DIST for the whole prompt",
            )
        found = around(numbers[0], float(share[0]), meaning.values[-1] if meaning else "vllm")
        done.groups[done.groups.index(group)] = replace(
            group, name=f"--{side}-dist", values=[f"uniform:min={found.low},max={found.high}"]
        )
    done.groups = [each for each in done.groups if each is not ratio and each is not meaning]
    done.hints.append(
        f"{done.spelled.get('--range-ratio', '--range-ratio')} {' '.join(ratio.values)} is --input-dist and "
        "--output-dist here: a prefix comes before what it draws"
    )


def _longer(done: Translation, name: str, prefix: int) -> str:
    """The flag of the prompts' lengths, with a prefix added to what it says."""
    lengths, dist = _group(done, "--input-len"), _group(done, "--input-dist")
    if dist is not None and len(dist.values) == 1:
        dist.values = [_shifted(dist.values[0], prefix)]
        return f"--input-dist {dist.values[0]}"
    numbers = _whole_numbers(lengths) if lengths is not None else []
    if lengths is None or not numbers:
        raise UsageError(
            f"{name} adds to the length of prompts, which --prefix-len is a part of here, and that length is "
            f"{'not given' if lengths is None else 'no whole number'}",
            "write --prefix-len N and, for the whole prompt, --input-len N or --input-dist DIST",
        )
    lengths.values = [str(number + prefix) for number in numbers]
    return f"--input-len {' '.join(lengths.values)}"


def _shifted(text: str, prefix: int) -> str:
    """A distribution of lengths with a prefix before each: ``normal`` and ``uniform`` move as a whole."""
    dist = parse_dist("--input-dist", text)
    if isinstance(dist, Normal):
        bounds = f",max={dist.high + prefix}" if dist.high < MOST_TOKENS else ""
        return f"normal:mean={dist.mean + prefix:g},std={dist.std:g},min={dist.low + prefix}{bounds}"
    if isinstance(dist, Fixed):
        return f"fixed:{dist.low + prefix}"
    if isinstance(dist, Uniform):
        return f"uniform:min={dist.low + prefix},max={dist.high + prefix}"
    raise UsageError(
        f"a prefix cannot be added to --input-dist {text}",
        "write --prefix-len N, and --input-dist for the whole prompt",
    )


def _whole_numbers(group: Group) -> list[int]:
    """The numbers of a list; none where one of its words is no whole number."""
    words = [word for value in group.values for word in value.replace(",", " ").split()]
    return [int(word) for word in words] if all(word.isdecimal() for word in words) else []


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
