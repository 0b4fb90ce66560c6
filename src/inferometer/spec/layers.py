"""Where values come from: flags, environment and file laid over the defaults, with the origin of each value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from inferometer.spec.launch_rules import shown_command, shown_variable
from inferometer.spec.model import RunSpec
from inferometer.spec.options import SECRET_MARK, options
from inferometer.spec.problems import Problem, raise_problems
from inferometer.spec.url import proxy_without_user, without_credentials

NOT_OPTIONS = frozenset(
    {"INFEROMETER_DEBUG", "INFEROMETER_CACHE_DIR", "INFEROMETER_UI_TOKEN"}
)  # variables of ours that are not part of a spec


@dataclass(frozen=True)
class Layer:
    """Values from one place, by dotted name, and how that place is called for each of them."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


class Merged(NamedTuple):
    """A validated spec, and for every dotted field where its value came from."""

    spec: RunSpec
    origins: dict[str, str]


def merge(layers: Sequence[Layer]) -> Merged:
    """Lay ``layers`` (strongest first) over the defaults.

    Raises:
        UsageError: every value that is not allowed, with flag, value, origin, rule and next step.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        for dotted in _overruled(layer):
            values.pop(dotted, None)
            origins.pop(dotted, None)
        values.update(layer.values)
        origins.update(layer.origins)
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in values.items():
        part, _, name = dotted.partition(".")
        nested.setdefault(part, {})[name] = value
    spec = build(nested, origins)
    for dotted, option in options().items():
        if dotted not in origins:
            changed = getattr(getattr(spec, option.part), option.name) != option.default
            origins[dotted] = "the path in the URL" if changed else "default"
    return Merged(spec, {dotted: origins[dotted] for dotted in options()})


def _overruled(layer: Layer) -> list[str]:
    """The key of a weaker layer where this one gives it in another way; in one layer, both are a contradiction.

    Else OPENAI_API_KEY in the environment would contradict the file or the header of a command line.
    """
    file, key = "endpoint.api_key_file", "endpoint.api_key"
    headers = layer.values.get("endpoint.header") or ()
    texts = [headers] if isinstance(headers, str) else headers
    if any(str(text).lower().startswith("authorization") for text in texts):
        return [file, key]
    return [key] if file in layer.values else [file] if key in layer.values else []


def build(nested: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> RunSpec:
    """A RunSpec from plain values; the one seam where pydantic's errors become ours.

    Raises:
        UsageError: as ``merge``.
    """
    try:
        return RunSpec.model_validate(nested)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    places = [tuple(item["loc"]) for item in found]
    problems = [
        _problem(place, item["msg"], item["input"], origins or {})
        for place, item in zip(places, found, strict=True)
        if not any(other[: len(place)] == place and other != place for other in places)  # the item says more
    ]
    raise_problems(dict.fromkeys(problems))
    raise AssertionError("a ValidationError always holds an error")


def _problem(loc: tuple[int | str, ...], rule: str, given: object, origins: Mapping[str, str]) -> Problem:
    dotted = ".".join(str(step) for step in loc[:2])
    rule = rule.removeprefix("Value error, ")
    option = options().get(dotted)
    if option is None:
        if rule.startswith("Extra inputs"):
            return Problem(f"unknown key {dotted!r}", nearest(dotted, options()))
        return Problem(rule, "see `inferometer run --help`")
    shown = SECRET_MARK if option.secret else _short(given)
    origin = origins.get(dotted, "")
    place = f" (from {origin})" if origin and origin != f"flag {option.flag}" else ""
    rule = rule[:1].lower() + rule[1:]
    return Problem(
        f"{option.flag} {shown}{place}: {rule}", f"it takes {option.metavar or 'no value'}: {option.text}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """A next step for a name that is not known."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "see `inferometer config schema`"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Values of ``INFEROMETER_*``, and of ``OPENAI_API_KEY`` when ``INFEROMETER_API_KEY`` is not set."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    names = {dotted: option.variable for dotted, option in options().items()}
    if not environ.get(names["endpoint.api_key"]):
        names["endpoint.api_key"] = "OPENAI_API_KEY"
    for dotted, name in names.items():
        if environ.get(name):
            values[dotted] = environ[name]
            origins[dotted] = f"environment {name}"
    return Layer(values, origins)


def unknown_variables(environ: Mapping[str, str]) -> list[Problem]:
    """``INFEROMETER_*`` variables that mean nothing, so that a misspelt one does not go unseen."""
    known = {option.variable for option in options().values()} | NOT_OPTIONS
    strange = sorted(name for name in environ if name.startswith("INFEROMETER_") and name not in known)
    return [Problem(f"environment variable {name} is not known", nearest(name, known)) for name in strange]


def public_dict(spec: RunSpec) -> dict[str, Any]:
    """The spec as JSON values without a secret, which is shown as ``***``; infinity is "inf"."""
    plain: dict[str, Any] = {}
    for option in options().values():
        value = getattr(getattr(spec, option.part), option.name)
        if option.name == "header":
            value = [f"{header.partition(':')[0]}: {SECRET_MARK}" for header in value]
        elif option.dotted == "endpoint.endpoint" and value is not None:
            value = without_credentials(value)
        elif option.dotted == "endpoint.proxy" and value is not None:
            value = proxy_without_user(value.get_secret_value())
        elif option.dotted == "launch.command" and value is not None:
            value = shown_command(value)
        elif option.dotted == "simulation.engine_args":
            value = [shown_command(text) for text in value]
        elif option.dotted == "launch.env":
            value = [shown_variable(text) for text in value]
        elif option.secret:
            value = None if value is None else SECRET_MARK
        plain.setdefault(option.part, {})[option.name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value
