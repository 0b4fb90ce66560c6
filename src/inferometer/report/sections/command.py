"""The command that measures a stored run again, from its spec, without anything secret."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.spec.options import SECRET_MARK, Option, options
from inferometer.spec.stored import target_of, was_simulated

_ELSEWHERE = frozenset({"output.out", "output.ui", "output.table", "output.csv"})
_WIDTH = 88


def command_of(stored: Mapping[str, Any], listens: bool = False) -> tuple[str, tuple[str, ...]]:
    """A command line, broken over lines for reading, and the flags that were left out of it as secret.

    Args:
        stored: ``RunMeta.spec``; what this version has no flag for is left out.
        listens: the launched server listens at its ``--url`` each time; else that is where it was that time.
    """
    words, secret = [], []
    launched = dict(stored.get("launch") or {}).get("command") is not None
    for option in options().values():
        value = dict(stored.get(option.part) or {}).get(option.name, option.default)
        if launched and not listens and option.dotted == "endpoint.url":
            continue
        if option.dotted in _ELSEWHERE or value is None or _plain(value) == _plain(option.default):
            continue
        if SECRET_MARK in json.dumps(value, default=str):
            secret.append(option.flag)
        else:
            words.append(" ".join(_words(option, value)))
    return _lines(f"inferometer {_verb(stored)}", words), tuple(secret)


def _verb(stored: Mapping[str, Any]) -> str:
    if was_simulated(stored):
        return "simulate"
    return "run" if target_of(stored) is None else "search"


def _words(option: Option, value: Any) -> Iterator[str]:
    if option.shape == "switch":
        yield option.flag if value else "--no-" + option.flag.removeprefix("--")
        return
    yield option.flag
    if option.shape == "json":
        yield shlex.quote(json.dumps(value, ensure_ascii=False))
    else:
        for each in value if isinstance(value, (list, tuple)) else [value]:
            yield shlex.quote(f"{each:g}" if isinstance(each, float) else str(each))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _lines(start: str, words: list[str]) -> str:
    lines = [start]
    for word in words:
        if len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return " \\\n".join(lines)
