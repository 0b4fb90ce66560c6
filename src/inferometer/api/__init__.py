"""What the command line and a notebook call: run, demo, check, calibrate, report, tables, recover, list_runs."""

from inferometer.api.checking import CheckReport, calibrate, check, store_envelope
from inferometer.api.found import Answer, stored_answer
from inferometer.api.measuring import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_SLO_NOT_MET, RunResult, demo, run
from inferometer.api.preparing import open_data, prepare
from inferometer.api.resuming import Outline, Resumption, outline, resume
from inferometer.api.searching import SearchResult, search
from inferometer.api.speeding import SpeedResult, speed, speed_report
from inferometer.api.stored import RunListing, list_runs, recover, report, report_page
from inferometer.api.tables import tables

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_INVALID",
    "EXIT_SLO_NOT_MET",
    "Answer",
    "CheckReport",
    "Outline",
    "Resumption",
    "RunListing",
    "RunResult",
    "SearchResult",
    "SpeedResult",
    "calibrate",
    "check",
    "demo",
    "list_runs",
    "open_data",
    "outline",
    "prepare",
    "recover",
    "report",
    "report_page",
    "resume",
    "run",
    "search",
    "speed",
    "speed_report",
    "store_envelope",
    "stored_answer",
    "tables",
]
