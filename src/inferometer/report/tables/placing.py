"""Files that a person asked for by name: whole or not at all, and never over something that was there."""

from __future__ import annotations

import os
from pathlib import Path

from inferometer.errors import UsageError
from inferometer.record.draft import draft_of

_STEP = "give another name, or --overwrite to replace it"


def check_free(path: Path, *, overwrite: bool = False, next_step: str = _STEP) -> None:
    """Refuse a file that could not be written later on.

    Args:
        path: the file.
        overwrite: it may be there.
        next_step: what to do about a file that is there.

    Raises:
        UsageError: it exists already, is a directory, or its directory does not exist or may not be written to.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory", f"name a file in it, such as {path / 'table.csv'}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already", next_step)
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}", "create it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: {path.parent} is not writable", "name another directory")


def place(path: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a file under its name when all of it is there.

    Raises:
        UsageError: it exists already and may not be replaced, or cannot be written.
    """
    check_free(path, overwrite=overwrite)
    try:
        _write(path, content, overwrite)
    except FileExistsError:
        raise UsageError(f"{path} exists already", _STEP) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}",
            "free space, fix its permissions, or name another file",
        ) from error


def _write(path: Path, content: bytes, overwrite: bool) -> None:
    draft = draft_of(path, content)
    try:
        if overwrite:
            draft.replace(path)
            return
        # Of two programs only one can take the name; after that it is ours to fill.
        path.open("xb").close()
        try:
            draft.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    finally:
        draft.unlink(missing_ok=True)
