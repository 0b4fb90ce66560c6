"""The weight files of a model's directory: which are there, whether they are whole, what their headers add up to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from inferometer.errors import DataError
from inferometer.models.safetensors import read_header

INDEX = "model.safetensors.index.json"
_OTHER_FORMS = ("*.bin", "*.pt", "*.pth", "*.gguf")
# Files of PyTorch that hold no weights of the model.
_NO_WEIGHTS = (
    "training_args.bin",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "rng_state.pth",
)
_SMALLEST_BYTES = 1024  # a pointer of Git LFS has some 130
_GIT_LFS = b"version https://git-lfs"


class Damaged(msgspec.Struct, frozen=True):
    """A weight file that cannot be loaded."""

    path: Path
    message: str
    next_step: str


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside config.json.

    Attributes:
        files: bytes of each weight file by name, in order of name.
        missing: names of files that the index lists and that are not there.
        damaged: pointers of Git LFS, files that are cut off or no safetensors at all.
        elements: numbers of all tensors by type, as the headers say it; packed quantized weights count as the
            integers that they are packed in; None where the files have no such header.
        tensor_bytes: bytes of all tensors, by the headers; None likewise.
    """

    files: dict[str, int] = {}
    missing: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    elements: dict[str, int] | None = None
    tensor_bytes: int | None = None

    @property
    def file_bytes(self) -> int:
        """Bytes of all weight files."""
        return sum(self.files.values())

    @property
    def parameters(self) -> int | None:
        """How many numbers the model has; None where no header says it, or where some are packed into integers."""
        if self.elements is None or any(not _is_float(dtype) for dtype in self.elements):
            return None
        return sum(self.elements.values())


def read_weights(directory: Path) -> Weights:
    """What the weight files of a directory tell, from their headers alone."""
    # A hub's cache has links; one whose file was removed is a file that is missing.
    paths = sorted(path for path in directory.glob("*.safetensors") if path.is_file())
    if not paths and not (directory / INDEX).is_file():
        return _other_forms(directory)
    listed = _listed(directory)
    # Files that the index does not list (consolidated.safetensors beside the shards) are loaded by none.
    used = [path for path in paths if path.name in listed] if listed else paths
    damaged: list[Damaged] = []
    elements: Counter[str] = Counter()
    tensor_bytes = 0
    for path in used:
        try:
            header = read_header(path)
        except DataError as error:
            damaged.append(Damaged(path, error.message, error.next_step))
            continue
        except OSError as error:
            damaged.append(Damaged(path, f"{path} cannot be read: {error.strerror}", "check its permissions"))
            continue
        for tensor in header.tensors.values():
            elements[tensor.dtype] += tensor.elements
        tensor_bytes += header.data_bytes
        if header.missing_bytes:
            damaged.append(
                Damaged(
                    path,
                    f"{path} is cut off: {header.missing_bytes:,} bytes are missing at its end",
                    "the download broke off: fetch this file again",
                )
            )
    whole = not any(name not in {path.name for path in used} for name in listed) and len(elements) > 0
    return Weights(
        files={path.name: path.stat().st_size for path in used},
        missing=tuple(sorted(listed - {path.name for path in used})),
        damaged=tuple(damaged),
        elements=dict(elements) if whole and not damaged else None,
        tensor_bytes=tensor_bytes if whole and not damaged else None,
    )


def _listed(directory: Path) -> set[str]:
    """Files that the index names; none when there is no index, or it cannot be read."""
    try:
        index = msgspec.json.decode((directory / INDEX).read_bytes(), type=dict[str, object])
        return set(msgspec.convert(index["weight_map"], dict[str, str]).values())
    except (OSError, KeyError, msgspec.MsgspecError):
        return set()


def _other_forms(directory: Path) -> Weights:
    paths = [path for form in _OTHER_FORMS for path in sorted(directory.glob(form)) if path.is_file()]
    paths = [path for path in paths if path.name not in _NO_WEIGHTS]
    return Weights(
        files={path.name: path.stat().st_size for path in paths},
        damaged=tuple(_pointer(path) for path in paths if _is_pointer(path)),
    )


def _is_pointer(path: Path) -> bool:
    if path.stat().st_size > _SMALLEST_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_GIT_LFS)) == _GIT_LFS


def _pointer(path: Path) -> Damaged:
    return Damaged(
        path,
        f"{path} is a pointer of Git LFS ({path.stat().st_size} bytes), not the weights",
        "fetch them: git lfs install && git lfs pull in that directory",
    )


def _is_float(dtype: str) -> bool:
    return dtype.startswith(("F", "BF")) and dtype != "F4"
