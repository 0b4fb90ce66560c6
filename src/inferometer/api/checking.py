"""What can be said before a run: this machine, its envelope, and calibration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferometer.api.preparing import needed, prepare, shared
from inferometer.checks import calibration as calibrating
from inferometer.checks.calibration import Calibration, CalibrationObserver, Surroundings
from inferometer.checks.demand import Need
from inferometer.checks.envelope import Envelope, cache_dir, load_envelope, save_envelope
from inferometer.checks.limits import check_limits, limit_doubts, system_limits
from inferometer.checks.machine import Finding, look, this_machine
from inferometer.clock import MonotonicClock, utc_now
from inferometer.errors import UsageError
from inferometer.loadgen.affinity import allowed_cores
from inferometer.loadgen.run import execute
from inferometer.loadgen.stop import StopSignal
from inferometer.spec import (
    RunSpec,
    load_points,
)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What can be said before a run.

    Attributes:
        findings: settings of this machine, and where a plan may meet them.
        envelope: what the generator was found to carry here; None when that was never measured.
        hint: why there is no envelope, and what to do; empty when there is one.
        need: what the plan takes of the envelope; None without a plan or without an envelope.
        refused: why a run would not begin; None when it would, or without a plan.
    """

    findings: list[Finding]
    envelope: Envelope | None
    hint: str
    need: Need | None
    refused: UsageError | None


def check(plan: RunSpec | None = None) -> CheckReport:
    """Look at this machine, at the stored envelope, and at what a plan needs of both. Nothing is sent.

    Args:
        plan: the run in question; its address is not used.

    Raises:
        UsageError: the plan contradicts itself.
    """
    stored = load_envelope(cache_dir(os.environ), this_machine())
    need, refused = None, None
    findings = look()
    if plan is not None:
        points = load_points(plan)
        loads, limits = shared(points, plan), system_limits()
        need = needed(plan, points, stored.envelope)
        findings += [Finding("plan", False, *doubt) for doubt in limit_doubts(loads, limits)]
        try:
            check_limits(loads, limits)
        except UsageError as error:
            refused = error
    return CheckReport(findings, stored.envelope, stored.hint, need, refused)


def calibrate(
    observer: CalibrationObserver, workers: int | None = None, keep: Path | None = None
) -> Calibration:
    """Measure how much load the generator carries on this machine, in less than 90 s. Stores nothing.

    Args:
        observer: told of each load that is tried.
        workers: processes that carry the load; None = one, for what one carries can be scaled to more, but more of
            them leave the truth server too few cores to find their limit.
        keep: directory to keep the run folders in.

    Raises:
        LoadgenError: the truth server or a worker failed.
    """
    around = Surroundings(
        machine=this_machine(),
        cores=allowed_cores(),
        limits=system_limits(),
        clock=MonotonicClock(),
        utc_now=utc_now,
        measure=lambda spec, watcher: execute(prepare(spec), watcher, StopSignal()),
    )
    return calibrating.calibrate(around, workers or 1, observer, keep)


def store_envelope(envelope: Envelope) -> Path:
    """Keep ``envelope`` as that of this machine: ``run`` and ``check`` hold plans against it from now on.

    Returns:
        The file that it is in.

    Raises:
        UsageError: it cannot be stored.
    """
    return save_envelope(cache_dir(os.environ), envelope)
