"""What devices can do: sheets by name, and the machine that this runs on, measured."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from inferometer.clock import Clock
from inferometer.errors import DataError, UsageError

CPU = "cpu"
"""The name under which a caller asks for ``measure_cpu`` instead of a sheet."""
GIB = 1024**3
_UNNAMED_LATENCY_US = 10.0
_BUDGET_NS = 300_000_000
_GEMM_SIZE = 768
_STREAM_BYTES = 64 * 1024**2


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One accelerator, or one machine without.

    Attributes:
        title: for people.
        memory_gib: what a framework sees, not what the box says.
        memory_gb_per_s: peak, 1e9 bytes.
        tflops: peak of dense matrix products by type of number: bf16, fp16, fp8, int8, fp32.
        link_gb_per_s: to its neighbours, in one direction, 1e9 bytes; None = it stands alone.
        link_latency_us: of one exchange of a few bytes between neighbours.
        memory_efficiency, compute_efficiency: of the peaks, what kernels reach where nothing was measured.
        also: further names of it.
        sources: of the numbers, by field.
    """

    title: str
    memory_gib: float
    memory_gb_per_s: float
    tflops: dict[str, float]
    link_gb_per_s: float | None = None
    link_latency_us: float = _UNNAMED_LATENCY_US
    memory_efficiency: float = 0.8
    compute_efficiency: float = 0.6
    also: tuple[str, ...] = ()
    sources: dict[str, str] = {}

    def __post_init__(self) -> None:
        peaks = {"memory_gib": self.memory_gib, "memory_gb_per_s": self.memory_gb_per_s, **self.tflops}
        if self.link_gb_per_s is not None:
            peaks["link_gb_per_s"] = self.link_gb_per_s
        for name, value in peaks.items():
            if not value > 0.0:
                raise ValueError(f"{name} must be more than 0, not {value}")
        for name in ("memory_efficiency", "compute_efficiency"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be more than 0 and at most 1, not {getattr(self, name)}")
        if not self.tflops:
            raise ValueError("tflops needs at least one type of number")

    def flops_per_s(self, dtype: str) -> float:
        """Peak of matrix products; types of 16 bits stand for each other, and narrower ones that it lacks for them."""
        for name in (dtype, "bf16", "fp16", "fp32"):
            if name in self.tflops:
                return self.tflops[name] * 1e12
        return max(self.tflops.values()) * 1e12


def device(name: str) -> Device:
    """The sheet of a device: its key in devices.yaml, one of its other names, or a YAML file with the same fields.

    Raises:
        UsageError: there is no such sheet.
        DataError: the file cannot be understood.
    """
    sheets = device_sheets()
    if name in sheets:
        return sheets[name]
    if name.endswith((".yaml", ".yml")):
        return _own_sheet(Path(name))
    wanted = _plain(name)
    for key, sheet in sheets.items():
        if wanted in {_plain(each) for each in (key, sheet.title, *sheet.also)}:
            return sheet
    raise UsageError(
        f"device {name!r} has no sheet; there are {', '.join([*sheets, CPU])}",
        "name one of these, or a YAML file with title, memory_gib, memory_gb_per_s and tflops",
    )


@functools.cache
def device_sheets() -> Mapping[str, Device]:
    """All sheets that are shipped, by key."""
    text = resources.files(__package__).joinpath("devices.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), dict[str, Device])


def _own_sheet(path: Path) -> Device:
    try:
        found: Any = yaml.safe_load(path.read_text("utf-8"))
        return msgspec.convert(found, Device)
    except OSError as error:
        raise UsageError(f"device sheet {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataError(
            f"device sheet {path} cannot be understood: {error}",
            "compare it with an entry of inferometer/simulator/latency/devices.yaml",
        ) from error


def _plain(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return bare.removeprefix("nvidia").removeprefix("geforce")


def measure_cpu(clock: Clock) -> Device:
    """This machine: the best of repeated float32 matrix products and copies in numpy, for some 0.6 s.

    What is measured is what can be reached, so both efficiencies are 1. Threads are those that numpy's BLAS takes.
    """
    numbers = np.ones((_GEMM_SIZE, _GEMM_SIZE), dtype=np.float32)
    product = np.empty_like(numbers)
    source = np.ones(_STREAM_BYTES // 8)
    target = np.empty_like(source)

    def multiply() -> None:
        np.matmul(numbers, numbers, out=product)

    def copy() -> None:
        np.copyto(target, source)

    gemm_s = _best_s(clock, multiply)
    copy_s = _best_s(clock, copy)
    return Device(
        title="this machine's CPU",
        memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB,
        memory_gb_per_s=2 * _STREAM_BYTES / copy_s / 1e9,
        tflops={"fp32": 2 * _GEMM_SIZE**3 / gemm_s / 1e12},
        memory_efficiency=1.0,
        compute_efficiency=1.0,
        sources={"memory_gb_per_s": "copy, measured here", "tflops": "matrix product, measured here"},
    )


def _best_s(clock: Clock, work: Callable[[], None]) -> float:
    """The shortest of the runs that fit the budget, after one that warms up; at least 3."""
    work()
    begin = clock.now_ns()
    best = None
    runs = 0
    while runs < 3 or clock.now_ns() - begin < _BUDGET_NS:
        start = clock.now_ns()
        work()
        took = max(1, clock.now_ns() - start)
        best = took if best is None else min(best, took)
        runs += 1
    assert best is not None
    return best / 1e9
