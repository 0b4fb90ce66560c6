"""Load points that measured the same load, put together: one row of a table each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

_OWN_OF_A_POINT = ("index", "repeat")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load, measured once or several times.

    Attributes:
        load: the load as asked, without what differs between its repeats.
        points: ``index`` of the load points, in the order in which they were measured.
    """

    load: dict[str, Any]
    points: list[int]


def rows_of(loads: Sequence[tuple[int, dict[str, Any]]]) -> list[Row]:
    """Rows in the order in which their first load point was measured.

    Args:
        loads: ``index`` and load of each measured load point.
    """
    found: dict[str, Row] = {}
    for index, load in loads:
        own = {name: value for name, value in load.items() if name not in _OWN_OF_A_POINT}
        found.setdefault(json.dumps(own, sort_keys=True), Row(load=own, points=[])).points.append(index)
    return list(found.values())
