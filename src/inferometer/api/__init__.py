"""What the command line and a notebook call: run, demo, check, calibrate, report, recover, list_runs."""

from inferometer.api.checking import CheckReport, calibrate, check, store_envelope
from inferometer.api.measuring import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_SLO_NOT_MET, RunResult, demo, run
from inferometer.api.preparing import open_data, prepare
from inferometer.api.stored import RunListing, list_runs, recover, report

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_INVALID",
    "EXIT_SLO_NOT_MET",
    "CheckReport",
    "RunListing",
    "RunResult",
    "calibrate",
    "check",
    "demo",
    "list_runs",
    "open_data",
    "prepare",
    "recover",
    "report",
    "run",
    "store_envelope",
]
