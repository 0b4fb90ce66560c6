"""``--resume`` of the command line: which run, with what values, and what it would do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.cli.parse import Asked
from inferometer.cli.which import find_run
from inferometer.spec import Layer, Merged, RunSpec, environment_layer, file_layer, load_title, with_warmups

if TYPE_CHECKING:
    from inferometer.api import Outline, Resumption


def run_to_resume(asked: Asked) -> Path | None:
    """The folder of the run to go on with; None for a new run.

    Raises:
        UsageError: no such run.
    """
    if asked.resume is None:
        return None
    file = file_layer(asked.config) if asked.config else Layer()
    layers = (asked.flags, environment_layer(os.environ), file)
    given = [layer.values["output.out"] for layer in layers if "output.out" in layer.values]
    return find_run(asked.resume, str(given[0]) if given else RunSpec().output.out)


def layer_of(folder: Path) -> Layer:
    """The values that a stored run was asked for.

    Raises:
        RunFolderError: it cannot be read by this version.
    """
    from inferometer.record.folder import read_meta
    from inferometer.spec.stored import stored_layer

    return stored_layer(read_meta(folder).spec, folder.name)


def how_of(asked: Asked) -> Resumption:
    """What to measure again, and what to accept."""
    from inferometer.api import Resumption

    return Resumption(asked.redo, asked.force)


def teller(asked: Asked) -> Callable[[str], None]:
    """Says on stderr what is there already; nothing with ``--quiet``."""

    def tell(text: str) -> None:
        if not asked.quiet:
            print(f"resume: {text}", file=sys.stderr, flush=True)

    return tell


def render_resumption(asked: Asked, merged: Merged, folder: Path) -> str:
    """The plan of a run that goes on, for ``--dry-run``.

    Raises:
        UsageError, RunFolderError: as ``api.resume``.
    """
    from inferometer import api
    from inferometer.api.estimating import estimate
    from inferometer.cli.plan import render_plan

    found = api.outline(folder, merged.spec, how_of(asked))
    lines = [*_listed(found, folder)]
    if found.missing:
        todo = with_warmups(merged.spec, [point for point, _ in found.missing])
        lines = [render_plan(merged.spec, merged.origins, todo, estimate(merged.spec, todo)), "", *lines]
    return "\n".join(lines)


def _listed(found: Outline, folder: Path) -> list[str]:
    numbered = {point.index: (load_title(point.to_dict()), "kept") for point in found.kept}
    numbered |= {
        point.index: (load_title(point.to_dict()), f"to measure: {why}") for point, why in found.missing
    }
    numbered |= {point.index: (load_title(point.to_dict()), "left out: overrun") for point in found.left_out}
    numbered |= {point.index: (load_title(point.load), "kept, not in the list") for point in found.others}
    lines = [f"Going on with run {folder.name}"]
    lines += [f"  {index:<8}{title:<36}{what}" for index, (title, what) in sorted(numbered.items())]
    if not found.missing:
        lines.append("nothing is left to measure")
    if found.changed:
        lines += [
            "not as it was, which is refused without --force:",
            *(f"  {change}" for change in found.changed),
        ]
    return lines
