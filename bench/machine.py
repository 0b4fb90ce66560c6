"""The machine that was measured on, as a table names it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, kernel, Python."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": found.group(1) if found else platform.machine(),
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def machine_line(machine: dict[str, str | int]) -> str:
    """The same as a sentence."""
    return "{processor}, {cores} cores, Linux {kernel}, Python {python}".format(**machine)


def describe_code() -> dict[str, str]:
    """What of ours is measured: the commit, for people, and a digest of the sources, which tells two apart."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return {"revision": _revision(), "sources": digest.hexdigest()[:16]}


def _revision() -> str:
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "src"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # an unpacked archive
    return head.strip() + (" and changes" if changes.strip() else "")


def code_line(code: dict[str, str]) -> str:
    """The same as words."""
    return f"commit {code.get('revision', 'unknown')}"


def busy_s(pid: int | None = None) -> float:
    """CPU seconds that this machine has been busy since it started, or that a process has used (Linux)."""
    if pid is not None:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")  # guest time, after that, is within user time
