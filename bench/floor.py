"""What receiving costs without Python: a C client that reads and counts the same streams, for scale."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from inferometer.errors import InferometerError
from inferometer.testing.truth_server import start_truth_server
from measured import run_measured
from our_cases import Case
from ours import Machine

SOURCE = Path(__file__).with_name("floor.c")
PROGRAM = Path(__file__).parents[1] / "build" / "bench" / "floor"


def measure_floor(case: Case, machine: Machine, seconds: float) -> dict[str, float | str]:
    """CPU per content chunk of ``bench/floor.c`` on the client's core, or why there is none (key ``missing``)."""
    try:
        return _measure(case, machine, seconds)
    except (InferometerError, OSError, subprocess.SubprocessError, ValueError) as error:
        return {"missing": str(error)}


def _measure(case: Case, machine: Machine, seconds: float) -> dict[str, float | str]:
    compiler = shutil.which("gcc")
    if compiler is None:
        return {"missing": "gcc is not installed"}
    build = [compiler, "-O2", "-Wall", "-Werror", "-o", str(PROGRAM), str(SOURCE)]
    done = subprocess.run(build, check=False, capture_output=True, text=True)
    if done.returncode:
        return {"missing": f"gcc failed: {done.stderr.strip()[-200:]}"}
    with start_truth_server(machine.settings(case), machine.server) as server:
        words = (urlsplit(server.url).port, case.streams, case.tokens, seconds)
        used = run_measured([str(PROGRAM), *map(str, words)], machine.client, timeout_s=seconds + 30)
    if used.code:
        return {"missing": f"it ended with {used.code}: {used.stderr.strip()[-200:]}"}
    return dict(json.loads(used.stdout))
