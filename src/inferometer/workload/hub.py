"""Files of Hugging Face and ModelScope, fetched only when ``--dataset-path`` names one there."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from inferometer.errors import DataError, UsageError

HUBS = ("hf", "modelscope")
_TRUE = {"1", "ON", "YES", "TRUE"}
_FORM = {
    "hf": "hf://OWNER/NAME[@REVISION]/PATH/FILE",
    "modelscope": "modelscope://OWNER/NAME[@REVISION]/PATH/FILE",
}


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set on a hub.

    Attributes:
        hub: ``hf`` or ``modelscope``.
        repository: ``OWNER/NAME``.
        revision: branch, tag or commit; None = the hub's main branch.
        file: path inside the repository.
    """

    hub: str
    repository: str
    revision: str | None
    file: str

    def url(self, environ: Mapping[str, str]) -> str:
        """Where a browser finds it; HF_ENDPOINT names a mirror."""
        if self.hub == "hf":
            host, revision = environ.get("HF_ENDPOINT") or "https://huggingface.co", self.revision or "main"
        else:
            host, revision = "https://modelscope.cn", self.revision or "master"
        path = f"{quote(revision, safe='')}/{quote(self.file)}"
        return f"{host.rstrip('/')}/datasets/{self.repository}/resolve/{path}"


Fetch = Callable[[HubFile, Mapping[str, str]], str]
"""Gives the path of the file on this machine. Raises ImportError without its library; any other error means that it
was not there to be had."""


def local_path(path: str, environ: Mapping[str, str], fetch: Fetch | None = None) -> str:
    """The path itself, or where the file of a hub lies once it is on this machine.

    Args:
        path: of the user, with or without a hub before it.
        environ: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, MODELSCOPE_CACHE are obeyed.
        fetch: how it is got; by default with the hub's own library and cache.

    Raises:
        UsageError: the address is not complete, or the library is missing.
        DataError: the file cannot be had; the message names its URL.
    """
    hub, mark, _ = path.partition("://")
    if not mark or hub not in HUBS:
        return path
    wanted = parse(path)
    by_hand = (
        f"fetch {wanted.url(environ)} by hand, put it into this directory ({Path.cwd()}), and give "
        f"--dataset-path {PurePosixPath(wanted.file).name}"
    )
    try:
        return (fetch or _FETCH[hub])(wanted, environ)
    except ImportError:
        raise UsageError(
            f"--dataset-path {path}: the library that fetches it is not installed",
            f"pip install 'inferometer[{hub}]'; or {by_hand}",
        ) from None
    except Exception as error:  # the libraries let errors of several HTTP clients through
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        raise DataError(f"--dataset-path {path} cannot be had ({reason})", by_hand) from error


def parse(path: str) -> HubFile:
    """``hf://OWNER/NAME@REVISION/PATH/FILE`` taken apart; ``hf://datasets/...`` is understood too.

    Raises:
        UsageError: a part is missing.
    """
    hub, _, rest = path.partition("://")
    parts = rest.split("/")
    if parts[0] == "datasets" and len(parts) > 3:
        del parts[0]
    name, at, revision = parts[1].partition("@") if len(parts) > 1 else ("", "", "")
    if len(parts) < 3 or not all([*parts, name]) or ".." in parts or (at and not revision):
        raise UsageError(f"--dataset-path {path!r} does not name a file of a hub", f"write {_FORM[hub]}")
    return HubFile(hub, f"{parts[0]}/{name}", unquote(revision) or None, "/".join(parts[2:]))


def _from_hugging_face(wanted: HubFile, environ: Mapping[str, str]) -> str:
    library = importlib.import_module("huggingface_hub")
    bars = importlib.import_module("huggingface_hub.utils")
    home = environ.get("HF_HOME")
    shown = not bars.are_progress_bars_disabled()
    bars.disable_progress_bars()  # the terminal belongs to the caller
    try:
        return str(
            library.hf_hub_download(
                wanted.repository,
                wanted.file,
                repo_type="dataset",
                revision=wanted.revision,
                cache_dir=environ.get("HF_HUB_CACHE") or (str(Path(home) / "hub") if home else None),
                endpoint=environ.get("HF_ENDPOINT") or None,
                token=environ.get("HF_TOKEN") or None,
                local_files_only=environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE,
            )
        )
    finally:
        if shown:
            bars.enable_progress_bars()


def _from_modelscope(wanted: HubFile, environ: Mapping[str, str]) -> str:
    library = importlib.import_module("modelscope.hub.file_download")
    given = {"revision": wanted.revision, "cache_dir": environ.get("MODELSCOPE_CACHE")}
    return str(
        library.dataset_file_download(
            wanted.repository, wanted.file, **{key: value for key, value in given.items() if value}
        )
    )


_FETCH: Mapping[str, Fetch] = {"hf": _from_hugging_face, "modelscope": _from_modelscope}
