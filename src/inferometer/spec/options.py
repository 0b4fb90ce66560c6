"""The spec as a list of options: what flags, environment variables, file keys and error messages are made from."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from inferometer.spec.kinds import Part
from inferometer.spec.model import RunSpec

Shape = Literal["switch", "list", "texts", "json", "choice", "value"]

SECRET_MARK = "***"  # noqa: S105 - what is shown in place of a secret


@dataclass(frozen=True, slots=True)
class Option:
    """One field of the spec, as it is written outside of Python.

    Attributes:
        part: attribute of ``RunSpec`` (``load``).
        name: field of the part (``max_concurrency``).
        group: heading in help (``Load``).
        flag: canonical flag (``--max-concurrency``).
        shape: ``switch`` takes no value; ``list`` takes several, ``texts`` several that may hold commas.
        secret: never to be shown.
    """

    part: str
    name: str
    group: str
    flag: str
    text: str
    metavar: str
    advanced: bool
    shape: Shape
    choices: tuple[str, ...]
    default: Any
    secret: bool

    @property
    def dotted(self) -> str:
        """``load.max_concurrency``."""
        return f"{self.part}.{self.name}"

    @property
    def variable(self) -> str:
        """``INFEROMETER_MAX_CONCURRENCY``."""
        return "INFEROMETER_" + self.flag.removeprefix("--").replace("-", "_").upper()


@cache
def options() -> Mapping[str, Option]:
    """All options by dotted name, in the order of the spec."""
    found: dict[str, Option] = {}
    for part, part_field in RunSpec.model_fields.items():
        model = part_field.annotation
        assert isinstance(model, type)
        assert issubclass(model, Part)
        for option in part_options(part, str(part_field.title), model):
            found[option.dotted] = option
    return found


def part_options(part: str, group: str, model: type[Part]) -> list[Option]:
    """The options of one part, in the order of its fields."""
    return [_option(part, group, name, field) for name, field in model.model_fields.items()]


def _option(part: str, group: str, name: str, field: FieldInfo) -> Option:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    shape, choices, secret = _shape(field.annotation)
    return Option(
        part=part,
        name=name,
        group=group,
        flag=str(extra.get("flag") or "--" + name.replace("_", "-")),
        text=field.description or "",
        metavar=str(extra.get("metavar") or "|".join(choices)),
        advanced=bool(extra.get("advanced")),
        shape=shape,
        choices=choices,
        default=field.default,
        secret=secret or name == "header",
    )


def _shape(annotation: Any) -> tuple[Shape, tuple[str, ...], bool]:
    """Shape, choices and secrecy of a field, seen through ``Annotated`` and ``| None``."""
    while get_origin(annotation) in (Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    origin = get_origin(annotation)
    if annotation is bool:
        return "switch", (), False
    if origin is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation)), False
    if origin is tuple:
        item = get_args(annotation)[0]
        return ("texts" if item is str or get_args(item)[:1] == (str,) else "list"), (), False
    if origin is dict:
        return "json", (), False
    return "value", (), annotation is SecretStr
