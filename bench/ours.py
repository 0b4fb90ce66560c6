"""Runs ``inferometer run`` on the truth server as a user would, and works out what it cost and how true it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import trustme

from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord
from inferometer.record.types import ChunkKind
from inferometer.testing.truth_server import TruthServer, TruthSettings, start_truth_server
from machine import busy_s
from measured import Measured, run_measured
from our_cases import Case
from slowed import slowing
from truth_error import Numbers, server_lateness, timing_error

COMMAND = [sys.executable, "-m", "inferometer", "run"]
BOUND_P99_US, BOUND_P999_US = 30.0, 500.0
_IMPORT_LINE = re.compile(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Machine:
    """Which core is whose.

    Attributes:
        server: the last core, the truth server's.
        client: core of the first worker and of the parent.
        workers: cores of several workers; the first one alone where there are only two.
        folder: where run folders may lie for a while.
    """

    server: int
    client: int
    workers: tuple[int, ...]
    folder: Path

    @cached_property
    def certificate(self) -> tuple[str, str]:
        """PEM files: the server's certificate with its key, and the authority."""
        authority = trustme.CA()
        own, root = self.folder / "server.pem", self.folder / "authority.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
        authority.cert_pem.write_to_path(str(root))
        return str(own), str(root)

    def settings(self, case: Case) -> TruthSettings:
        """The server for a case."""
        own = self.certificate[0] if case.tls else None
        return TruthSettings(case.ttft_s, case.itl_s, case.flood, certificate=own, key=own)

    def cores(self, case: Case) -> list[int]:
        """The cores of the load generator."""
        return [self.client] if case.workers == 1 else list(self.workers)

    def command(self, case: Case, url: str, out: Path) -> list[str]:
        """The command line of a case."""
        load = (
            ["--request-rate", str(case.rate)]
            if case.streams is None
            else ["--max-concurrency", str(case.streams)]
        )
        tls = ["--ca-file", self.certificate[1]] if case.tls else []
        return [
            *COMMAND, "--url", url, "--out", str(out), *load, *tls,
            "--num-prompts", str(case.requests), "--input-len", "16", "--output-len", str(case.tokens),
            "--workers", str(case.workers), "--warmup", "0", "--ui", "none", "--json",
        ]  # fmt: skip


def this_machine(folder: Path) -> Machine:
    """Last core for the server, the others for the client.

    Raises:
        SystemExit: there is only one core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the bench needs two cores: one for the truth server, one for the client")
    return Machine(cores[-1], cores[0], tuple(cores[:-1][:2]), folder)


@dataclass(frozen=True)
class Empty:
    """What a run costs that has next to nothing to do.

    Attributes:
        imports_cpu_s: CPU of starting its interpreters and importing what they import, all processes.
        cpu_s: CPU of its whole life.
        worker_rss_bytes: peak memory of its workers, their sum.
    """

    imports_cpu_s: float
    cpu_s: float
    worker_rss_bytes: int


class RunFailedError(Exception):
    """The load generator did not do what it was asked: the case has no result."""


def measure(case: Case, machine: Machine, empty: Empty) -> dict[str, Any]:
    """One repetition of a case.

    Raises:
        RunFailedError: no run folder came of it, or no answer in it.
    """
    with start_truth_server(machine.settings(case), machine.server) as server:
        busy_before_s, start_s = busy_s(), time.monotonic()
        used, record = _run(case, machine, server)
        server_s = sum(map(busy_s, server.pids))
        others_s = busy_s() - busy_before_s - used.cpu_s - server_s
        over_s = time.monotonic() - start_s
        log = server.log()
    table = record.measured[0]
    result: dict[str, Any] = {"code": used.code, "wall_s": used.wall_s, "cpu_s": used.cpu_s}
    # The process that slows the client down on purpose is in it; a few percent are the bench and the kernel.
    result |= {"foreign_cores": others_s / over_s, "server_cpu_s": server_s}
    result |= _costs(used, record, empty)
    result |= _rates(case, record)
    result |= timing_error(table, log) | server_lateness(log)
    verdict = record.meta.verdict or {}
    result["verdict"] = verdict.get("word", "none")
    result["failed_conditions"] = verdict.get("failed", [])
    result["valid"] = float(result["verdict"] == "VALID")
    within = (
        result.get("error_p99_us", np.inf) <= BOUND_P99_US
        and result.get("error_p999_us", np.inf) <= BOUND_P999_US
        and not result["requests_not_ok"]
        and not result["unmatched_chunks"]
    )
    result["within_bounds"] = float(within)
    result["honest"] = float(within or result["verdict"] == "INVALID")
    return result


def _run(case: Case, machine: Machine, server: TruthServer) -> tuple[Measured, RunRecord]:
    out = Path(tempfile.mkdtemp(dir=machine.folder))
    try:
        with slowing(case.slowed, machine.client):
            used = run_measured(machine.command(case, server.url, out), machine.cores(case), timeout_s=600)
        return used, open_run(used)
    finally:
        shutil.rmtree(out)


def open_run(used: Measured) -> RunRecord:
    """The run that a command line of ``Machine.command`` left.

    Raises:
        RunFailedError: it left none; with its own words.
        RunFolderError: what it left cannot be read.
    """
    lines = used.stdout.strip().splitlines()
    try:
        return read_run(Path(json.loads(lines[-1])["run"]))
    except (IndexError, ValueError, KeyError) as error:
        said = "\n".join([*lines[-5:], *used.stderr.strip().splitlines()[-15:]])
        raise RunFailedError(f"exit status {used.code}:\n{said}") from error


def _costs(used: Measured, record: RunRecord, empty: Empty) -> Numbers:
    table = record.measured[0]
    events = int((table.chunks["kind"] == ChunkKind.CONTENT).sum())
    requests = len(table.number("index"))
    if not events:
        raise RunFailedError(f"exit status {used.code}: no content in {requests} requests")
    health = table.point.health
    worker_s = sum(h.cpu_s for h in health)
    after_imports_s = used.cpu_s - empty.imports_cpu_s
    rss_bytes = [h.rss_peak_bytes for h in health]
    known = sum(b for b in rss_bytes if b is not None) if all(rss_bytes) else None
    streams = table.point.load["max_concurrency"]
    return {
        "events": events,
        "requests": requests,
        "us_per_event_whole_life": used.cpu_s / events * 1e6,
        "us_per_event": after_imports_s / events * 1e6,
        "us_per_event_worker": worker_s / events * 1e6,
        "ms_per_request_whole_life": used.cpu_s / requests * 1e3,
        "ms_per_request": after_imports_s / requests * 1e3,
        "ms_per_request_worker": worker_s / requests * 1e3,
        "worker_cpu_share": worker_s / sum(h.wall_s for h in health),
        "peak_mb": used.peak_rss_bytes / 1e6,
        "worker_peak_mb": None if known is None else known / 1e6,
        "kib_per_stream": (
            None if known is None or not streams else (known - empty.worker_rss_bytes) / 1024 / streams
        ),
    }


def _rates(case: Case, record: RunRecord) -> Numbers:
    table = record.measured[0]
    content = table.chunks["kind"] == ChunkKind.CONTENT
    received_ns = table.chunks["recv_ns"][content]
    sent_ns, planned_ns, end_ns = (table.number(name) for name in ("sent_ns", "planned_ns", "end_ns"))
    ok = int((table.text("status") == "ok").sum())
    span_s = float(received_ns.max() - np.nanmin(sent_ns)) / 1e9
    found: Numbers = {
        "requests_ok": ok,
        "requests_not_ok": len(sent_ns) - ok,
        "events_per_s": len(received_ns) / span_s,
        "streams_held": _most_at_once(sent_ns, end_ns),
    }
    if case.streams is None:
        asked_s, done_s = np.ptp(planned_ns), np.ptp(sent_ns)
        found["send_rate_off_percent"] = float(abs(asked_s / done_s - 1) * 100)
        lag_ms = (sent_ns - planned_ns) / 1e6
        found |= {f"send_lag_p{p}_ms": float(np.percentile(lag_ms, p)) for p in (50, 99)}
        found["send_lag_max_ms"] = float(lag_ms.max())
    elif not case.flood:
        # How long a permit is held against how long the server takes (Little's law): free of the ramp at both
        # ends. The first round is left out, as all its permits are free at one moment.
        later = table.number("index") >= case.streams
        if later.any():
            held_s = float(np.mean((end_ns - planned_ns)[later])) / 1e9
            found["rate_off_percent"] = (1 - case.ideal_s / held_s) * 100
    return found


def _most_at_once(start_ns: Any, end_ns: Any) -> float:
    """Peak of requests in flight."""
    moments = np.concatenate([start_ns, end_ns])
    steps = np.concatenate([np.ones(len(start_ns)), -np.ones(len(end_ns))])
    return float(np.cumsum(steps[np.lexsort((steps, moments))]).max())


def measure_empty(workers: int, machine: Machine) -> Empty:
    """What a run of two requests costs, and its imports alone."""
    case = Case("empty", "", 2, 2, streams=2, itl_s=0.001, ttft_s=0.001, workers=workers)
    with start_truth_server(machine.settings(case), machine.server) as server:
        used, record = _run(case, machine, server)
        modules = _imported(case, machine, server)
    imports_cpu_s = sum(_import_cpu_s(names, machine.client) for names in modules)
    rss_bytes = sum(h.rss_peak_bytes or 0 for h in record.measured[0].point.health)
    return Empty(imports_cpu_s, used.cpu_s, rss_bytes)


def _imported(case: Case, machine: Machine, server: TruthServer) -> list[list[str]]:
    """The modules that each process of a run imports, in their order."""
    out = Path(tempfile.mkdtemp(dir=machine.folder))
    try:
        command = machine.command(case, server.url, out)
        used = run_measured(
            command, machine.client, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}, timeout_s=60
        )
        logs = sorted({log.resolve() for log in out.glob("*/worker-*.log")})  # "latest" is a link
        found = [_IMPORT_LINE.findall(text) for text in (used.stderr, *(log.read_text() for log in logs))]
    finally:
        shutil.rmtree(out)
    if len(found) != case.workers + 1 or not all(found):
        raise RunFailedError(f"{len(found)} of {case.workers + 1} processes told what they import")
    return found


def _import_cpu_s(modules: list[str], core: int) -> float:
    """CPU of an interpreter that imports these modules and ends at once; median of 3."""
    program = (
        "import sys, os, importlib, contextlib\n"
        "for name in sys.argv[1:]:\n"
        "    with contextlib.suppress(Exception): importlib.import_module(name)\n"
        "os._exit(0)\n"
    )
    return float(
        np.median([run_measured([sys.executable, "-c", program, *modules], core).cpu_s for _ in range(3)])
    )
