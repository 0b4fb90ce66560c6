"""The form of a new run: made from the definitions of the flags of ``inferometer run``, judged by the same rules.

Left out are options that would let a browser start programs, write files beside the runs, or read keys and
certificates: those belong to the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from inferometer.errors import InferometerError, UsageError
from inferometer.metrics.slo import parse_slos
from inferometer.spec import Layer, environment_layer, load_points, merge
from inferometer.spec.options import Option, options
from inferometer.spec.simulation_rules import refuse_simulation
from inferometer.spec.url import credentials_in
from inferometer.ui.started import Command

_OTHER_PARTS = frozenset({"launch", "search", "simulation", "cluster"})
_LEFT_OUT = frozenset(
    {
        "endpoint.api_key_file",
        "endpoint.client_cert",
        "endpoint.client_key",
        "endpoint.ca_file",
        "endpoint.template",
    }
)
_OF_OUTPUT = frozenset({"output.label", "output.keep_text"})
_ADDRESSES = ("endpoint.url", "endpoint.endpoint")  # may hold a credential in their query
_SLO: Final = "measure.slo"
YES, NO = "yes", "no"


class Group(NamedTuple):
    """The options under one heading of ``run --help``."""

    title: str
    plain: Sequence[Option]
    advanced: Sequence[Option]


class Judged(NamedTuple):
    """What a form asks for.

    Attributes:
        command: that carries it out; None when something is wrong.
        problems: by dotted name of the option, or "" where no single field is to blame: what is wrong, what to do.
    """

    command: Command | None
    problems: Mapping[str, Sequence[str]]


@cache
def groups() -> tuple[Group, ...]:
    """All that the form asks for, in the order of ``run --help``."""
    found: dict[str, tuple[list[Option], list[Option]]] = {}
    for option in options().values():
        if _is_asked(option):
            found.setdefault(option.group, ([], []))[option.advanced].append(option)
    return tuple(Group(title, plain, advanced) for title, (plain, advanced) in found.items())


def _is_asked(option: Option) -> bool:
    if option.part == "output":
        return option.dotted in _OF_OUTPUT
    return option.part not in _OTHER_PARTS and option.dotted not in _LEFT_OUT


@cache
def _asked() -> Mapping[str, Option]:
    return {option.dotted: option for group in groups() for option in (*group.plain, *group.advanced)}


def judge(form: Mapping[str, str], environ: Mapping[str, str]) -> Judged:
    """Whether a form can be carried out, by the rules of the command line.

    Args:
        form: text by dotted name; empty = not given.
        environ: variables that count beside it, as they do for a command line.
    """
    values, problems = _values(form)
    if problems:
        return Judged(None, problems)
    try:
        spec = merge(
            [
                Layer(values, {dotted: f"flag {_asked()[dotted].flag}" for dotted in values}),
                environment_layer(environ),
            ]
        ).spec
        refuse_simulation(spec, "run")
        load_points(spec)
    except InferometerError as error:
        return Judged(None, _by_field(error))
    try:
        parse_slos(spec.measure.slo)  # the command line judges them when the run begins
    except UsageError as error:
        return Judged(None, {_SLO: [str(error)]})
    return Judged(_command(values), {})


def _values(form: Mapping[str, str]) -> tuple[dict[str, object], dict[str, list[str]]]:
    """Values as flags would give them, and what cannot be one."""
    values: dict[str, object] = {}
    problems: dict[str, list[str]] = {}
    for dotted, option in _asked().items():
        text = form.get(dotted, "").replace("\r\n", "\n").strip()
        if not text:
            continue
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        if option.shape == "switch":
            values[dotted] = text == YES
        elif option.shape == "texts":
            values[dotted] = lines
            if option.secret and len(lines) > 1:
                problems[dotted] = [
                    f"{option.flag}: the form takes one; several are given on the command line"
                ]
        elif option.shape == "list":
            values[dotted] = [text]
        elif len(lines) > 1 and option.shape != "json":
            problems[dotted] = [f"{option.flag}: it is one line"]
        else:
            values[dotted] = text
    return values, problems


def _by_field(error: InferometerError) -> dict[str, list[str]]:
    """What is wrong, at the first field that is named in it."""
    told = (
        error.problems
        if isinstance(error, UsageError) and error.problems
        else ((error.message, error.next_step),)
    )
    found: dict[str, list[str]] = {}
    for message, step in told:
        found.setdefault(_field_in(message), []).append(f"{message}; {step}" if step else message)
    return found


def _field_in(message: str) -> str:
    flags = {option.flag: dotted for dotted, option in _asked().items()}
    return next((flags[word] for word in re.findall(r"--[a-z][a-z0-9-]*", message) if word in flags), "")


def _command(values: Mapping[str, object]) -> Command:
    argv, secret = ["run"], {}
    for dotted, value in values.items():
        option = _asked()[dotted]
        texts = [str(text) for text in value] if isinstance(value, list) else [str(value)]
        if option.secret or (dotted in _ADDRESSES and any(map(credentials_in, texts))):
            secret[option.variable] = texts[0]
        elif option.shape == "switch":
            argv.append(option.flag if value else "--no-" + option.flag.removeprefix("--"))
        elif option.shape in ("list", "texts"):
            argv += [word for text in texts for word in (f"{option.flag}={text}",)]
        else:
            argv.append(f"{option.flag}={texts[0]}")
    return Command(tuple(argv), secret)


def without_secrets(form: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What a form that is shown again is filled with: everything but what is secret."""
    asked = _asked()
    return {name: text for name, text in form if name in asked and not asked[name].secret}
