"""Kinds of values that fields of the spec have: what is accepted, in which text forms, and their JSON Schema."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
)

from inferometer.spec.fields import (
    as_api_key,
    as_header,
    as_instances,
    as_list,
    as_proxy,
    as_rate,
    as_seconds,
    as_steady_window,
    as_texts,
    as_workers,
)

_TEXT: dict[str, Any] = {"type": "string"}


def _several(item: dict[str, Any]) -> WithJsonSchema:
    """JSON Schema of a field that takes one value, a text of several, or a list of both."""
    one = [item] if item == _TEXT else [item, _TEXT]
    return WithJsonSchema({"anyOf": [*one, {"type": "array", "items": {"anyOf": one}}]})


def finite(value: float) -> float:
    """The value itself; ValueError for an infinite one or NaN."""
    if not math.isfinite(value):
        raise ValueError("it has to be a finite number")
    return value


PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveNumber = Annotated[float, AfterValidator(finite), Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[
    float,
    AfterValidator(finite),
    BeforeValidator(as_seconds),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}),
]
Rate = Annotated[float, BeforeValidator(as_rate)]
Burstinesses = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "inf"}]}),
]
Percent = Annotated[float, Field(gt=0, lt=100)]
Ints = Annotated[
    tuple[PositiveInt, ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several({"type": "integer", "minimum": 1}),
]
Rates = Annotated[
    tuple[Rate, ...], Field(min_length=1), BeforeValidator(as_list), _several({"type": "number"})
]
Percents = Annotated[
    tuple[Percent, ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}),
]
SteadyWindow = Annotated[str, BeforeValidator(as_steady_window)]
ApiKey = Annotated[SecretStr, BeforeValidator(as_api_key)]
ProxyAddress = Annotated[SecretStr, BeforeValidator(as_proxy)]
Header = Annotated[str, BeforeValidator(as_header)]
Workers = Annotated[
    int | Literal["auto"],
    BeforeValidator(as_workers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]
Shares = Annotated[
    tuple[Share, ...], BeforeValidator(as_list), _several({"type": "number", "minimum": 0, "maximum": 1})
]
Instances = Annotated[
    tuple[Annotated[int | str, BeforeValidator(as_instances)], ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^auto(:[0-9]+)?$"}]}
    ),
]
Headers = Annotated[tuple[Header, ...], BeforeValidator(as_texts), _several(_TEXT)]
Texts = Annotated[tuple[str, ...], BeforeValidator(as_texts), _several(_TEXT)]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
