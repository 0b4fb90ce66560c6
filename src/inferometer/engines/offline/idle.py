"""Whether a device is free before anything is measured on it: what the vendors' programs and the kernel say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from inferometer.record.speed import Idleness

_STAT = Path("/proc/stat")
_LOOK_S = 0.5
_PROGRAM_LIMIT_S = 20.0
_MIB = 1 << 20

Ask = Callable[[Sequence[str]], str | None]
"""Runs a program; None when it is not there or fails."""


def said_by(command: Sequence[str]) -> str | None:
    """What a program prints; None when it is not there, fails, or takes longer than 20 s."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            list(command), capture_output=True, text=True, timeout=_PROGRAM_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def look(device: str, devices: str | None, ask: Ask = said_by) -> list[Idleness]:
    """How busy the devices are that an engine is about to use; empty = nobody on this machine knows.

    Args:
        device: auto, cpu, cuda:0, npu:1.
        devices: numbers of those that it may see; None = all.
        ask: runs a program.
    """
    kind, _, number = device.partition(":")
    wanted = {part.strip() for part in (number or devices or "").split(",") if part.strip()}
    for reader in () if kind == "cpu" else (_nvidia, _ascend, _rocm):
        found = [each for place, each in reader(ask) if not wanted or place in wanted]
        if found:
            return found
    return host() if kind in ("cpu", "auto") else []


def host(wait: Callable[[float], None] = time.sleep, stat: Path = _STAT) -> list[Idleness]:
    """How busy the cores of this machine are, over half a second."""
    if not stat.exists():
        return []
    before = stat.read_text()
    wait(_LOOK_S)
    share = cpu_share(before, stat.read_text())
    return [Idleness(device=f"CPU ({os.cpu_count()} cores)", source="/proc/stat, 0.5 s", busy_share=share)]


def cpu_share(before: str, after: str) -> float | None:
    """Share of all cores that was not idle between two readings of ``/proc/stat``; None for equal readings."""
    first, last = (_ticks(text) for text in (before, after))
    spent = [b - a for a, b in zip(first, last, strict=True)]
    total = sum(spent)
    idle = spent[3] + spent[4]  # idle, iowait: proc(5)
    return None if total <= 0 else 1.0 - idle / total


def _ticks(text: str) -> list[int]:
    """Ticks of user nice system idle iowait irq softirq steal; guests are in user already."""
    return [int(word) for word in text.splitlines()[0].split()[1:9]]


def _nvidia(ask: Ask) -> list[tuple[str, Idleness]]:
    devices = ask(
        (
            "nvidia-smi",
            "--query-gpu=index,uuid,name,utilization.gpu,memory.used",
            "--format=csv,noheader,nounits",
        )
    )
    apps = ask(("nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name", "--format=csv,noheader"))
    return nvidia(devices or "", apps or "")


def nvidia(devices: str, apps: str) -> list[tuple[str, Idleness]]:
    """Devices by number, from ``nvidia-smi``'s CSV of devices and of the processes that compute on them."""
    users: dict[str, list[str]] = {}
    for line in apps.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 3:
            users.setdefault(parts[0], []).append(f"{parts[2].rsplit('/', 1)[-1]} pid {parts[1]}")
    found = []
    for line in devices.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 5:
            number, uuid, name, busy, used = parts
            found.append((number, _state(f"{name} {number}", "nvidia-smi", busy, used, users.get(uuid, []))))
    return found


def _state(device: str, source: str, busy: str, used_mib: str, processes: list[str]) -> Idleness:
    """A state from what a program prints as numbers, or as [N/A]."""
    return Idleness(
        device=device,
        source=source,
        busy_share=float(busy) / 100 if re.fullmatch(r"\d+(\.\d+)?", busy) else None,
        used_bytes=int(used_mib) * _MIB if used_mib.isdigit() else None,
        processes=processes,
    )


def _ascend(ask: Ask) -> list[tuple[str, Idleness]]:
    return ascend(ask(("npu-smi", "info")) or "")


def ascend(text: str) -> list[tuple[str, Idleness]]:
    """Devices by number, from the tables of ``npu-smi info``: two lines a chip, then the processes.

    The first line has the number and the name, the second the share of the AI cores and, last, the HBM in use.
    """
    found: dict[str, Idleness] = {}
    name: tuple[str, str] | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and (head := re.match(r"(\d+)\s+([A-Za-z0-9]\S*)", cells[0])):
            name = (head[1], head[2])
        elif name and len(cells) == 3 and re.fullmatch(r"[0-9A-F:.]{10,}", cells[1]):
            numbers = re.findall(r"\d+", cells[2])
            used = re.findall(r"(\d+)\s*/\s*\d+", cells[2])
            found[name[0]] = _state(
                f"{name[1]} {name[0]}", "npu-smi", numbers[0], used[-1] if used else "", []
            )
            name = None
        elif len(cells) == 4 and (head := re.match(r"(\d+)\s+\d+$", cells[0])) and head[1] in found:
            found[head[1]].processes.append(f"{cells[2]} pid {cells[1]}")
    return list(found.items())


def _rocm(ask: Ask) -> list[tuple[str, Idleness]]:
    for program in ("hy-smi", "rocm-smi"):
        text = ask((program, "--showuse", "--showmemuse", "--json"))
        if text:
            return rocm(text, program)
    return []


def rocm(text: str, program: str) -> list[tuple[str, Idleness]]:
    """Devices by number, from the JSON of ``rocm-smi`` or of Hygon's ``hy-smi``, which writes HCU or DCU for GPU."""
    try:
        cards = json.loads(text)
    except json.JSONDecodeError:
        return []
    found = []
    for card, values in cards.items():
        number = re.sub(r"\D", "", card)
        busy = next((str(v) for k, v in values.items() if re.match(r"(GPU|HCU|DCU) use \(%\)", k)), "")
        if number:
            found.append((number, _state(f"{program} {card}", program, busy, "", [])))
    return found
