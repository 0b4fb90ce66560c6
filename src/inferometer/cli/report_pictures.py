"""``report --png`` and ``--svg``: the pictures of stored runs as files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_FORMATS = ("png", "svg")


def add_picture_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that ask for pictures."""
    for name in _FORMATS:
        parser.add_argument(
            f"--{name}",
            metavar="DIR|FILE",
            help=f"draw every picture into this directory as {name.upper()}, or the first into FILE.{name}; "
            "several runs: over each other (extra: plot)",
        )


def wants_pictures(asked: argparse.Namespace) -> bool:
    """Whether any was asked for."""
    return any(getattr(asked, name) is not None for name in _FORMATS)


def write_pictures(asked: argparse.Namespace, folders: list[Path]) -> int:
    """Write them, and print where they are."""
    from inferometer.api.picturing import picture_files
    from inferometer.report.static.files import Format, font_hint
    from inferometer.report.static.look import Look

    formats: tuple[Format, ...] = ("png", "svg")
    targets = [(form, str(getattr(asked, form))) for form in formats if getattr(asked, form) is not None]
    hint = font_hint(Look(asked.lang or "en"))
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    for path in picture_files(folders, targets, asked.lang or "en", overwrite=asked.overwrite):
        print(f"picture  {path}")
    return 0
