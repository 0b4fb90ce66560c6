"""This machine: what an envelope holds for, and the settings that limit a load generator."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from typing import NamedTuple

from inferometer import timerfd
from inferometer.checks.envelope import Machine
from inferometer.checks.limits import SPARE_DESCRIPTORS, SystemLimits, system_limits
from inferometer.client.probe import WIDEN_PORTS
from inferometer.client.stamps import enable_kernel_stamps
from inferometer.loadgen.affinity import usable_cores
from inferometer.version import __version__

FEW_DESCRIPTORS = 4096
FEW_PORTS = 20_000
_CPUINFO = Path("/proc/cpuinfo")


class Finding(NamedTuple):
    """One setting of the machine.

    Attributes:
        name: short and stable.
        ok: False when it limits what can be measured.
        text: what was found.
        next_step: what to do about it; empty when it is fine.
    """

    name: str
    ok: bool
    text: str
    next_step: str = ""


def this_machine(cpuinfo: Path = _CPUINFO) -> Machine:
    """The machine and the versions that run on it; nothing that names a person or a network."""
    text = cpuinfo.read_text("utf-8", "replace") if cpuinfo.exists() else ""
    return Machine(
        cpu=cpu_model(text) or platform.machine(),
        cores=usable_cores(),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        inferometer=__version__,
    )


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the text of ``/proc/cpuinfo``; None when it has none, as on many ARM machines."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return None


def kernel_stamps() -> bool:
    """Whether the kernel stamps what a socket receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        return enable_kernel_stamps(sock)


def findings(cores: int, limits: SystemLimits, stamps: bool, timer: bool) -> list[Finding]:
    """Judge the machine's settings, in the order in which they matter.

    Args:
        cores: how many this process may use.
        limits: of the operating system.
        stamps: whether the kernel stamps what it receives.
        timer: whether there are timers that keep an absolute time.
    """
    return [_stamps(stamps), _timer(timer), _cores(cores), _descriptors(limits), _ports(limits)]


def look() -> list[Finding]:
    """The findings about this machine."""
    return findings(this_machine().cores, system_limits(), kernel_stamps(), timerfd.available())


def _stamps(present: bool) -> Finding:
    if present:
        return Finding("receive clock", True, "the kernel stamps what arrives")
    return Finding(
        "receive clock",
        False,
        "this system does not stamp what arrives: times are taken after the read, and a run is INVALID when "
        "reads are late by more than 1 ms",
        "run the client on Linux",
    )


def _timer(present: bool) -> Finding:
    if present:
        return Finding("timer", True, "absolute kernel timers (timerfd)")
    return Finding(
        "timer",
        False,
        "no absolute kernel timers: requests leave up to a millisecond late",
        "run the client on Linux",
    )


def _cores(cores: int) -> Finding:
    if cores > 1:
        return Finding("cores", True, f"{cores} may be used")
    return Finding(
        "cores",
        False,
        "only one may be used: the worker shares it with everything else",
        "allow more: taskset, cpuset of the container, --cpus of the job",
    )


def _descriptors(limits: SystemLimits) -> Finding:
    hard = limits.descriptors_hard
    text = f"{_count(limits.descriptors_soft)} (a worker raises it to the hard limit, {_count(hard)})"
    if hard is None or hard >= FEW_DESCRIPTORS:
        return Finding("descriptors", True, text)
    return Finding(
        "descriptors",
        False,
        f"{text}: at most {max(0, hard - SPARE_DESCRIPTORS):,} streams per worker",
        f"raise it as root: ulimit -Hn {16 * FEW_DESCRIPTORS}, or nofile in /etc/security/limits.conf",
    )


def _ports(limits: SystemLimits) -> Finding:
    count = limits.port_count
    if count is None or limits.ports is None:
        return Finding("source ports", True, "their range is not known on this system")
    text = f"{count:,} ({limits.ports[0]} to {limits.ports[1]}): as many connections to one server"
    if count >= FEW_PORTS:
        return Finding("source ports", True, text)
    return Finding("source ports", False, text, f"widen the range: {WIDEN_PORTS}")


def _count(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"
