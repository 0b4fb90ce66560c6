"""A worker asks for short time slices, where the kernel knows of them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# In a process of its own, for it keeps what it asked for. sched_getattr(2) tells what the kernel made of it.
ASK = """
import ctypes, os, struct
from inferometer.loadgen.slice import take_short_slices
wanted = os.nice(3)
asked = take_short_slices()
kept = ctypes.create_string_buffer(48)
ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, kept, 48, 0)
_, policy, _, nice, _, runtime_ns, _, _ = struct.unpack("=IIQiIQQQ", kept.raw)
print(asked, policy, nice == wanted, runtime_ns)
"""


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="the system call's number is not known"
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_it_keeps_policy_and_niceness_and_shortens_the_slice() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=60)
    asked, policy, nice, runtime_ns = done.stdout.split()
    assert (asked, policy, nice) == ("True", "0", "True")
    version = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    if version >= (6, 12):
        assert runtime_ns == "100000"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_another_scheduling_class_is_left_as_it_is() -> None:
    """Who runs the tool under SCHED_BATCH or a real-time class has chosen that."""
    code = (
        "import os\nfrom inferometer.loadgen.slice import take_short_slices\n"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))\n"
        "print(take_short_slices(), os.sched_getscheduler(0) == os.SCHED_BATCH)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]
