"""Carries out what of a plan runs on this host: its scripts, kept as a family each; waits until every rank answers."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.engines.asking import RefusedError
from inferometer.engines.engine import CommandLine
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import Process
from inferometer.engines.nodes.scripts import Rendered, node_script
from inferometer.engines.nodes.warmup import Rank, listed
from inferometer.engines.ports import free_port
from inferometer.engines.process import EngineProcess
from inferometer.errors import EndpointError, EngineError, InterruptedEarlyError, UsageError
from inferometer.loadgen.stop import StopSignal

_ASK_S = 2.0
_BETWEEN_S = 0.2
# A node's script takes 30 s at most to end what it has started; it is asked first, and has half of this.
_GRACE_S = 70.0
_LAST_LINES = 5
_ENDED = " ended with status "  # as launcher.sh says it


class NodeRun(msgspec.Struct, frozen=True, kw_only=True):
    """A node's script that runs here."""

    node: int
    script: EngineProcess
    logs: Path


def write(files: Sequence[Rendered], folder: Path) -> None:
    """Write the files of a plan; those of the same plan may be there already.

    Raises:
        UsageError: the folder cannot be written, or holds another file of such a name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = folder / file.name
            if path.exists() and path.read_text(encoding="utf-8") != file.text:
                raise UsageError(
                    f"{path} is there, and is not what this plan writes", "choose another --out, or remove it"
                )
            mode = 0o700 if file.program else 0o600  # a key of the engine may be in it
            path.touch(mode)
            path.chmod(mode)
            path.write_text(file.text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(
            f"--out {str(folder)!r} cannot be written: {reason}", "choose another --out"
        ) from None


def local_nodes(plan: NodePlan) -> list[int]:
    """Numbers of the nodes that are this host."""
    return [number for number, node in enumerate(plan.nodes) if _is_here(node)]


@contextlib.contextmanager
def started(
    plan: NodePlan, folder: Path, clock: Clock, tell: Callable[[str], None]
) -> Iterator[list[NodeRun]]:
    """Run the scripts of this host's nodes; leaving the context stops them and all they have started.

    Args:
        plan: what runs.
        folder: that its files were written to; logs go below it.
        clock: of time limits.
        tell: told of each script.

    Raises:
        UsageError: no node of the plan is this host, or bash is missing.
    """
    here = local_nodes(plan)
    if not here:
        raise UsageError(
            f"none of {', '.join(plan.nodes)} is an address of this host, so that nothing can be started here",
            f"copy the folder of --out to each node and run its script: {node_script(0)} on {plan.head}, and so on",
        )
    # What is installed beside this program is found first: inferometer, python3, ray, vllm.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with contextlib.ExitStack() as stack:
        runs = []
        for number in here:
            script = (folder / node_script(number)).absolute()
            logs = script.parent / "logs" / f"node-{number}"
            logs.mkdir(parents=True, exist_ok=True)
            command = CommandLine(argv=("bash", str(script)), env={"PATH": path})
            process = stack.enter_context(
                EngineProcess(command, logs / "script.log", clock, grace_s=_GRACE_S)
            )
            runs.append(NodeRun(node=number, script=process, logs=logs))
            tell(f"node {number}  {plan.nodes[number]}  pid {process.pid}  logs {logs}")
        yield runs


def check_ports(processes: Sequence[Process], here: Sequence[int]) -> None:
    """Nobody listens where a process of this host is to.

    Raises:
        UsageError: somebody does.
    """
    for process in processes:
        if process.url is None or process.node not in here:
            continue
        url = urlsplit(process.url)
        assert url.hostname is not None
        assert url.port is not None
        try:
            free_port(url.hostname, url.port)
        except UsageError as error:
            raise UsageError(
                f"{process.name} cannot listen at {process.url}: {error.message}",
                "is it running already? stop it, or choose another --port or --proxy-port",
            ) from None


def wait_ready(
    ranks: Sequence[Rank],
    runs: Sequence[NodeRun],
    limit_s: float,
    clock: Clock,
    stop: StopSignal,
    tell: Callable[[str], None],
) -> None:
    """Until every rank lists its models, on whichever node it is.

    Args:
        ranks: all of them.
        runs: scripts of this host, whose end ends the waiting.
        limit_s: longest wait for all.
        clock: of time limits.
        stop: asked once, it is given up.
        tell: told how many answer, whenever that changes.

    Raises:
        EngineError: a script ended, a rank refuses, or not all answered in time; with what was said last.
        InterruptedEarlyError: ``stop`` was asked.
    """
    waiting = list(ranks)
    limit_ns = clock.now_ns() + round(limit_s * 1e9)
    why = ""
    tell(f"ready  0 of {len(ranks)} ranks")
    while waiting:
        before = len(waiting)
        for rank in list(waiting):
            check_alive(runs)
            if stop.level:
                raise InterruptedEarlyError(
                    f"interrupted while {len(waiting)} of {len(ranks)} ranks were awaited"
                )
            try:
                listed(_located(rank), _ASK_S, clock, lambda: stop.level > 0)
            except RefusedError as error:
                raise EngineError(
                    f"rank {rank.rank} at {rank.url} refuses to list its models: {error.message}",
                    "is it what the plan starts? if it asks for a key, give it in OPENAI_API_KEY",
                ) from None
            except EndpointError as error:
                why = error.message
            else:
                waiting.remove(rank)
        if len(waiting) < before:
            tell(f"ready  {len(ranks) - len(waiting)} of {len(ranks)} ranks")
        if waiting and clock.now_ns() > limit_ns:
            raise EngineError(
                f"{len(waiting)} of {len(ranks)} ranks do not answer after {limit_s:g} s; the last said: {why}",
                "see the logs of its node; are the scripts of the other nodes running? or raise --ready-limit",
            )
        if waiting:
            time.sleep(_BETWEEN_S)


def _located(rank: Rank) -> Target:
    if rank.target is None:
        raise EngineError(f"rank {rank.rank} at {rank.url}: {rank.unknown}", "correct the plan's nodes")
    return rank.target


def watch(runs: Sequence[NodeRun], stop: StopSignal) -> None:
    """Until ``stop`` is asked.

    Raises:
        EngineError: a script has ended by itself.
    """
    while not stop.level:
        check_alive(runs)
        time.sleep(_BETWEEN_S)


def check_alive(runs: Sequence[NodeRun], patience_s: float = 0.0) -> None:
    """All scripts run, each that long still.

    Raises:
        EngineError: one has ended; with the last lines of what it and the process it names have written.
    """
    for run in runs:
        ending = run.script.wait(patience_s)
        if ending is None:
            continue
        said = _last_lines(run.script.log)
        names = [line.partition(_ENDED)[0] for line in said if _ENDED in line]
        told = [
            line for name in names for line in (f"{name} wrote last:", *_last_lines(run.logs / f"{name}.log"))
        ]
        text = "".join(f"\n  {line}" for line in told or said)
        raise EngineError(
            f"the script of node {run.node} ended ({ending.words}), and all it had started with it:{text}",
            f"see the logs in {run.logs}",
        )


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []  # it had not been started when the script ended


def _is_here(node: str) -> bool:
    """Whether this host has that address: then it can listen there."""
    try:
        found = socket.getaddrinfo(node, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(_can_bind(family, address[0]) for family, _, _, _, address in found)


def _can_bind(family: int, host: str | int) -> bool:
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
