"""Inferometer: the instrument that measures, explains, predicts and tunes LLM inference.

The public names are imported when they are first used, so that ``import inferometer`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferometer.version import __version__

if TYPE_CHECKING:
    from inferometer.api import RunResult, SearchResult, demo, list_runs, recover, resume, run, search
    from inferometer.spec import (
        Endpoint,
        Images,
        Launch,
        Load,
        Measure,
        Output,
        Prefix,
        RunSpec,
        Sampling,
        Search,
        Sessions,
        Shape,
        Sweep,
        Trace,
        Workload,
    )

_ROOMS = {
    "inferometer.api": (
        "RunResult",
        "SearchResult",
        "demo",
        "list_runs",
        "recover",
        "resume",
        "run",
        "search",
    ),
    "inferometer.spec": (
        "Endpoint",
        "Images",
        "Launch",
        "Load",
        "Measure",
        "Output",
        "Prefix",
        "RunSpec",
        "Sampling",
        "Search",
        "Sessions",
        "Shape",
        "Sweep",
        "Trace",
        "Workload",
    ),
}

__all__ = [
    "Endpoint",
    "Images",
    "Launch",
    "Load",
    "Measure",
    "Output",
    "Prefix",
    "RunResult",
    "RunSpec",
    "Sampling",
    "Search",
    "SearchResult",
    "Sessions",
    "Shape",
    "Sweep",
    "Trace",
    "Workload",
    "__version__",
    "demo",
    "list_runs",
    "recover",
    "resume",
    "run",
    "search",
]


def __getattr__(name: str) -> Any:
    import importlib

    room = next((room for room, names in _ROOMS.items() if name in names), None)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(room), name)


def __dir__() -> list[str]:
    return sorted(__all__)
