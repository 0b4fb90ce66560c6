"""What a command costs: the whole tree is counted, whoever waited for whom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[2] / "bench" / "measured.py"
ORPHAN = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()  # and its parent ends at once
        start = time.process_time()
        while time.process_time() - start < 0.5:
            pass
    os._exit(0)
os.wait()
"""
LEFT_BEHIND = """
import subprocess, sys
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)
"""


def measured(program: str, *flags: str) -> dict[str, Any]:
    command = [sys.executable, str(MEASURED), *flags, "--", sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return dict(json.loads(done.stdout))


def test_a_grandchild_that_nobody_waited_for_is_counted() -> None:
    assert measured(ORPHAN)["cpu_s"] >= 0.5


def test_memory_and_status_and_output() -> None:
    program = "import sys, time\nx = bytearray(200 << 20)\nprint('said')\nsys.stderr.write('complained')\nsys.exit(3)"
    found = measured(program, "--cpu", "0")
    assert (found["code"], found["stdout"], found["stderr"]) == (3, "said\n", "complained")
    assert 200 << 20 <= found["peak_rss_bytes"] < 400 << 20


def test_what_is_left_behind_is_ended() -> None:
    found = measured(LEFT_BEHIND)
    assert found["code"] == 0
    assert not Path(f"/proc/{found['stdout'].strip()}").exists()
