"""Which stored run a person means."""

from __future__ import annotations

from pathlib import Path

from inferometer.errors import UsageError


def find_run(name: str, out: str) -> Path:
    """The run folder behind a path, a folder name under ``out``, a unique part of one, or ``latest``.

    Raises:
        UsageError: no run, or several; the message names them.
    """
    direct = Path(name)
    if (direct / "run.json").is_file():
        return direct.resolve()
    if direct.name == "run.json" and direct.is_file():
        return direct.parent.resolve()
    folders = sorted(
        folder.parent for folder in Path(out).glob("*/run.json") if folder.parent.name != "latest"
    )
    if name == "latest" and (Path(out) / "latest" / "run.json").is_file():
        return (Path(out) / "latest").resolve()
    found = [folder for folder in folders if folder.name == name] or [f for f in folders if name in f.name]
    if len(found) == 1:
        return found[0].resolve()
    if found:
        names = "".join(f"\n  {folder.name}" for folder in found[-10:])
        raise UsageError(f"{name!r} fits {len(found)} runs in {out}:{names}", "give more of the name")
    raise UsageError(
        f"no run {name!r} in {out}", "see `inferometer runs list`, or name the directory with --out"
    )
