"""Command lines of engines: one table of flags says how typed settings are written and read again.

Writing and reading follow Python's argparse, which vLLM, SGLang and LMDeploy use: ``--flag value``, ``--flag=value``,
the last one of a flag given twice. What the table does not have, or has with other values, stays as it is, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, Literal

import msgspec

from inferometer.engines.engine import Settings
from inferometer.errors import UsageError

Kind = Literal["text", "texts", "count", "human", "number", "switch"]
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_WRAPPERS = frozenset({"taskset", "numactl", "nice", "ionice", "chrt", "env", "stdbuf"})
_NO_VALUE = re.compile(r"--(?:enable|disable|no|enforce|skip|use|trust|show|json|headless)(?:-|$)")
_NUMBER = re.compile(r"-\d+(?:\.\d*)?$|-\.\d+$")
_HUMAN = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG])")


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as flags of an engine.

    Attributes:
        field: of ``Settings``.
        names: all are read, the first is written.
        kind: of its value. A switch has none; ``texts`` takes several, of which the field is the first; ``human`` may
            be 4k or 4K (vLLM's ``human_readable_int``: 4,000 and 4,096).
        off: flags that say no to a switch; the first is written. Without any, no is not written.
        values: where the engine has other words for the values of the field: (of the field, of the flag).
    """

    field: str
    names: tuple[str, ...] = ()
    kind: Kind = "text"
    off: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """A command line without its program, taken apart.

    Attributes:
        fields: values of ``Settings`` by name.
        words: what stands without a flag, in order.
        extra: all flags that the table does not have, with their values.
    """

    fields: dict[str, Any]
    words: tuple[str, ...]
    extra: tuple[str, ...]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A command line whose program was recognised.

    Attributes:
        env: assignments that stand before it.
        program: up to and with the words that were recognised.
        rest: after them.
    """

    env: dict[str, str]
    program: tuple[str, ...]
    rest: tuple[str, ...]


def started(argv: Sequence[str], programs: Sequence[tuple[str, ...]]) -> Started | None:
    """Where one of ``programs`` starts in ``argv``; None if none does.

    Assignments may stand before it, as in a shell, and programs that only set a process up (taskset, numactl, nice,
    env). The first word of a program is compared without its folder, and ``python`` stands for any Python.
    """
    words = list(argv)
    env: dict[str, str] = {}
    while words and (found := _ASSIGNMENT.fullmatch(words[0])):
        env[found[1]] = found[2]
        words.pop(0)
    for start in range(len(words)):
        if start and PurePath(words[0]).name not in _WRAPPERS:
            return None
        for program in programs:
            end = start + len(program)
            if len(words) >= end and _is_program(words[start:end], program):
                return Started(env=env, program=tuple(words[:end]), rest=tuple(words[end:]))
    return None


def read(
    argv: Sequence[str], flags: Sequence[Flag], *, underscores: bool = False, model_word: bool = False
) -> Typed:
    """Take a command line without its program apart.

    Args:
        argv: after the program.
        flags: the table.
        underscores: whether ``--max_model_len`` is ``--max-model-len``.
        model_word: whether the model is a word of its own, so that an unknown flag before it may take one value only.
    """
    on = {name: flag for flag in flags for name in flag.names}
    off = {name: flag for flag in flags for name in flag.off}
    fields: dict[str, Any] = {}
    words: list[str] = []
    extra: list[str] = []
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if not _is_flag(word):
            words.append(word)
            continue
        name = word.partition("=")[0]
        if underscores and name.startswith("--"):
            name = name.replace("_", "-")
        flag = on.get(name)
        most = 1 if flag is not None and flag.kind != "texts" else 0 if _NO_VALUE.match(name) else len(queue)
        if flag is None and model_word and not words:
            most = min(most, 1)
        if name in off or (flag is not None and flag.kind == "switch"):
            most = 0
        given = [word.partition("=")[2]] if "=" in word else _values(queue, most)
        if name in off:
            fields[off[name].field] = False
        elif flag is None or not _understood(flag, given, fields):
            extra += [word, *(given if "=" not in word else [])]
    return Typed(fields=fields, words=tuple(words), extra=tuple(extra))


def flag_names(words: Sequence[str]) -> frozenset[str]:
    """The flags among ``words``, without their values, with hyphens."""
    return frozenset(word.partition("=")[0].replace("_", "-") for word in words if _is_flag(word))


def write(settings: Settings, flags: Sequence[Flag]) -> Iterator[str]:
    """The flags of everything that ``settings`` says, in the order of the table.

    Raises:
        UsageError: a value that the engine has no word for.
    """
    for flag in flags:
        value = getattr(settings, flag.field)
        if value is None:
            continue
        if flag.kind == "switch":
            yield from (flag.names if value else flag.off)[:1]
        elif flag.names:
            text = _word(flag, value)
            yield from [f"{flag.names[0]}={text}"] if text.startswith("-") else [flag.names[0], text]


def _word(flag: Flag, value: Any) -> str:
    if flag.values and value not in dict(flag.values):
        known = ", ".join(ours for ours, _ in flag.values)
        raise UsageError(f"{flag.field} {value!r} cannot be said with {flag.names[0]}", f"known: {known}")
    return dict(flag.values)[value] if flag.values else str(value)


def _values(queue: list[str], most: int) -> list[str]:
    found: list[str] = []
    while queue and len(found) < most and not _is_flag(queue[0]):
        found.append(queue.pop(0))
    return found


def _understood(flag: Flag, given: list[str], fields: dict[str, Any]) -> bool:
    """Whether the field says it all; then it is set, else the flag has to stay as it is."""
    if flag.kind == "switch":
        fields[flag.field] = not given or given[0].lower() not in ("false", "0", "no", "off")
        return True
    if not given:
        return False
    text = given[0]
    if flag.values:
        text = {theirs: ours for ours, theirs in flag.values}.get(text, "")
        if not text:
            return False
    try:
        value = _READERS[flag.kind](text)
    except ValueError:
        return False
    if flag.kind in ("count", "human") and value < 0:
        return False  # as engines write "choose yourself" (vLLM's --max-model-len -1) or "never"
    fields[flag.field] = value
    return len(given) == 1


def _human(text: str) -> int:
    found = _HUMAN.fullmatch(text)
    if found is None:
        return int(text)
    base = 1000 if found[2].islower() else 1024
    return int(float(found[1]) * base ** ("kmg".index(found[2].lower()) + 1))


_READERS: dict[Kind, Any] = {"text": str, "texts": str, "count": int, "human": _human, "number": float}


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and _NUMBER.match(word) is None


def _is_program(words: Sequence[str], program: Sequence[str]) -> bool:
    name = PurePath(words[0]).name
    same = re.fullmatch(r"python[\d.]*", name) is not None if program[0] == "python" else name == program[0]
    return same and list(words[1:]) == list(program[1:])
