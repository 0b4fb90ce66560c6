"""Families of metrics as text: OpenMetrics 1.0 and Prometheus' text format 0.0.4.

Sources: https://prometheus.io/docs/specs/om/open_metrics_spec/ and
https://prometheus.io/docs/instrumenting/exposition_formats/. They differ in three things that matter here: OpenMetrics
declares a counter without its ``_total`` and an info without its ``_info``, knows units, and ends with ``# EOF``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge", "info"]
_SUFFIXES: Mapping[Kind, str] = {"counter": "_total", "gauge": "", "info": "_info"}


class Sample(msgspec.Struct, frozen=True):
    """One value of a family; labels as they came, whatever characters they hold."""

    value: float
    labels: Mapping[str, str] = {}


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one metric.

    Attributes:
        name: without the suffix of its kind; ends with ``unit`` where there is one.
        help: one line.
        unit: a base unit ("seconds", "bytes"); empty for counts.
    """

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


def answer(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """The page and its content type: OpenMetrics where an ``Accept`` header asks for it, as Prometheus' own does."""
    openmetrics = "application/openmetrics-text" in accept
    return exposition(families, openmetrics=openmetrics).encode(), OPENMETRICS if openmetrics else PROMETHEUS


def exposition(families: Iterable[Family], *, openmetrics: bool) -> str:
    """The page; a family without a value is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _family(family, openmetrics)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _family(family: Family, openmetrics: bool) -> list[str]:
    written = family.name + _SUFFIXES[family.kind]
    declared = family.name if openmetrics else written
    kind = "gauge" if family.kind == "info" and not openmetrics else family.kind
    lines = [f"# HELP {declared} {_escaped(family.help, quotes=openmetrics)}", f"# TYPE {declared} {kind}"]
    if openmetrics and family.unit:
        lines.append(f"# UNIT {declared} {family.unit}")
    return [*lines, *(f"{written}{_labels(s.labels)} {_number(s.value)}" for s in family.samples)]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str, *, quotes: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
