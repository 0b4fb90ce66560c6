"""Where things are kept between runs: envelopes of machines, models that were made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_dir(environ: Mapping[str, str]) -> Path | None:
    """Where things are kept: ``INFEROMETER_CACHE_DIR``, else below ``XDG_CACHE_HOME``, else below ``~/.cache``.

    None when none is set and the user has no home. A relative ``XDG_CACHE_HOME`` does not count, as the XDG Base
    Directory Specification says.
    """
    if environ.get("INFEROMETER_CACHE_DIR"):
        return Path(environ["INFEROMETER_CACHE_DIR"])
    shared = Path(environ.get("XDG_CACHE_HOME", ""))
    if shared.is_absolute():
        return shared / "inferometer"
    home = Path(environ.get("HOME", ""))
    return home / ".cache" / "inferometer" if home.is_absolute() else None
