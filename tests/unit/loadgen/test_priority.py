"""What a worker asks the kernel for: short time slices, and a real-time priority that a saturated worker loses."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

# In a process of its own, for it keeps what it asked for. sched_getattr(2) tells what the kernel made of it.
ASK = """
import ctypes, os, struct
from inferometer.loadgen.priority import take_short_slices
wanted = os.nice(3)
asked = take_short_slices()
kept = ctypes.create_string_buffer(48)
ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, kept, 48, 0)
_, policy, _, nice, _, runtime_ns, _, _ = struct.unpack("IIQiIQQQ", kept.raw)
print(asked, policy, nice == wanted, runtime_ns)
"""
REALTIME = """
import os, resource, time
from inferometer.loadgen.priority import AWAKE_LIMIT_US, go_ordinary, go_realtime, is_realtime
before = os.getpriority(os.PRIO_PROCESS, 0)
"""


def said(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def realtime(code: str) -> list[str]:
    """What the code says where a real-time priority is permitted, and we are not running at a niceness."""
    words = said(REALTIME + code)
    if words[0] == "False":
        pytest.skip("no real-time priority is permitted here")
    return words


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="the system call's number is not known"
)
def test_it_keeps_policy_and_niceness_and_shortens_the_slice() -> None:
    asked, policy, nice, runtime_ns = said(ASK)
    assert (asked, policy, nice) == ("True", "0", "True")
    version = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    if version >= (6, 12):
        assert runtime_ns == "100000"


def test_another_scheduling_class_is_left_as_it_is() -> None:
    """Who runs the tool under SCHED_BATCH or a real-time class has chosen that."""
    code = (
        "import os\nfrom inferometer.loadgen.priority import go_realtime, take_short_slices\n"
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))\n"
        "print(take_short_slices(), go_realtime(), os.sched_getscheduler(0) == os.SCHED_BATCH)"
    )
    assert said(code) == ["False", "False", "True"]


def test_a_real_time_priority_is_given_back_with_the_niceness_of_before() -> None:
    code = (
        "print(go_realtime(), is_realtime(), os.sched_getparam(0).sched_priority)\n"
        "go_ordinary()\n"
        "print(is_realtime(), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0) == before)"
    )
    assert realtime(code) == ["True", "True", "1", "False", "0", "True"]


def test_a_worker_that_never_sleeps_is_an_ordinary_task_again() -> None:
    """Nothing but the kernel's clock ends the loop: a worker that kept its core would be killed by the test's limit."""
    code = (
        "print(go_realtime(), flush=True)\n"
        "while is_realtime(): pass\n"
        "print(time.process_time() * 1e6 >= AWAKE_LIMIT_US)"
    )
    assert realtime(code) == ["True", "True"]


def test_one_that_sleeps_keeps_it() -> None:
    """Twice the limit in all, with sleeps in between."""
    code = (
        "print(go_realtime())\n"
        "for _ in range(8):\n"
        "    end = time.process_time() + AWAKE_LIMIT_US / 4e6\n"
        "    while time.process_time() < end: pass\n"
        "    time.sleep(0.001)\n"
        "print(is_realtime())"
    )
    assert realtime(code) == ["True", "True"]


def test_who_may_not_have_it_or_has_asked_for_less_stays_ordinary() -> None:
    nice = "os.nice(1)\nprint(go_realtime(), is_realtime())"
    assert said(REALTIME + nice) == ["False", "False"]
    refused = (
        "resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "print(go_realtime(), is_realtime())"
    )
    assert said(REALTIME + refused) == ["False", "False"]
