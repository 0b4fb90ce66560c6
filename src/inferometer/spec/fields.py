"""How a field of the spec is written: its help text, flag and group in one place, and the accepted text forms."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pydantic import Field

from inferometer.spec.url import split_proxy

PROXY_FROM_ENVIRONMENT = "env"


def option(
    default: Any,
    text: str,
    *,
    flag: str | None = None,
    metavar: str | None = None,
    advanced: bool = False,
) -> Any:
    """A spec field that is also a flag.

    Args:
        default: value when nothing is given.
        text: one line of help; also the JSON Schema description.
        flag: the canonical flag when it is not the field's name with dashes.
        metavar: what help prints for the value.
        advanced: shown by ``--help-all`` only.
    """
    extra: dict[str, Any] = {"flag": flag, "metavar": metavar, "advanced": advanced}
    return Field(default=default, description=text, json_schema_extra={k: v for k, v in extra.items() if v})


def as_list(value: Any) -> Any:
    """Space, comma and repeated lists: ``"1,4 16"``, ``["1,4", "16"]`` and ``4`` all become lists."""
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return [value]
    items: list[Any] = []
    for item in value:
        items += [part for part in re.split(r"[,\s]+", item) if part] if isinstance(item, str) else [item]
    return items


def as_texts(value: Any) -> Any:
    """One text or a list of texts; commas and spaces belong to the text."""
    return [value] if isinstance(value, str) else value


_UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def as_seconds(value: Any) -> Any:
    """A duration in seconds from ``90``, ``"90s"``, ``"5m"``, ``"1.5h"`` or ``"250ms"``."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", value.lower())
    if not match or (match[2] or "s") not in _UNITS:
        raise ValueError("a duration is written 90, 90s, 5m, 1.5h or 250ms")
    return float(match[1]) * _UNITS[match[2] or "s"]


def window_s(text: str) -> tuple[float, float]:
    """From and to, in seconds, of ``10m-15m`` or of ``10m-``, which has no end.

    Raises:
        ValueError: written otherwise, or the end is not after the beginning.
    """
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError("a window is written FROM-TO")
    begin, end = float(as_seconds(first)), float(as_seconds(last)) if last.strip() else math.inf
    if not begin < end:
        raise ValueError("a window has to end after it begins")
    return begin, end


def as_steady_window(value: Any) -> Any:
    """``auto``, ``off``, or a window of the load point such as ``10s-60s`` or ``10s-``."""
    if not isinstance(value, str) or value.strip().lower() in ("auto", "off"):
        return value.strip().lower() if isinstance(value, str) else value
    try:
        window_s(value)
    except ValueError as error:
        raise ValueError(f"{error}, such as 10s-60s; or it is auto or off") from None
    return value.strip()


def as_rate(value: Any) -> Any:
    """A request rate per second; ``inf`` and ``-1`` both mean "no pacing"."""
    rule = "a request rate is a number of requests per second above 0, or inf"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(rule) from None
    if number == -1:
        return math.inf
    if not number > 0:
        raise ValueError(rule)
    return number


def as_workers(value: Any) -> Any:
    """A number of worker processes from 1 on, or ``auto``."""
    rule = "the number of workers is a whole number from 1 on, or auto"
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]+\s*", value):
        value = int(value)
    if type(value) is not int or value < 1:
        raise ValueError(rule)
    return value


def as_instances(value: Any) -> Any:
    """A number of instances from 1 on, or ``auto``: the fewest that do, of at most 64 or, with ``auto:8``, of 8."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*auto(:[1-9][0-9]*)?\s*", value.lower())):
        return "auto" + (found[1] or "")
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]+\s*", value):
        value = int(value)
    if type(value) is not int or value < 1:
        raise ValueError("a number of instances is a whole number from 1 on, auto, or auto:N for at most N")
    return value


def as_header(value: Any) -> Any:
    """``Name: value`` from ``Name: value``, ``Name:value`` or ``Name=value`` (as vLLM and EvalScope write it).

    The error never repeats the text, because a header may hold a credential.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=]\s*([\t\x20-\x7e\xa0-\xff]*?)\s*", value)
    if not match:
        raise ValueError("a header is written 'Name: value', on one line, in Latin-1")
    return f"{match[1]}: {match[2]}"


def as_api_key(value: Any) -> Any:
    """A key without the white space around it that a file or a copy brings along.

    The error never repeats the key.
    """
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"[\x21-\x7e]+", value.strip()):
        raise ValueError("a key is one word of printable ASCII; what was given is empty or holds other signs")
    return value.strip()


def as_proxy(value: Any) -> Any:
    """The address of an HTTP proxy, or ``env``; the error never repeats it, for it may hold a password."""
    if isinstance(value, str) and value.strip() != PROXY_FROM_ENVIRONMENT:
        split_proxy(value.strip())
    return value.strip() if isinstance(value, str) else value


def as_json_object(value: Any) -> Any:
    """A mapping, or the text of a JSON object."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(parsed, dict):
        raise ValueError('it has to be a JSON object such as {"top_k": 20}')
    return parsed
