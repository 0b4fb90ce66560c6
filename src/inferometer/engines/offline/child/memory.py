"""Peaks of memory, of a device and of this process, and what the kernel says of waiting."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_SCHEDSTAT = Path("/proc/self/schedstat")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size


def limit(most_bytes: int | None) -> None:
    """Let this process have no more address space than that."""
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


class DeviceMemory:
    """Peaks of the devices of a back end (``torch.cuda``, ``torch.npu``, ``torch.xpu``), added up as Qwen does."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._places = range(backend.device_count())

    def reset(self) -> None:
        """Begin anew."""
        for place in self._places:
            self._backend.reset_peak_memory_stats(place)

    def peak(self) -> dict[str, Any]:
        """Peaks since ``reset``: what tensors took, and what was kept for them."""
        return {
            "memory_bytes": sum(self._backend.max_memory_allocated(place) for place in self._places),
            "memory_reserved_bytes": sum(self._backend.max_memory_reserved(place) for place in self._places),
            "memory_of": "device",
        }


class ProcessMemory:
    """The peak of this process's resident memory."""

    def reset(self) -> None:
        """Begin anew where the kernel can; else the peak is that since the start, which can only be larger."""
        if os.access(_CLEAR, os.W_OK):
            _CLEAR.write_text(_RESET_PEAK)

    def peak(self) -> dict[str, Any]:
        """The peak since ``reset``."""
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
        kib = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"memory_bytes": kib * 1024, "memory_of": "process"}


class NoMemory:
    """Nothing is known of it."""

    def reset(self) -> None:
        """Nothing to do."""

    def peak(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def core_wait_s() -> float | None:
    """How long the main thread was ready to run and had no core, since it began; None where the kernel does not say."""
    if not _SCHEDSTAT.exists():
        return None
    return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
