"""Weights & Biases: a run in a project; ``WANDB_MODE=offline`` writes it to files that ``wandb sync`` uploads later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from inferometer.exchange.trackers.logged import Logged
from inferometer.exchange.trackers.tracker import TrackerError, library, told
from inferometer.record.tables import RunRecord

_LONGEST_TAG = 64
_NEXT_STEP = "log in with wandb login, or set WANDB_API_KEY, or WANDB_MODE=offline"


class WandbTracker:
    """As W&B's own environment variables say (``WANDB_API_KEY``, ``WANDB_PROJECT``, ``WANDB_MODE``, ``WANDB_DIR``)."""

    about = "Weights & Biases: config, metrics by load, files (WANDB_API_KEY, WANDB_MODE=offline, WANDB_DIR)"
    options: Mapping[str, str] = {
        "project": "name of the project (default: inferometer)",
        "entity": "user or team",
        "mode": "online, offline or disabled",
        "dir": "directory of local files",
    }

    def check(self) -> None:
        """See ``Tracker``."""
        library("wandb", "wandb")

    def send(self, run: RunRecord, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
        """See ``Tracker``."""
        wandb = library("wandb", "wandb")
        alone = wandb.run is None  # else its service belongs to whoever began that run
        with told("wandb", _NEXT_STEP):
            try:
                _check_key(wandb, options.get("mode"))
                return _sent(wandb, logged, files, options)
            finally:
                if alone:
                    wandb.teardown()


def _check_key(wandb: Any, asked_mode: str | None) -> None:
    """Without a key it would ask for one, and wait for an answer.

    Raises:
        TrackerError: a run is to be sent, and no key is known.
    """
    if (asked_mode or str(wandb.setup().settings.mode)) not in ("online", "shared"):
        return
    asks = "prompt" in signature(wandb.login).parameters
    if not (wandb.login(prompt=False) if asks else wandb.api.api_key):
        raise TrackerError("wandb knows no API key", _NEXT_STEP)


def _sent(wandb: Any, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
    words = [logged.tags["verdict"], *(["simulated"] if logged.tags["simulated"] == "true" else [])]
    made = wandb.init(
        project=options.get("project") or os.environ.get("WANDB_PROJECT") or "inferometer",
        entity=options.get("entity"),
        mode=options.get("mode"),
        dir=options.get("dir"),
        name=logged.name,
        config={**logged.params, **{f"tag.{key}": text for key, text in logged.tags.items()}},
        tags=[word[:_LONGEST_TAG] for word in words],
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_code=True,
            disable_git=True,
            x_disable_stats=True,  # of this machine, now: they are not of the run
            x_disable_meta=True,  # nor is its command line, which may hold a key
            x_save_requirements=False,
        ),
    )
    try:
        made.define_metric("*", step_metric="load")
        for point in logged.points:
            row = {"load": point.step, "load_title": point.title, "point_verdict": point.verdict}
            made.log({**row, **point.values}, step=point.step)
        made.summary.update(logged.totals)
        if files:
            kept = wandb.Artifact(f"inferometer-{logged.name}", type="inferometer-run")
            for path in files:
                kept.add_file(str(path), policy="immutable")
            made.log_artifact(kept)
        folder, disabled = Path(made.dir).parent, made.settings.mode == "disabled"
        url = None if made.offline or disabled else made.url
    finally:
        made.finish()
    if disabled:
        return "wandb  disabled: nothing was written"
    return f"wandb  {url or f'offline in {folder}  (upload: wandb sync {folder})'}"
