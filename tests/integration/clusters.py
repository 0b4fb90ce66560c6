"""A Ray cluster of two raylets in a network namespace of its own, one of them with another clock."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

AHEAD_S = 100_000  # the second raylet's clock
START_LIMIT_S = 60
_HEAD = "--head --node-ip-address=127.0.0.1 --port=6390 --include-dashboard=false"
_SECOND = "--address=127.0.0.1:6390 --node-ip-address=127.0.0.1"
_BOTH = "--block --num-cpus=1 --object-store-memory=80000000 --disable-usage-stats"


def why_not() -> str | None:
    """Why there can be no such cluster here; None when there can."""
    if find_spec("ray") is None:
        return "ray is not installed"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None or shutil.which("ip") is None:
        return "unshare, nsenter or ip is missing"
    tried = subprocess.run(["unshare", "--net", "--time", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "namespaces are not permitted"


@dataclass(frozen=True)
class TwoNodes:
    """The cluster; ``inside`` makes a command run in its namespace."""

    folder: Path
    inside: list[str]
    second: int  # pid of the second `ray start`
    environment: dict[str, str]

    def command(self, *argv: str, **variables: str) -> subprocess.Popen[str]:
        """Start the command line in the namespace; its output is piped."""
        return subprocess.Popen(
            [*self.inside, sys.executable, "-m", "inferometer", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.environment, **variables},
        )

    def end_second_raylet(self) -> None:
        """Kill the raylet of the second node, as a machine that runs out of memory does."""
        (raylet,) = [p for p in psutil.Process(self.second).children(recursive=True) if p.name() == "raylet"]
        raylet.kill()


@contextlib.contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start both raylets, with token authentication; afterwards end them and all that they have started."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray puts sockets below it
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "token").chmod(0o600)
    environment = {
        **os.environ,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # It ends when its standard input does, which is ours: nothing is left even if we are killed.
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        shifted = ["unshare", "--time", "--monotonic", str(AHEAD_S)]
        for clock, flags in (([], f"{_HEAD} --temp-dir={folder}/ray"), (shifted, _SECOND)):
            log = folder / f"node-{len(started)}.log"
            ray = f"{Path(sys.executable).parent}/ray"
            with log.open("wb") as output:
                command = [*inside, *clock, ray, "start", *flags.split(), *_BOTH.split()]
                started.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))
            _wait_for(log, started[-1])
        yield TwoNodes(folder, inside, started[1].pid, environment)
    finally:
        family = [child for process in started for child in _family(process.pid)]
        for process in started:
            process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=3)
        for left in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        for process in started:
            process.wait(10)
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
        shutil.rmtree(folder)


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    return []


def _wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    follower = subprocess.Popen(
        ["tail", f"--pid={process.pid}", "-F", "-n", "+1", str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert follower.stdout is not None
    try:
        for line in follower.stdout:
            if re.search(rb"Ray runtime started", line):
                return
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])
