"""Runs in progress in the text format of Prometheus 0.0.4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from inferometer.ui.live import LivePoint, LiveRun

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_GAUGES: Final[tuple[tuple[str, str, Callable[[LivePoint], float | None]], ...]] = (
    ("point_requests_finished", "requests of the load point under way that have finished", lambda p: p.done),
    ("point_requests_failed", "of those, the ones that failed", lambda p: p.failed),
    ("point_requests_planned", "requests that were planned for it", lambda p: p.planned),
    ("point_requests_in_flight", "requests in flight", lambda p: p.in_flight),
    ("point_elapsed_seconds", "time since it began", lambda p: p.elapsed_s),
    ("point_output_tokens", "output tokens of its finished requests", lambda p: p.output_tokens),
    ("point_output_tokens_per_second", "the same over the time", lambda p: p.output_rate_per_s),
    ("point_requests_per_second", "finished requests over the time", lambda p: p.request_rate_per_s),
)
_LATENCIES: Final[tuple[tuple[str, str, Callable[[LivePoint], dict[str, float | None]]], ...]] = (
    ("point_ttft_seconds", "time to first token so far", lambda p: p.ttft_ms),
    ("point_tpot_seconds", "time per output token so far", lambda p: p.tpot_ms),
)


def render(runs: Sequence[LiveRun]) -> str:
    """Gauges of the load point under way in each run; a value that is not known has no line."""
    lines = [
        "# HELP inferometer_runs_in_progress runs that go on",
        "# TYPE inferometer_runs_in_progress gauge",
    ]
    lines.append(f"inferometer_runs_in_progress {len(runs)}")
    under_way = [(_labels(run), run.points[-1]) for run in runs if run.points]
    for name, about, value_of in _GAUGES:
        found = [(labels, value_of(point)) for labels, point in under_way]
        lines += _family(name, about, found)
    for name, about, percentiles_of in _LATENCIES:
        found = [
            (f'{labels},quantile="{float(key[1:]) / 100:g}"', None if value is None else value / 1000)
            for labels, point in under_way
            for key, value in percentiles_of(point).items()
        ]
        lines += _family(name, about, found)
    return "\n".join(lines) + "\n"


def _family(name: str, about: str, found: Iterable[tuple[str, float | None]]) -> list[str]:
    lines = [f"inferometer_{name}{{{labels}}} {value:.10g}" for labels, value in found if value is not None]
    head = [f"# HELP inferometer_{name} {about}", f"# TYPE inferometer_{name} gauge"]
    return [*head, *lines] if lines else []


def _labels(run: LiveRun) -> str:
    point = run.points[-1]
    values = {"run": run.name, "model": run.model, "load": point.title, "kind": point.kind}
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
