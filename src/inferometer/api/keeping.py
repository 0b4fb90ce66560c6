"""Stored runs as things to keep: their labels, and their removal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from inferometer.errors import RunFolderError
from inferometer.record.folder import RUN_JSON, point_latest, read_meta, write_meta
from inferometer.record.lock import writing
from inferometer.record.types import RunMeta

_LATEST = "latest"


def tag(folder: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Set labels of a run, and take away those whose value is empty; the labels that it has then.

    Raises:
        RunFolderError: not a run folder, one of a run that is still going on, or it cannot be written.
    """
    with _changing(folder) as meta:
        labels = {**meta.labels, **changes}
        meta.labels = {name: value for name, value in labels.items() if value}
    return meta.labels


def relabel(folder: Path, label: str, labels: Mapping[str, str]) -> None:
    """Give a closed run another label, and these ``key=value`` labels in place of its own.

    Raises:
        RunFolderError: not a run folder, one of a run that is still going on, or it cannot be written.
    """
    with _changing(folder) as meta:
        meta.label, meta.labels = label, dict(labels)


@contextmanager
def _changing(folder: Path) -> Iterator[RunMeta]:
    """What is known of a run, written back at the end; its numbers stay as they are."""
    with writing(folder):
        meta = read_meta(folder)
        yield meta
        write_meta(folder, meta)


def remove(folder: Path) -> None:
    """Remove a run with all its files; ``latest`` beside it then points to the newest run that is left.

    Raises:
        RunFolderError: the run is still going on, or the disk refused it.
    """
    latest = folder.parent / _LATEST
    was_latest = latest.is_symlink() and latest.resolve() == folder.resolve()
    with writing(folder):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunFolderError(
                f"{str(folder)!r} cannot be removed: {error.strerror}", "see who owns the files in it"
            ) from None
    if was_latest:
        latest.unlink(missing_ok=True)
        left = sorted(path.parent for path in folder.parent.glob(f"*/{RUN_JSON}"))
        if left:
            point_latest(folder.parent, left[-1])
