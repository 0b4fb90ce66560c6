"""What happened, raw: the run folder, its crash-safe journal, its tables and its reader."""

from inferometer.record.types import (
    OUTPUT_KINDS,
    ChunkColumns,
    ChunkKind,
    ClientHealth,
    HealthSample,
    PointRecord,
    RequestRecord,
    RunMeta,
    Status,
)

__all__ = [
    "OUTPUT_KINDS",
    "ChunkColumns",
    "ChunkKind",
    "ClientHealth",
    "HealthSample",
    "PointRecord",
    "RequestRecord",
    "RunMeta",
    "Status",
]
