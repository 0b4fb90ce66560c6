"""The 50 columns wide block that SGLang's and LMDeploy's scripts print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.report.text import ABSENT

_WIDTH = 50
_NAMES = {"mean": "Mean", "median": "Median", "max": "Max"}


def frame(
    rows: Sequence[tuple[str, str]], sections: Sequence[tuple[str, list[tuple[str, str]]]], simulated: bool
) -> str:
    """The block: its title, the rows, and each section under a title of its own."""
    title = " Serving Benchmark Result (simulated) " if simulated else " Serving Benchmark Result "
    lines = [f"{title:=^{_WIDTH}}", *(_row(*row) for row in rows)]
    for heading, found in sections:
        lines += [f"{heading:-^{_WIDTH}}", *(_row(*row) for row in found)]
    return "\n".join([*lines, "=" * _WIDTH])


def statistics(
    result: Mapping[str, Any], label: str, key: str, names: Sequence[str]
) -> list[tuple[str, str]]:
    """Rows such as "Mean TTFT (ms):" for the keys ``mean_KEY_ms``."""
    return [
        (f"{_NAMES.get(name, name.upper())} {label} (ms):", decimals(result[f"{name}_{key}_ms"]))
        for name in names
    ]


def plain(value: object) -> str:
    """A value as it is."""
    return ABSENT if value is None else str(value)


def decimals(value: float | None) -> str:
    """Two decimals."""
    return ABSENT if value is None else f"{value:.2f}"


def _row(label: str, value: str) -> str:
    return f"{label:<40} {value:<10}"  # these scripts pad the value too
