"""Which stored run a person means."""

from __future__ import annotations

from pathlib import Path

from inferometer.errors import UsageError

# As the rooms that write them say it; loading those takes longer than looking.
_RUN, _SPEED, _LATEST = "run.json", "speed.json", "latest"


def find_run(name: str, out: str) -> Path:
    """The run folder behind a path, a folder name under ``out``, a unique part of one, or ``latest``.

    Raises:
        UsageError: no run, or several; the message names them.
    """
    found = _fitting(name, out, (_RUN,))
    if not found and (other := _fitting(name, out, (_SPEED,))):
        raise UsageError(
            f"{other[0].name} is a measurement of speed, and no run under load",
            f"inferometer report {other[0].name} prints it; it needs no recovery, and cannot be resumed",
        )
    return _the_one(name, out, found)


def find_stored(name: str, out: str) -> Path:
    """As ``find_run``, and the folder of a measurement of speed too.

    Raises:
        UsageError: nothing, or several; the message names them.
    """
    return _the_one(name, out, _fitting(name, out, (_RUN, _SPEED)))


def is_speed(folder: Path) -> bool:
    """Whether a folder is a measurement of speed, and no run."""
    return (folder / _SPEED).is_file()


def _fitting(name: str, out: str, files: tuple[str, ...]) -> list[Path]:
    """Folders with one of ``files`` in them that ``name`` may mean, in order of their names."""
    named, latest = Path(name), Path(out) / _LATEST
    direct = [named.parent] if named.name in files and named.is_file() else [named]
    direct += [latest] if name == _LATEST else []
    for folder in direct:
        if any((folder / file).is_file() for file in files):
            return [folder.resolve()]
    folders = sorted(
        path.parent for file in files for path in Path(out).glob(f"*/{file}") if path.parent.name != _LATEST
    )
    return [folder for folder in folders if folder.name == name] or [f for f in folders if name in f.name]


def _the_one(name: str, out: str, found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0].resolve()
    if found:
        names = "".join(f"\n  {folder.name}" for folder in found[-10:])
        raise UsageError(f"{name!r} fits {len(found)} runs in {out}:{names}", "give more of the name")
    raise UsageError(
        f"no run {name!r} in {out}", "see `inferometer runs list`, or name the directory with --out"
    )
