"""``--resume`` of the command line: which run, with what values, and what it would do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.parse import Asked
from inferometer.cli.which import find_run
from inferometer.record.folder import read_meta
from inferometer.spec import Layer, Merged, RunSpec, environment_layer, file_layer, with_warmups
from inferometer.spec.stored import check_kind, stored_layer

if TYPE_CHECKING:
    from inferometer.api import Outline, Resumption


def run_to_resume(asked: Asked, verb: str = "run") -> Path | None:
    """The folder of the run to go on with; None for a new run.

    Raises:
        UsageError: no such run, or one that the other verb began.
    """
    if asked.resume is None:
        return None
    file = file_layer(asked.config) if asked.config else Layer()
    layers = (asked.flags, environment_layer(os.environ), file)
    given = [layer.values["output.out"] for layer in layers if "output.out" in layer.values]
    folder = find_run(asked.resume, str(given[0]) if given else RunSpec().output.out)
    check_kind(read_meta(folder).spec, folder.name, verb)
    return folder


def layer_of(folder: Path, given: Collection[str]) -> Layer:
    """The values that a stored run was asked for, beside those that are ``given`` by name.

    Raises:
        RunFolderError: it cannot be read by this version.
    """
    return stored_layer(read_meta(folder).spec, folder.name, given)


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
    lines = _listed(found, folder)
    if not found.missing:
        lines += ["nothing is left to measure", "nothing was sent: --dry-run"]
    else:
        todo = with_warmups(merged.spec, [point for point, _ in found.missing])
        lines += ["", render_plan(merged.spec, merged.origins, todo, estimate(merged.spec, todo))]
    return "\n".join(lines)


def _listed(found: Outline, folder: Path) -> list[str]:
    rows = [(point.index, point.to_dict(), "kept") for point in found.kept]
    rows += [(point.index, point.to_dict(), f"to measure: {why}") for point, why in found.missing]
    rows += [(point.index, point.to_dict(), "left out: overrun") for point in found.left_out]
    rows += [(point.index, point.load, "kept, not in the list") for point in found.others]
    return _told(found, folder, rows)


def render_search(asked: Asked, spec: RunSpec, folder: Path) -> str:
    """What a search that goes on has, for ``--dry-run``.

    Raises:
        UsageError, RunFolderError: as ``api.search``.
    """
    from inferometer import api

    found = api.outline(folder, spec, how_of(asked))
    return "\n".join(_told(found, folder, [(point.index, point.load, "kept") for point in found.others]))


def _told(found: Outline, folder: Path, rows: Sequence[tuple[int, Mapping[str, Any], str]]) -> list[str]:
    """Number, load and fate of each load point, and what is not as it was."""
    from inferometer.report.sweep import titled

    loads = [load for _, load, _ in rows]
    repeated = any(load.get("repeat", 1) > 1 for load in loads)
    names = [
        name + (f", repeat {load.get('repeat', 1)}" if repeated else "")
        for name, load in zip(titled(loads), loads, strict=True)
    ]
    width = max([36, *(len(name) + 2 for name in names)])
    lines = [f"Going on with run {folder.name}"]
    told = sorted((index, name, what) for (index, _, what), name in zip(rows, names, strict=True))
    lines += [f"  {index:<8}{name:<{width}}{what}" for index, name, what in told]
    if found.changed:
        lines += [
            "not as it was, which is refused without --force:",
            *(f"  {change}" for change in found.changed),
        ]
    return lines
