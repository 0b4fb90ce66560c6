"""Which GGUF file is meant by a path, a folder, or the word ``tiny``."""

from __future__ import annotations

from pathlib import Path

from inferometer.errors import UsageError
from inferometer.models.tiny import cached_tiny_model

TINY = "tiny"
_MAGIC = b"GGUF"


def gguf_of(model: str, cache: Path | None) -> Path:
    """The file of a model.

    Args:
        model: a file, a folder with one GGUF file (or with the parts of one), or ``tiny``: the random model that is
            made here when it is first asked for.
        cache: where that is kept.

    Raises:
        UsageError: there is no such file, it is no GGUF, or a folder has several.
    """
    if model == TINY and not Path(model).exists():
        if cache is None:
            raise UsageError(
                "the tiny model has no place to be kept",
                "set INFEROMETER_CACHE_DIR to a directory that can be written",
            )
        return cached_tiny_model(cache).gguf
    path = Path(model).expanduser()
    if path.is_dir():
        path = _only(path)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UsageError(
            f"model {model!r} cannot be read: {error.strerror}",
            "llama.cpp takes a GGUF file, a folder with one, or the word tiny for a random model that is made here",
        ) from None
    if magic != _MAGIC:
        is_pointer = magic == b"vers"
        raise UsageError(
            f"{str(path)!r} is no GGUF file" + (", but a pointer of git-lfs to one" if is_pointer else ""),
            "fetch it: git lfs pull"
            if is_pointer
            else "convert the model: convert_hf_to_gguf.py of llama.cpp",
        )
    return path


def _only(folder: Path) -> Path:
    """The one model of a folder; of one in parts the first, which llama.cpp finds the others by."""
    files = sorted(folder.glob("*.gguf"))
    wholes = [file for file in files if "-of-" not in file.stem or "-00001-of-" in file.stem]
    if len(wholes) != 1:
        found = ", ".join(file.name for file in wholes)
        raise UsageError(
            f"{str(folder)!r} holds {'several models: ' + found if wholes else 'no GGUF file'}",
            "name the file" if wholes else "convert the model: convert_hf_to_gguf.py of llama.cpp",
        )
    return wholes[0]
