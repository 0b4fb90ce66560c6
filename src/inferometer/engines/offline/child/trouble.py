"""What an exception of an engine means for a row."""

from __future__ import annotations

import re
from typing import Any

_OOM_NAMES = ("MemoryError", "OutOfMemoryError")
_OOM_TEXT = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|bad_alloc|"
    r"No available memory for the cache|KV cache is needed, which is larger|"
    r"larger than the maximum number of tokens that can be stored in KV cache|less than desired GPU memory utilization",
    re.IGNORECASE,
)
_HUB = {
    "GatedRepoError": "the model is gated: accept its terms on the hub, and set HF_TOKEN",
    "RepositoryNotFoundError": "the hub has no model of that name, or it is private: check it, or set HF_TOKEN",
    "RevisionNotFoundError": "the hub has no such revision of it: check --revision",
    "HFValidationError": "write OWNER/NAME, or the path of a directory",
    "LocalEntryNotFoundError": "it is not in the cache, and the hub cannot be reached: fetch it where there is a "
    "network, give its directory, or set HF_ENDPOINT to a mirror",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set, and it is not in the cache: unset it, or give a directory",
    "NotExistError": "ModelScope has no model of that name: check it, or leave out --hub modelscope",
}


class ForUserError(Exception):
    """Something that a person has to change; nothing was measured.

    Args:
        message: what is wrong.
        next_step: what to do.
    """

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


def explained(error: BaseException) -> dict[str, Any]:
    """An answer: ``outcome`` and ``reason``; or ``message`` and ``next_step`` for what would fail for every row."""
    name, text = type(error).__name__, _first_line(error)
    if isinstance(error, ForUserError):
        return {"message": error.message, "next_step": error.next_step}
    if name in _HUB:
        return {"message": f"the model cannot be fetched ({name}: {text})", "next_step": _HUB[name]}
    if any(kind.__name__ in _OOM_NAMES for kind in type(error).__mro__) or _OOM_TEXT.search(str(error)):
        return {"outcome": "oom", "reason": f"{name}: {text}" if text else name}
    return {"outcome": "failed", "reason": f"{name}: {text}" if text else name}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else ""
