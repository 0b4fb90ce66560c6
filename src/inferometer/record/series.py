"""Time series that no worker of ours sampled, into ``telemetry.parquet``."""

from __future__ import annotations

from pathlib import Path

import duckdb

from inferometer.errors import RunFolderError
from inferometer.record.folder import TELEMETRY
from inferometer.record.parquet import connect, drafted, write_columns
from inferometer.record.tables import Telemetry

_SELECT = "point, at_ns, source::VARCHAR AS source, name::VARCHAR AS name, value"


def write_series(folder: Path, series: Telemetry) -> None:
    """Replace what a closed run folder has of telemetry.

    Args:
        folder: of a closed run that no client of ours measured.
        series: ordered by point and time.

    Raises:
        RunFolderError: the file cannot be written.
    """
    columns = {name: getattr(series, name) for name in Telemetry.__slots__}
    try:
        with connect() as connection, drafted(folder / TELEMETRY) as draft:
            write_columns(connection, draft, columns, _SELECT)
    except (OSError, duckdb.Error) as error:
        raise RunFolderError(
            f"{str(folder / TELEMETRY)!r} cannot be written: {error}", "free some space, or use another --out"
        ) from None
