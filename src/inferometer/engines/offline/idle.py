"""Whether a device is free before anything is measured on it: what the vendors' programs and the kernel say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inferometer.record.speed import Idleness

_STAT = Path("/proc/stat")
_LOOK_S = 0.5
_PROGRAM_LIMIT_S = 20.0

Ask = Callable[[Sequence[str]], str | None]
"""Runs a program; None when it is not there or fails."""


class Known(NamedTuple):
    """A device that a program told of.

    Attributes:
        number: by which engines are told to use it.
        uuid: or by this; empty where the program says none.
        state: how busy it is.
    """

    number: str
    uuid: str
    state: Idleness


_Reader = tuple[Callable[[Ask], list[Known]], tuple[str, ...]]


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


def look(
    device: str, visible: str | None, ask: Ask = said_by, *, environ: Mapping[str, str], first: bool = False
) -> list[Idleness]:
    """How busy the devices are that an engine is about to use; empty = nobody on this machine knows.

    Args:
        device: auto, cpu, cuda:0, npu:1; the number counts what is visible.
        visible: names of those that it may see; None = as the vendor's variable in ``environ`` says, else all.
        ask: runs a program.
        environ: of the engine.
        first: only the first of those that it may see is used.
    """
    kind, _, number = device.partition(":")
    for reader, variables in _READERS.get(kind, ()):
        seen = visible if visible is not None else _first_set(variables, environ)
        if seen is not None and not seen.strip():
            continue  # none of them may be seen
        known = reader(ask)
        if known:
            wanted = (
                known if seen is None else [each for part in seen.split(",") for each in _named(part, known)]
            )
            if number or first:
                place = int(number or 0)
                wanted = wanted[place : place + 1]
            return [each.state for each in wanted]
    return host() if kind in ("cpu", "auto") else []


def _first_set(variables: Sequence[str], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in variables if name in environ), None)


def _named(part: str, known: Sequence[Known]) -> list[Known]:
    """The device of a number, or of the beginning of a UUID, as NVIDIA's variable takes them."""
    name = part.strip()
    return [
        each
        for each in known
        if name and (name == each.number or (each.uuid.startswith(name) and not name.isdecimal()))
    ]


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


def _nvidia(ask: Ask) -> list[Known]:
    devices = ask(
        (
            "nvidia-smi",
            "--query-gpu=index,uuid,name,utilization.gpu,memory.used,memory.total",
            "--format=csv,noheader,nounits",
        )
    )
    apps = ask(("nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name", "--format=csv,noheader"))
    return nvidia(devices or "", apps or "")


def nvidia(devices: str, apps: str) -> list[Known]:
    """Devices, from ``nvidia-smi``'s CSV of devices and of the processes that compute on them."""
    users: dict[str, list[str]] = {}
    for line in apps.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 3:
            users.setdefault(parts[0], []).append(f"{parts[2].rsplit('/', 1)[-1]} pid {parts[1]}")
    found = []
    for line in devices.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 6:
            number, uuid, name, busy, used, total = parts
            state = Idleness(
                device=f"{name} {number}",
                source="nvidia-smi",
                busy_share=_share(busy),
                memory_share=_ratio(used, total),
                processes=users.get(uuid, []),
            )
            found.append(Known(number, uuid, state))
    return found


def _share(percent: str) -> float | None:
    """A share from a number of percent; None for [N/A]."""
    return float(percent) / 100 if re.fullmatch(r"\d+(\.\d+)?", percent) else None


def _ratio(part: str, whole: str) -> float | None:
    return int(part) / int(whole) if part.isdecimal() and whole.isdecimal() and int(whole) else None


def _ascend(ask: Ask) -> list[Known]:
    return ascend(ask(("npu-smi", "info")) or "")


def ascend(text: str) -> list[Known]:
    """Devices, from the tables of ``npu-smi info``: two lines a chip, then the processes.

    The first line has the number of the NPU and its name; the second the chip and, where an NPU has several, the
    number of the device (Phy-ID, Device), then the share of the AI cores and, last, the memory: HBM where there is any.
    """
    found: dict[tuple[str, str], Known] = {}
    npu: tuple[str, str] | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and (head := re.match(r"(\d+)\s+([A-Za-z0-9]*[A-Za-z]\S*)", cells[0])):
            npu = (head[1], head[2])
        elif npu and len(cells) == 3 and (chip := re.fullmatch(r"(\d+)(?:\s+(\d+))?", cells[0])):
            number = chip[2] or npu[0]
            busy = re.match(r"\d+", cells[2])
            memory = [
                (used, total) for used, total in re.findall(r"(\d+)\s*/\s*(\d+)", cells[2]) if int(total)
            ]
            state = Idleness(
                device=f"{npu[1]} {number}",
                source="npu-smi",
                busy_share=_share(busy[0]) if busy else None,
                memory_share=_ratio(*memory[-1]) if memory else None,
            )
            found[npu[0], chip[1]] = Known(number, "", state)
            npu = None
        elif len(cells) == 4 and (at := re.match(r"(\d+)\s+(\d+)$", cells[0])) and at.groups() in found:
            found[at[1], at[2]].state.processes.append(f"{cells[2]} pid {cells[1]}")
    return list(found.values())


def _rocm(ask: Ask) -> list[Known]:
    for program in ("hy-smi", "rocm-smi"):
        found = rocm(ask((program, "--showuse", "--showmemuse", "--json")) or "", program)
        found = found or rocm_table(ask((program,)) or "", program)
        if found:
            return found
    return []


def rocm(text: str, program: str) -> list[Known]:
    """Devices, from the JSON of ``rocm-smi`` or of Hygon's ``hy-smi``, which writes HCU or DCU for GPU.

    Other text may stand around it, and some versions count the cards from 1.
    """
    try:
        said = json.loads(text[text.find("{") : text.rfind("}") + 1] or "{}")
    except json.JSONDecodeError:
        return []
    cards = {int(card[4:]): values for card, values in said.items() if re.fullmatch(r"card\d+", card)}
    found = []
    for number, (card, values) in enumerate(sorted(cards.items())):
        use = {key.lower(): str(value) for key, value in values.items()}
        busy = next((v for k, v in use.items() if re.fullmatch(r"[ghd][pc]u use \(%\)", k)), "")
        memory = next(
            (
                v
                for k, v in use.items()
                if re.fullmatch(r"[ghd][pc]u memory (use \(%\)|allocated \(vram%\))", k)
            ),
            "",
        )
        found.append(_percents(program, f"card{card}", str(number), (busy, memory)))
    return found


def rocm_table(text: str, program: str) -> list[Known]:
    """Devices, from the table that ``hy-smi`` prints when nothing is asked of it."""
    found: list[Known] = []
    names: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if "VRAM%" in words:
            names = words
        elif names and len(words) == len(names) and words[0].isdecimal():
            row = dict(zip(names, words, strict=True))
            busy = next((row[name] for name in ("HCU%", "DCU%", "GPU%") if name in row), "")
            percents = (busy.rstrip("%"), row["VRAM%"].rstrip("%"))
            found.append(_percents(program, words[0], words[0], percents))
    return found


def _percents(program: str, name: str, number: str, percents: tuple[str, str]) -> Known:
    busy, memory = (_share(each) for each in percents)
    state = Idleness(device=f"{program} {name}", source=program, busy_share=busy, memory_share=memory)
    return Known(number, "", state)


# In the order in which an engine looks for devices; each with the variables that say which of them it may see.
_CUDA: _Reader = (_nvidia, ("CUDA_VISIBLE_DEVICES",))
_NPU: _Reader = (_ascend, ("ASCEND_RT_VISIBLE_DEVICES",))
_ROCM: _Reader = (_rocm, ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"))
_READERS = {"auto": (_CUDA, _NPU, _ROCM), "cuda": (_CUDA, _ROCM), "npu": (_NPU,)}
