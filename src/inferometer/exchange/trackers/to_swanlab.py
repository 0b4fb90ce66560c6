"""SwanLab: an experiment in a project; ``SWANLAB_MODE=offline`` or ``local`` writes it to files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inferometer.errors import UsageError
from inferometer.exchange.trackers.logged import Logged
from inferometer.exchange.trackers.tracker import TrackerError, library, told
from inferometer.record.tables import RunRecord


class SwanlabTracker:
    """As SwanLab's own environment variables say (``SWANLAB_API_KEY``, ``SWANLAB_MODE``, ``SWANLAB_LOG_DIR``)."""

    about = "SwanLab: config, metrics by load (SWANLAB_API_KEY, SWANLAB_MODE=offline, SWANLAB_LOG_DIR)"
    options: Mapping[str, str] = {
        "project": "name of the project (default: inferometer)",
        "workspace": "user or organization",
        "mode": "online, local, offline or disabled",
        "dir": "directory of local files",
    }

    def check(self) -> None:
        """See ``Tracker``."""
        library("swanlab", "swanlab")

    def send(self, run: RunRecord, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
        """See ``Tracker``."""
        swanlab = library("swanlab", "swanlab")
        if (options.get("mode") or os.environ.get("SWANLAB_MODE")) == "local":
            _check_dashboard()
        if swanlab.has_run():
            raise TrackerError(
                "swanlab has a run under way in this process", "finish it with swanlab.finish()"
            )
        with told("swanlab", "log in with swanlab login, or set SWANLAB_MODE=offline"):
            return _sent(swanlab, logged, files, options)


def _check_dashboard() -> None:
    """Without it local mode writes nothing that its dashboard shows, and says so in a log alone.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("swanboard") is None:
        raise UsageError(
            "swanlab's mode local needs its dashboard",
            "pip install 'swanlab[dashboard]', or SWANLAB_MODE=offline",
        )


def _sent(swanlab: Any, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
    words = [logged.tags["verdict"], *(["simulated"] if logged.tags["simulated"] == "true" else [])]
    said = io.StringIO()  # greetings, which would stand in the middle of ours
    with redirect_stdout(said), redirect_stderr(said):
        made = swanlab.init(
            project=options.get("project") or os.environ.get("SWANLAB_PROJECT") or "inferometer",
            workspace=options.get("workspace"),
            mode=options.get("mode"),
            log_dir=options.get("dir"),
            name=logged.name,
            tags=words,
            config={**logged.params, **{f"tag.{key}": text for key, text in logged.tags.items()}},
            settings=_quiet(swanlab),
        )
        try:
            for point in logged.points:
                made.log(point.values, step=point.step)
            made.log(logged.totals, step=0)
            for path in files:
                made.save(path, base_path=path.parent, policy="now")
            mode, folder, url = made.mode, made.dir, made.url if made.mode == "online" else None
        finally:
            made.finish()
    if mode == "disabled":
        return "swanlab  disabled: nothing was written"
    hint = f"  (upload: swanlab sync {folder})" if mode == "offline" else ""
    return f"swanlab  {url or f'{mode} in {folder}'}{hint}"


def _quiet(swanlab: Any) -> Any:
    """Settings that record nothing of this process: its command line may hold a key, its machine is not the run's."""
    return swanlab.Settings(
        interactive=False,
        probe=swanlab.Settings.Probe(
            hardware=False, runtime=False, requirements=False, git=False, monitor=False
        ),
        terminal=swanlab.Settings.Terminal(proxy_type="none"),
    )
