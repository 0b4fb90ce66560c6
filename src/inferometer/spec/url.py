"""What an address says beyond host and port: the API path that people paste, and the dialect it stands for."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

CREDENTIAL_IN_QUERY = re.compile(
    r"(?i)([?&](?:[\w-]*key|[\w-]*token|[\w-]*secret|password|sig|signature|code)=)([^&\s\"'#]+)"
)

DIALECT_OF_PATH = {
    "/chat/completions": "openai-chat",
    "/completions": "openai-completions",
}


class SplitUrl(NamedTuple):
    """A pasted address taken apart: ``base`` is what paths are appended to."""

    base: str
    endpoint: str | None = None  # path below base, only when it is not the dialect's usual one
    backend: str | None = None  # dialect that the path stands for


def without_credentials(path: str) -> str:
    """``path`` with the values of query fields that name a credential (``?key=``) replaced by ``***``."""
    return CREDENTIAL_IN_QUERY.sub(r"\1***", path)


def credentials_in(path: str) -> list[str]:
    """The values that ``without_credentials`` takes out."""
    return [match[2] for match in CREDENTIAL_IN_QUERY.finditer(path)]


def dialect_of_path(path: str) -> str | None:
    """The dialect that a request path stands for, if it is one of OpenAI's."""
    plain = path.partition("?")[0].rstrip("/")
    return next((name for suffix, name in DIALECT_OF_PATH.items() if plain.endswith(suffix)), None)


def split_url(url: str) -> SplitUrl:
    """Take ``http://h:8000/v1/chat/completions`` apart into base, path and dialect.

    A prefix before ``/v1`` stays in the base; an unusual path (``/api/v3/chat/completions``) and a query are
    kept as the endpoint. A trailing slash and a bare ``/v1`` are dropped.

    Raises:
        ValueError: not a URL at all; the message names it.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise ValueError(f"--url {url!r}: {error}; write --url http://HOST:PORT") from None
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
