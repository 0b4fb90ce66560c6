"""How the lists of a spec become rows, one for each load: paired, crossed, or loads crossed with pairs of lengths."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from inferometer.errors import UsageError

Lists = Mapping[str, tuple[Any, ...]]

_LENGTHS = ("input_len", "output_len")


def rows_of_lists(lists: Lists, pair: str) -> list[dict[str, Any]]:
    """One row per load, each with a value of every list.

    Args:
        lists: values by the name of their option; the last one varies fastest where lists are crossed.
        pair: "zip": all lists pair up; "grid": all cross; "matrix": lengths pair up, loads pair up, and each pair of
            lengths is crossed with each load (the static test of Ascend's guide).

    Raises:
        UsageError: lists that have to pair up differ in length.
    """
    if pair == "grid":
        return _crossed(lists)
    if pair == "zip":
        return _paired(lists)
    lengths = {name: values for name, values in lists.items() if name in _LENGTHS}
    loads = {name: values for name, values in lists.items() if name not in _LENGTHS}
    return [a | b for a, b in product(_paired(lengths), _paired(loads))]


def _paired(lists: Lists) -> list[dict[str, Any]]:
    length = max((len(values) for values in lists.values()), default=1)
    if any(len(values) not in (1, length) for values in lists.values()):
        counts = ", ".join(
            f"--{name.replace('_', '-')} has {len(values)}"
            for name, values in lists.items()
            if len(values) > 1
        )
        raise UsageError(
            f"lists of different lengths cannot pair up: {counts}",
            "give lists of equal length (one value serves all points), cross them with --pair grid, or cross "
            "loads with pairs of lengths: --pair matrix",
        )
    return [
        {name: values[i if len(values) > 1 else 0] for name, values in lists.items()} for i in range(length)
    ]


def _crossed(lists: Lists) -> list[dict[str, Any]]:
    """The cross product; ``num_prompts`` stays beside its load list when they are equally long."""
    axes = {name: [{name: value} for value in values] for name, values in lists.items()}
    counts = lists.get("num_prompts", ())
    partner = next(
        (name for name in ("request_rate", "max_concurrency") if len(lists.get(name, ())) == len(counts)),
        None,
    )
    if partner is not None and len(counts) > 1:
        del axes["num_prompts"]
        axes[partner] = [row | {"num_prompts": n} for row, n in zip(axes[partner], counts, strict=True)]
    return [{name: value for row in rows for name, value in row.items()} for rows in product(*axes.values())]
