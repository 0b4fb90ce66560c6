"""What our pages of metrics hold: each family once, with its kind, meaning and unit, whoever has values for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inferometer.exchange.prometheus.exposition import Family, Kind, Sample

PREFIX = "inferometer_"
Values = Iterable[tuple[float | None, Mapping[str, str]]]
"""Values with their labels; None = not known."""


class _Declared(NamedTuple):
    kind: Kind
    help: str
    unit: str = ""


_ABOUT = "since the run began, by kind of load point"
_DECLARED: Mapping[str, _Declared] = {
    "runs_in_progress": _Declared("gauge", "Runs that go on."),
    "run": _Declared("info", "The run that is measured."),
    "requests_done": _Declared("counter", f"Requests that ended, failed ones included, {_ABOUT}."),
    "requests_failed": _Declared("counter", f"Requests that failed, {_ABOUT}."),
    "output_tokens": _Declared("counter", f"Output tokens of requests that ended, {_ABOUT}."),
    "load_point": _Declared("info", "The load point under way."),
    "requests_in_flight": _Declared("gauge", "Requests sent and not ended."),
    "load_point_requests_planned": _Declared(
        "gauge", "Requests of the load point; absent when time alone bounds it."
    ),
    "load_point_elapsed_seconds": _Declared("gauge", "Time since the load point began.", "seconds"),
    "load_point_limit_seconds": _Declared("gauge", "Time limit of the load point.", "seconds"),
    "run_left_seconds": _Declared("gauge", "Estimated time until the whole run ends.", "seconds"),
    "asked_concurrency": _Declared("gauge", "Requests in flight that were asked for, or the limit on them."),
    "asked_request_rate_per_second": _Declared(
        "gauge", "Requests per second that were asked for; +Inf = all at once."
    ),
    "request_rate_per_second": _Declared(
        "gauge", "Requests that ended per second since the load point began."
    ),
    "output_token_rate_per_second": _Declared("gauge", "Output tokens per second since the load point began."),
    "ttft_seconds": _Declared("gauge", "Time to first token, of the load point so far.", "seconds"),
    "tpot_seconds": _Declared("gauge", "Time per output token, of the load point so far.", "seconds"),
    "send_lag_max_seconds": _Declared(
        "gauge", "Longest time from due to sent, in the latest second, of all workers.", "seconds"
    ),
    "receive_lag_max_seconds": _Declared(
        "gauge", "Longest time from received by the kernel to read, in the latest second.", "seconds"
    ),
    "worker_cpu_share": _Declared("gauge", "CPU of the busiest worker in the latest second, as a share of one core."),
    "stopping": _Declared("gauge", "1 when the load point sends nothing more."),
}  # fmt: skip


def families(values: Mapping[str, Values]) -> list[Family]:
    """The families that have values, in the order of the page.

    Args:
        values: by name without the prefix, each a declared one.
    """
    assert values.keys() <= _DECLARED.keys()
    found = []
    for name, about in _DECLARED.items():
        known = tuple(Sample(v, labels) for v, labels in values.get(name, ()) if v is not None)
        if known:
            found.append(
                Family(name=PREFIX + name, kind=about.kind, help=about.help, unit=about.unit, samples=known)
            )
    return found
