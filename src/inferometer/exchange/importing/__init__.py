"""Other tools' result files: found by their content, read without trust, and kept as a run folder."""

from inferometer.exchange.importing.formats import Format, detect, read_all
from inferometer.exchange.importing.found import Found, FoundPoint, FoundRequest
from inferometer.exchange.importing.source import Source, sources_of
from inferometer.exchange.importing.writing import write_run

__all__ = [
    "Format",
    "Found",
    "FoundPoint",
    "FoundRequest",
    "Source",
    "detect",
    "read_all",
    "sources_of",
    "write_run",
]
