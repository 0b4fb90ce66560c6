"""What an address says beyond host and port: the API path that people paste, and the dialect it stands for."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

DIALECT_OF_PATH = {
    "/chat/completions": "openai-chat",
    "/completions": "openai-completions",
}


class SplitUrl(NamedTuple):
    """A pasted address taken apart: ``base`` is what paths are appended to."""

    base: str
    endpoint: str | None = None  # path below base, only when it is not the dialect's usual one
    backend: str | None = None  # dialect that the path stands for


def dialect_of_path(path: str) -> str | None:
    """The dialect that a request path stands for, if it is one of OpenAI's."""
    plain = path.partition("?")[0].rstrip("/")
    return next((name for suffix, name in DIALECT_OF_PATH.items() if plain.endswith(suffix)), None)


def split_url(url: str) -> SplitUrl:
    """Take ``http://h:8000/v1/chat/completions`` apart into base, path and dialect.

    A prefix before ``/v1`` stays in the base; an unusual path (``/api/v3/chat/completions``) and a query are
    kept as the endpoint. A trailing slash and a bare ``/v1`` are dropped.

    Raises:
        ValueError: not a URL at all.
    """
    parts = urlsplit(url.strip())
    origin = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    path = parts.path.rstrip("/")
    if parts.query:
        return SplitUrl(origin, f"{path}?{parts.query}", dialect_of_path(path))
    backend = dialect_of_path(path)
    if backend is None:
        return SplitUrl(origin + path.removesuffix("/v1"))
    usual = "/v1/chat/completions" if backend == "openai-chat" else "/v1/completions"
    if path.endswith(usual):
        return SplitUrl(origin + path.removesuffix(usual), None, backend)
    return SplitUrl(origin, path, backend)
