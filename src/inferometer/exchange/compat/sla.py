"""EvalScope's ``--sla-*`` flags, as ``inferometer search`` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.errors import UsageError
from inferometer.exchange.compat.translate import Group, split

_NAMES = {
    "--sla-lower-bound": "--min",
    "--sla-upper-bound": "--max",
    "--sla-num-runs": "--repeat",
    "--sla-fixed-parallel": "--max-concurrency",
}
_VARIABLES = {"parallel": "max-concurrency", "rate": "request-rate"}
_METRICS = {"ttft": "ttft", "tpot": "tpot", "latency": "e2el"}
_PEAKS = {"tps": "output-throughput", "rps": "request-throughput"}
_ALL_SUCCEED = "failed<=0"
_EXAMPLE = """write --sla-params '[{"p99_ttft": "<=500ms"}]', or --slo "p99_ttft<=500ms\""""


def translated(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line of ``search`` without EvalScope's names, and what they are called here.

    There the number in flight is varied unless said otherwise, and a load at which one request fails is not good.

    Raises:
        UsageError: a value that means nothing here, or that EvalScope's versions read differently.
    """
    if not any(word.startswith("--sla-") for word in argv):
        return list(argv), []
    words: list[str] = []
    hints: list[str] = []
    groups = split(argv)
    names = {group.name for group in groups}
    if "--sla-params" in names and not names & {"--sla-variable", "--search"}:
        groups.append(Group("--sla-variable", ["parallel"]))
    for group in groups:
        ours = _ours(group)
        if ours is None:
            words += [*([group.name] if group.name else []), *group.values]
            continue
        words += ours
        told = " ".join(f'"{word}"' if re.search("[<>]", word) else word for word in ours)
        hints.append(f"{group.name} is {told} here" if ours else f"{group.name} is not needed here")
    return words, hints


def _ours(group: Group) -> list[str] | None:
    """One flag in our words; None when it is none of EvalScope's."""
    if group.name == "--sla-auto-tune":
        return []
    if group.name == "--sla-variable":
        variable = _VARIABLES.get(group.values[0] if group.values else "")
        if variable is None:
            raise UsageError(
                f"--sla-variable {' '.join(group.values)}: it is neither parallel nor rate",
                "write --search max-concurrency|request-rate",
            )
        return ["--search", variable]
    if group.name == "--sla-params":
        return [word for value in group.values for word in _limits(value)]
    if group.name == "--sla-number-multiplier":
        raise UsageError(
            "--sla-number-multiplier: how many requests a load point takes follows from its percentiles here",
            "leave it out, or give --num-prompts N",
        )
    return [_NAMES[group.name], *group.values] if group.name in _NAMES else None


def _limits(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        raise UsageError(f"--sla-params {text}: it is no JSON", _EXAMPLE) from None
    groups = found if isinstance(found, list) else [found]
    if not groups or not all(isinstance(each, dict) and each for each in groups):
        raise UsageError(f"--sla-params {text}: it is no list of objects with limits", _EXAMPLE)
    if len(groups) > 1:
        raise UsageError(
            f"--sla-params has {len(groups)} groups, one of which has to be met; here all limits have to be",
            "search once for each group",
        )
    return _peak(groups[0]) or ["--slo", *(_limit(*pair) for pair in groups[0].items()), _ALL_SUCCEED]


def _peak(group: Mapping[str, Any]) -> list[str] | None:
    (name, value), *more = group.items()
    if more or str(value).strip() != "max" or name not in _PEAKS:
        return None
    return ["--target", "peak-throughput", "--objective", _PEAKS[name]]


def _limit(name: str, value: Any) -> str:
    statistic, _, metric = name.partition("_")
    written = re.fullmatch(r"\s*(<=?)\s*([0-9.]+)\s*(ms|s)?\s*", str(value))
    if metric not in _METRICS or written is None:
        raise UsageError(
            f"--sla-params {name} {value}: a search takes upper limits on a latency",
            f"{_EXAMPLE}; for the largest throughput give --target peak-throughput",
        )
    sign, number, unit = written.groups()
    if unit is None and metric != "latency":
        raise UsageError(
            f"--sla-params {name} {value}: seconds in some versions of EvalScope, milliseconds in others",
            f"write the unit: {sign}{number}ms or {sign}{number}s",
        )
    return f"{'mean' if statistic == 'avg' else statistic}_{_METRICS[metric]}{sign}{number}{unit or 's'}"
