"""Prometheus' text format, as far as reading counters takes it: names, labels and values, no types.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4; OpenMetrics text differs in a
last line ``# EOF`` and in exemplars, which are cut off here).
"""

from __future__ import annotations

import math
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_PAIR = r'[a-zA-Z_][a-zA-Z0-9_]*\s*=\s*"(?:[^"\\]|\\.)*"'
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_LABELS = rf"\s*(?:{_PAIR}(?:\s*,\s*{_PAIR})*\s*,?\s*)?"
_SAMPLE = re.compile(rf"({_NAME})\s*(?:\{{({_LABELS})\}})?\s+(\S+)(?:\s+-?[0-9.]+)?(?:\s+#.*)?")
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}


def series_of(text: str) -> dict[str, float]:
    """The samples in ``text`` by series, as written (``name{label="value"}``); values that are not finite are left out.

    Raises:
        ValueError: a line is neither a comment nor a sample, as of a web page.
    """
    found: dict[str, float] = {}
    for number, written in enumerate(text.splitlines(), 1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        value = None if match is None else _value(match[3])
        if match is None or value is None:
            raise ValueError(f"line {number} is no sample of Prometheus' text format")
        if math.isfinite(value):
            found[f"{match[1]}{{{match[2]}}}" if match[2] else match[1]] = value
    return found


def name_and_labels(series: str) -> tuple[str, dict[str, str]]:
    """The parts of one key of ``series_of``."""
    name, _, rest = series.partition("{")
    return name, {
        key: re.sub(r"\\(.)", lambda escaped: _ESCAPED.get(escaped[1], escaped[0]), value)
        for key, value in _LABEL.findall(rest.removesuffix("}"))
    }


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
