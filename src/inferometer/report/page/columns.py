"""Plots as the data of a page: JSON that no HTML can break out of, numbers as short as drawing allows."""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import msgspec
import numpy as np

from inferometer.report.plots.model import Chart, Floats, Gantt, Plot
from inferometer.report.plots.table import columns_of

_DIGITS: Final = 7  # what a float32 holds, and more than a screen shows
# Each of these ends a script element, begins a comment in one, or is a line's end to an old JavaScript.
_ESCAPES: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def data_text(plot: Plot) -> str:
    """JSON of a plot for a ``script`` element of type ``application/json``; ``Words`` are pairs, NaN is null.

    A column is a list of numbers of seven digits, or ``{"f": TEXT}`` with little-endian float32 in Base64, whichever
    is shorter.
    """
    return escaped(msgspec.json.encode(plot, enc_hook=_column).decode())


def escaped(json_text: str) -> str:
    """The same JSON without a character that means something to HTML."""
    for character, escape in _ESCAPES.items():
        json_text = json_text.replace(character, escape)
    return json_text


def csv_header(plot: Plot) -> str:
    """The header of the plot's CSV as JSON; the page makes the rows of the same columns, from its own data."""
    nothing = np.empty(0)
    if isinstance(plot, Chart):
        series = tuple(msgspec.structs.replace(each, x=nothing) for each in plot.series)
        plot = msgspec.structs.replace(plot, series=series)
    elif isinstance(plot, Gantt):
        plot = msgspec.structs.replace(plot, lane=nothing)
    return msgspec.json.encode(columns_of(plot)[0]).decode()


def _column(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value).__name__} in a plot")
    return msgspec.Raw(column_text(value).encode())


def column_text(values: Floats) -> str:
    """One column, or a list of the rows of a table; see ``data_text``."""
    if values.ndim > 1:
        return "[" + ",".join(map(column_text, values)) + "]"
    numbers = "[" + ",".join(map(_number, values.tolist())) + "]"
    packed = base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()
    return numbers if len(numbers) <= len(packed) + len('{"f":""}') else f'{{"f":"{packed}"}}'


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.{_DIGITS}g}"
