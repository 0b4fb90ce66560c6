"""Lengths as they are asked for: distributions, scenarios, files of pairs. What they mean, and nothing drawn yet."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferometer.errors import DataError, InferometerError, UsageError
from inferometer.spec.data import Workload

MOST_TOKENS = 1 << 20
_DISTS = {
    "fixed": "fixed:N",
    "uniform": "uniform:min=N,max=N",
    "normal": "normal:mean=X,std=X,min=N,max=N",
    "lognormal": "lognormal:median=X,sigma=X,min=N,max=N",
    "zipf": "zipf:alpha=X,min=N,max=N",
}
_SCENARIOS = (
    "write 'D(100,1000)', 'N(480,240)/(300,150)' or 'U(50,100)/(200,250)', or name a .csv or .json file"
)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always ``low`` tokens."""

    low: int


@dataclass(frozen=True, slots=True)
class Uniform:
    """Each whole number from ``low`` to ``high``, both included, equally often."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal deviate with these parameters, clipped to ``low`` and ``high``, then made whole.

    Attributes:
        cut: it is made whole by cutting off what follows the point, as MindIE does; else by rounding.
    """

    mean: float
    std: float
    low: int = 1
    high: int = MOST_TOKENS
    cut: bool = False


@dataclass(frozen=True, slots=True)
class LogNormal:
    """``median * exp(sigma * z)``, z standard normal, clipped to ``low`` and ``high``, then rounded."""

    median: float
    sigma: float
    low: int = 1
    high: int = MOST_TOKENS


@dataclass(frozen=True, slots=True)
class Zipf:
    """Whole numbers n from ``low`` to ``high`` with a weight of ``n ** -alpha``.

    Attributes:
        clipped: drawn from 1 on without end and then clipped, as MindIE does, so that ``low`` takes most of it.
    """

    alpha: float
    low: int
    high: int
    clipped: bool = False


Dist = Fixed | Uniform | Normal | LogNormal | Zipf


@dataclass(frozen=True, slots=True)
class LengthPlan:
    """The lengths of all prompts and answers of a load point, in tokens.

    Attributes:
        input: of prompts; a shared prefix is part of it.
        output: of answers.
        pairs: both at once, each row equally often; ``input`` and ``output`` are not looked at then.
        in_order: the pairs are taken one after the other, round and round, instead of drawn.
        requests: how many requests the plan itself asks for.
        notes: what is odd about it.
    """

    input: Dist = Fixed(1)
    output: Dist = Fixed(1)
    pairs: tuple[tuple[int, int], ...] = ()
    in_order: bool = False
    requests: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def shortest_input(self) -> int:
        """No prompt has fewer tokens."""
        return min(first for first, _ in self.pairs) if self.pairs else self.input.low


def length_plan(data: Workload, input_len: int | None, output_len: int | None) -> LengthPlan:
    """The lengths of one load point of random data.

    Args:
        data: the spec; its ``lengths``, ``input_dist``, ``output_dist`` and ``range_ratio``.
        input_len: the point's own prompt length, where it has one.
        output_len: the point's own answer length, where it has one.

    Raises:
        UsageError: a distribution that cannot be, or text that is none.
        DataError: a file that cannot be read, or a row or value of it.
    """
    if data.lengths is not None:
        return parse_lengths(data.lengths)
    return LengthPlan(
        _one_side("--input-dist", data.input_dist, input_len, data),
        _one_side("--output-dist", data.output_dist, output_len, data),
    )


def _one_side(flag: str, dist: str | None, length: int | None, data: Workload) -> Dist:
    if dist is not None:
        return parse_dist(flag, dist)
    if length is None:
        raise UsageError(
            f"neither {flag} nor {flag.replace('dist', 'len')} is given, and random data needs one of them",
            f"give {flag.replace('dist', 'len')} N",
        )
    if data.range_ratio is None:
        return Fixed(length)
    return around(length, data.range_ratio, data.range_ratio_as)


def around(length: int, ratio: float, meaning: str) -> Uniform:
    """Lengths around one, as peers mean ``--random-range-ratio``.

    vLLM: whole numbers from floor(L(1-r)) to ceil(L(1+r)). SGLang and LMDeploy: from max(int(L r), 1) to L.
    """
    if meaning == "vllm":
        return Uniform(max(1, math.floor(length * (1 - ratio))), max(1, math.ceil(length * (1 + ratio))))
    return Uniform(max(1, int(length * ratio)), length)


def parse_dist(flag: str, text: str) -> Dist:
    """A distribution from ``normal:mean=1800,std=500,min=100,max=3600`` and the like.

    Raises:
        UsageError: names the flag, the text and the rule.
    """
    name, _, rest = text.strip().partition(":")
    name = name.strip().lower()
    if name.isascii() and name.isdigit():
        name, rest = "fixed", name
    if name not in _DISTS:
        raise UsageError(
            f"{flag} {text!r}: no such distribution", f"write one of {'; '.join(_DISTS.values())}"
        )
    try:
        if name == "fixed":
            return Fixed(_whole("N", rest))
        values = _values(rest)
        dist = _BUILD[name](values)
        if values:
            raise ValueError(f"{', '.join(sorted(values))} means nothing here")
    except ValueError as error:
        raise UsageError(f"{flag} {text!r}: {error}", f"write {_DISTS[name]}") from None
    except KeyError as error:
        raise UsageError(f"{flag} {text!r}: {error.args[0]} is missing", f"write {_DISTS[name]}") from None
    return dist


def _values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = word.partition("=")
        if not equals or key.strip() in values:
            raise ValueError(f"{word!r} is not key=value" if not equals else f"{key.strip()} is given twice")
        values[key.strip()] = value.strip()
    return values


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]+\s*", text) or not 1 <= int(text) <= MOST_TOKENS:
        raise ValueError(f"{name} {text.strip()!r} is no whole number from 1 to {MOST_TOKENS}")
    return int(text)


def _real(name: str, text: str, least: float = 0.0) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} {text!r} is no number from {least:g} on")
    return value


def _bounds(values: dict[str, str]) -> tuple[int, int]:
    low = _whole("min", values.pop("min", "1"))
    high = _whole("max", values.pop("max", str(MOST_TOKENS)))
    if low > high:
        raise ValueError(f"min {low} is above max {high}")
    return low, high


def _uniform(values: dict[str, str]) -> Dist:
    for key in ("min", "max"):
        if key not in values:
            raise KeyError(key)
    return Uniform(*_bounds(values))


def _normal(values: dict[str, str]) -> Dist:
    if "std" in values and "var" in values:
        raise ValueError("std and var are the same thing twice")
    mean = _real("mean", values.pop("mean"), -math.inf)
    spread = (
        math.sqrt(_real("var", values.pop("var"))) if "var" in values else _real("std", values.pop("std"))
    )
    return Normal(mean, spread, *_bounds(values))


def _lognormal(values: dict[str, str]) -> Dist:
    if "mean" in values:
        mean, std = _real("mean", values.pop("mean"), 1e-9), _real("std", values.pop("std"))
        sigma = math.sqrt(math.log1p((std / mean) ** 2))
        return LogNormal(mean * math.exp(-sigma * sigma / 2), sigma, *_bounds(values))
    median = _real("median", values.pop("median"), 1e-9)
    return LogNormal(median, _real("sigma", values.pop("sigma")), *_bounds(values))


def _zipf(values: dict[str, str]) -> Dist:
    if "max" not in values:
        raise KeyError("max")
    return Zipf(_real("alpha", values.pop("alpha")), *_bounds(values))


_BUILD: dict[str, Callable[[dict[str, str]], Dist]] = {
    "uniform": _uniform,
    "normal": _normal,
    "lognormal": _lognormal,
    "zipf": _zipf,
}


def parse_lengths(text: str) -> LengthPlan:
    """Both lengths at once: a genai-bench scenario, a file of pairs, or MindIE's synthetic_config.json.

    Raises:
        UsageError: no scenario, and no such file.
        DataError: what is wrong in the file, with its row or key.
    """
    numbers = r"\(\s*(\d+)\s*,\s*(\d+)\s*\)"
    if match := re.fullmatch(rf"\s*D\s*{numbers}\s*", text):
        return LengthPlan(Fixed(_part(text, match[1])), Fixed(_part(text, match[2])))
    if match := re.fullmatch(rf"\s*([NU])\s*{numbers}\s*/\s*{numbers}\s*", text):
        kind, *values = match.groups()
        return LengthPlan(_scenario(text, kind, values[:2]), _scenario(text, kind, values[2:]))
    if re.match(r"\s*[A-Z]\s*\(", text):
        raise UsageError(f"--lengths {text!r} is no scenario of prompts and answers", _SCENARIOS)
    path = Path(text).expanduser()
    if not path.is_file():
        raise UsageError(f"--lengths {text!r} is neither a scenario nor a file", _SCENARIOS)
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "check --lengths") from None
    return _synthetic(path, content) if content.lstrip().startswith("{") else _csv_pairs(path, content)


def _part(text: str, value: str) -> int:
    try:
        return _whole("a length", value)
    except ValueError as error:
        raise UsageError(f"--lengths {text!r}: {error}", _SCENARIOS) from None


def _deviation(text: str, value: str) -> float:
    try:
        return _real("a deviation", value)
    except ValueError as error:
        raise UsageError(f"--lengths {text!r}: {error}", _SCENARIOS) from None


def _scenario(text: str, kind: str, values: Sequence[str]) -> Dist:
    """Genai-bench's ``N(mean,std)`` and ``U(min,max)``."""
    first, second = values
    if kind == "N":
        return Normal(_part(text, first), _deviation(text, second))
    low, high = _part(text, first), _part(text, second)
    if low > high:
        raise UsageError(f"--lengths {text!r}: {low} is above {high}", "write the smaller one first")
    return Uniform(low, high)


def _csv_pairs(path: Path, content: str) -> LengthPlan:
    """Two columns, tokens of prompt and answer; a first line of words is taken for a heading."""
    pairs: list[tuple[int, int]] = []
    for line, text in enumerate(content.splitlines(), start=1):
        cells = [cell.strip() for cell in _cells(path, line, text)]
        heading = line == 1 and not any(re.search("[0-9]", cell) for cell in cells)
        if heading or not any(cells):
            continue
        try:
            first, second = (_whole("a length", cell) for cell in cells)
        except ValueError as error:
            why = str(error) if len(cells) == 2 else f"{len(cells)} columns"
            raise DataError(f"{path}, line {line}: {why}", "write two whole numbers: prompt,answer") from None
        pairs.append((first, second))
    if not pairs:
        raise DataError(f"{path} holds no pair of lengths", "write two whole numbers a line: prompt,answer")
    return LengthPlan(pairs=tuple(pairs))


def _cells(path: Path, line: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}", "write two whole numbers: prompt,answer") from None


def _synthetic(path: Path, content: str) -> LengthPlan:
    """MindIE's configuration of synthetic data, by its own rules (see ``_method``)."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON: {error}", "compare it with MindIE's synthetic_config.json"
        ) from None
    notes: list[str] = []
    try:
        first, second = (_method(side, found[side], notes) for side in ("Input", "Output"))
        count = found.get("RequestCount", 0)
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:
            raise ValueError(f"RequestCount {count!r} is no whole number from 0 to {MOST_TOKENS}")
    except KeyError as error:
        raise DataError(f"{path}: {error.args[0]} is missing", "compare it with MindIE's format") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: {error}", "compare it with MindIE's synthetic_config.json") from None
    return LengthPlan(first, second, requests=count or None, notes=tuple(notes))


def _method(side: str, found: Mapping[str, Any], notes: list[str]) -> Dist:
    """One side of the configuration.

    uniform: the whole part of a continuous draw from [MinValue, MaxValue), so MaxValue itself is not drawn unless
    both are equal. gaussian: normal with variance ``Var``, clipped, whole part. zipf: clipped.
    """
    method, params = found["Method"], found["Params"]
    low, high = (_whole(f"{side} {key}", str(params[key])) for key in ("MinValue", "MaxValue"))
    if low > high:
        raise ValueError(f"{side} MinValue {low} is above MaxValue {high}")
    if method == "uniform":
        return Uniform(low, max(low, high - 1))
    if method == "gaussian":
        mean = _real(f"{side} Mean", str(params["Mean"]), -math.inf)
        if not low <= mean <= high:
            notes.append(f"lengths: {side} Mean {mean:g} lies outside MinValue {low} to MaxValue {high}")
        return Normal(mean, math.sqrt(_real(f"{side} Var", str(params["Var"]))), low, high, cut=True)
    if method == "zipf":
        alpha = _real(f"{side} Alpha", str(params["Alpha"]))
        if not 1 < alpha <= 10:
            raise ValueError(f"{side} Alpha {alpha:g} is not above 1 and at most 10")
        return Zipf(alpha, low, high, clipped=True)
    raise ValueError(f"{side} Method {method!r} is not uniform, gaussian or zipf")


def length_notes(data: Workload) -> tuple[str, ...]:
    """What is odd about the file of lengths that ``data`` names.

    Raises:
        UsageError, DataError: as ``parse_lengths``.
    """
    return parse_lengths(data.lengths).notes if data.lengths is not None else ()


def plan_trouble(data: Workload) -> InferometerError | None:
    """Why the lengths that ``data`` asks for cannot be read; None when they can."""
    try:
        length_plan(data, 1, 1)
    except InferometerError as error:
        return error
    return None
