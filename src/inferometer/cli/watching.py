"""Who watches a run: the terminal, and Prometheus where ``--prometheus-port`` asks for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from inferometer.cli.live import watcher
from inferometer.cli.outcome import terminal
from inferometer.loadgen.progress import Observer
from inferometer.spec import RunSpec
from inferometer.version import __version__


@contextmanager
def watching(spec: RunSpec, *, quiet: bool) -> Iterator[Observer]:
    """The observer of a run, as its output options ask for it.

    Raises:
        UsageError: the port for Prometheus is taken, or a tracker cannot be used; nothing was sent yet.
    """
    if spec.output.track:
        from inferometer.exchange.trackers import check

        for name in spec.output.track:
            check(name)
    with watcher("none" if quiet else spec.output.ui, terminal()) as observer:
        if spec.output.prometheus_port is None:
            yield observer
            return
        from inferometer.exchange.prometheus.endpoint import MetricsEndpoint
        from inferometer.exchange.prometheus.watched import WatchedRun

        watched = WatchedRun(observer, _info(spec))
        with MetricsEndpoint(spec.output.prometheus_port, watched.families) as endpoint:
            if not quiet:
                print(f"metrics  {endpoint.url}", file=sys.stderr, flush=True)
            yield watched


def _info(spec: RunSpec) -> dict[str, str]:
    """Labels of the run; what was not told is left out."""
    told = {
        "model": spec.endpoint.model,
        "backend": spec.endpoint.backend,
        "label": "-".join(spec.output.label),
        "version": __version__,
    }
    return {name: str(value) for name, value in told.items() if value}
