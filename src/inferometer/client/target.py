"""Where requests go: an address that is resolved once, and the constant part of every request head."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import msgspec

from inferometer.errors import EndpointError, UsageError


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds: to connect, of silence during a request, and of a whole request."""

    connect_s: float = 10.0
    read_s: float = 600.0
    total_s: float = 21600.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved endpoint. Holds secrets (headers): never store or print it.

    Attributes:
        addresses: ``(family, host, port)`` candidates in the resolver's order.
        host_header: value of the Host header.
        server_name: name for SNI and certificate checks.
        base_path: path prefix of the URL, without a trailing slash.
        headers: extra ``(name, value)`` pairs.
        query_secrets: credentials that are part of the path.
    """

    tls: bool
    addresses: list[tuple[int, str, int]]
    host_header: str
    server_name: str
    base_path: str = ""
    headers: list[tuple[str, str]] = []
    query_secrets: list[str] = []
    ca_file: str | None = None
    insecure: bool = False
    timeouts: Timeouts = Timeouts()

    def request_head(self, method: str, path: str, body_bytes: int) -> bytes:
        """The head of one request, ready for the wire.

        Args:
            method: GET or POST.
            path: path below ``base_path``, with a leading slash.
            body_bytes: length of the body that follows; 0 for GET.
        """
        lines = [
            f"{method} {self.base_path}{path} HTTP/1.1",
            f"Host: {self.host_header}",
            "Accept-Encoding: identity",
            "User-Agent: inferometer",
        ]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {body_bytes}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def secrets(self) -> list[str]:
        """Values that must not reach any output."""
        return [value for value in (*(v for _, v in self.headers), *self.query_secrets) if len(value) >= 4]


def resolve(url: str) -> Target:
    """The target of ``url`` (scheme, host, port and path prefix), its name looked up once.

    Raises:
        UsageError: the URL has no usable scheme, host or port.
        EndpointError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--url {url!r} is not an http or https address", "write --url http://HOST:PORT")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UsageError(f"--url {url!r}: {error}", "write --url http://HOST:PORT") from None
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long
        reason = error.strerror if isinstance(error, OSError) else None
        raise EndpointError(
            f"host {parts.hostname!r} of --url cannot be resolved: {reason or error}",
            "check the spelling, or use the IP address",
        ) from None
    addresses = list(dict.fromkeys((int(family), str(sa[0]), int(sa[1])) for family, _, _, _, sa in found))
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = 443 if parts.scheme == "https" else 80
    return Target(
        tls=parts.scheme == "https",
        addresses=addresses,
        host_header=name if port == default_port else f"{name}:{port}",
        server_name=parts.hostname,
        base_path=parts.path.rstrip("/"),
    )
