"""Rows of the data set that were not sent: left out by a filter, or skipped because they could not be used."""

from __future__ import annotations

import msgspec

from inferometer.record.tables import PointTable


class DataRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a data set file, as far as they had been looked at when the load point ended.

    Attributes:
        total: rows of the file.
        dropped: rows that a filter left out, by reason.
        skipped: rows that could not be used, by reason.
        notes: how the file was read, where that was not told by the options.
    """

    total: int
    dropped: dict[str, int]
    skipped: dict[str, int]
    notes: list[str] = []


def data_rows_of(table: PointTable) -> DataRows | None:
    """What the run recorded of its data set; None for generated data."""
    told = table.point.dataset
    if told.get("rows_total") is None:
        return None
    return DataRows(
        total=told["rows_total"],
        dropped=told.get("dropped") or {},
        skipped=told.get("skipped") or {},
        notes=told.get("notes") or [],
    )
