"""JSON files beside ``run.json``, each of one type that carries its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from inferometer.errors import RunFolderError
from inferometer.record.folder import write_atomic


class _Versioned(Protocol):
    @property
    def schema(self) -> str: ...


Versioned = TypeVar("Versioned", bound=_Versioned)


def write_beside(path: Path, content: _Versioned) -> None:
    """Write it whole, or not at all.

    Raises:
        RunFolderError: it cannot be written.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def read_beside(path: Path, kind: type[Versioned], schema: str, next_step: str) -> Versioned | None:
    """What the file holds; None where there is none.

    Args:
        path: the file.
        kind: what it holds.
        schema: that this version reads.
        next_step: for somebody whose file is damaged.

    Raises:
        RunFolderError: the file cannot be understood.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise RunFolderError(f"{str(path)!r} cannot be read: {error}", next_step) from None
    if found.schema != schema:
        raise RunFolderError(
            f"{str(path)!r} has schema {found.schema!r}, this version reads {schema!r}",
            "use a newer inferometer",
        )
    return found
