"""What an address says beyond host and port: the API path that people paste, and the dialect it stands for."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

CREDENTIAL_IN_QUERY = re.compile(
    r"(?i)([?&](?:[\w-]*key|[\w-]*token|[\w-]*secret|password|sig|signature|code)=)([^&\s\"'#]+)"
)
USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")  # of addresses in a text: http://NAME:PASSWORD@HOST

_NO_PORT = re.compile(r":(?!//|\d*/?$).*$", re.DOTALL)
_USER = re.compile(r"(?<=/)[^/]*@|^[^/]*@")  # of an address, however it is mistyped

# Endings of paths, with the usual path and the dialects that go there: the first is meant where none is named, and
# where the usual path is empty, one has to be named.
_CHAT = ("openai-chat", "vllm-chat", "lmdeploy-chat")
_COMPLETIONS = ("openai-completions", "vllm", "lmdeploy")
_PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/chat/completions": ("/v1/chat/completions", _CHAT),
    "/completions": ("/v1/completions", _COMPLETIONS),
    "/v1/responses": ("/v1/responses", ("openai-responses",)),
    "/v1/embeddings": ("/v1/embeddings", ("openai-embeddings",)),
    "/v1/messages": ("/v1/messages", ("anthropic",)),
    "/generate_stream": ("/generate_stream", ("tgi",)),
    "/generate": ("", ("vllm-generate", "sglang", "lmdeploy-generate", "tgi")),
    "/infer": ("/infer", ("mindie",)),
    "/infer_token": ("/infer_token", ("mindie",)),
}
# Dialects that go to no other path than these.
KNOWN_PATHS = frozenset(name for _, names in _PATHS.values() for name in names)
# Paths with a model's name in them are taken as they are.
_WITH_MODEL = re.compile(r"/(?:v2/)?models/[^/]+(?:/versions/[^/]+)?/generate(?:_stream)?$")


class SplitUrl(NamedTuple):
    """A pasted address taken apart: ``base`` is what paths are appended to."""

    base: str
    endpoint: str | None = None  # path below base, only when it is not the dialect's usual one
    backend: str | None = None  # dialect that the path stands for
    speakers: tuple[str, ...] = ()  # all dialects that go there


def without_credentials(path: str) -> str:
    """``path`` with the values of query fields that name a credential (``?key=``) replaced by ``***``."""
    return CREDENTIAL_IN_QUERY.sub(r"\1***", path)


def shown_url(url: str) -> str:
    """An address as a message may repeat it, without credentials, even one that is no address."""
    return without_credentials(_USER.sub("***@", url))


def credentials_in(path: str) -> list[str]:
    """The values that ``without_credentials`` takes out."""
    return [match[2] for match in CREDENTIAL_IN_QUERY.finditer(path)]


def dialect_of_path(path: str) -> str | None:
    """The dialect that a request path stands for, if it is the path of one, or of one before others."""
    usual, names = _of_path(path)
    return names[0] if usual else None


def speakers_of_path(path: str) -> tuple[str, ...]:
    """All dialects that go to a path; none where it is not known."""
    return _of_path(path)[1]


def _of_path(path: str) -> tuple[str, tuple[str, ...]]:
    plain = path.partition("?")[0].rstrip("/")
    if _WITH_MODEL.search(plain):
        return "", ("triton", "trtllm") if "/v2/" in plain else ("mindspore",)
    return next((found for ending, found in _PATHS.items() if plain.endswith(ending)), ("", ()))


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
        raise ValueError(f"--url {shown_url(url)!r}: {error}; write --url http://HOST:PORT") from None
    origin = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    path = parts.path.rstrip("/")
    usual, speakers = _of_path(path)
    backend = speakers[0] if usual else None
    if parts.query:
        return SplitUrl(origin, f"{path}?{parts.query}", backend, speakers)
    if not speakers:
        return SplitUrl(origin + path.removesuffix("/v1"))
    if found := _WITH_MODEL.search(path):
        return SplitUrl(origin + path[: found.start()], found[0], None, speakers)
    if path.endswith(usual or "/generate"):
        return SplitUrl(origin + path.removesuffix(usual or "/generate"), None, backend, speakers)
    return SplitUrl(origin, path, backend, speakers)


def split_proxy(text: str) -> SplitResult:
    """The address of an HTTP proxy, ``[http://][USER:PASSWORD@]HOST[:PORT]``, taken apart and found usable.

    Raises:
        ValueError: it is not; the message repeats nothing of it, for it may hold a password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        usable = bool(parts.hostname) and parts.port != 0 and text.isascii() and text.isprintable()
    except ValueError:
        raise ValueError(
            "it is no address: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
        ) from None
    if parts.scheme != "http":
        raise ValueError(f"only http:// proxies are spoken, this one is {parts.scheme}://")
    if not usable or " " in text or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            "it has no usable host and port: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
        )
    return parts


def proxy_without_user(text: str) -> str:
    """The address of a proxy with user name and password replaced by ``***``, even where its host was forgotten."""
    before, at, host = text.rpartition("@")
    scheme, mark, _ = before.rpartition("://")
    return f"{scheme}{mark}***@{host}" if at else _NO_PORT.sub(":***", text)
