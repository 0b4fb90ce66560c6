"""A file under a name beside the one that it will have, so that it appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def draft_of(path: Path, content: bytes) -> Path:
    """All of the content beside ``path``, readable for everybody, to be moved there.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        draft.chmod(0o644)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
