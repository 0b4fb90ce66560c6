"""Files of an export at their place: all of them or none, and never over something that was there unless asked."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from inferometer.errors import UsageError
from inferometer.record.draft import draft_of

_STEP = "name another place with --to, or replace what is there with --overwrite"


def place_all(files: Mapping[Path, bytes], *, overwrite: bool = False) -> None:
    """Write files under their names when every one of them could be written.

    Args:
        files: content by path; folders that are missing are made.
        overwrite: files may be there, and are replaced.

    Raises:
        UsageError: one exists already, or cannot be written; then none is.
    """
    for path in files:
        _check(path, overwrite)
    drafts: list[tuple[Path, Path]] = []
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            drafts.append((draft_of(path, content), path))
        if not overwrite:
            for path in files:
                _check(path, overwrite)
        for draft, path in drafts:
            draft.replace(path)
    except OSError as error:
        name = error.filename2 or error.filename or "a file"
        raise UsageError(
            f"{name} cannot be written: {error.strerror}",
            "free some space, fix the permissions, or name another place with --to",
        ) from None
    finally:
        for draft, _ in drafts:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def _check(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a directory", f"name a file in it, or a folder: {path}/")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already", _STEP)
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{path} cannot be written: {above} is a file", "name another place with --to")
