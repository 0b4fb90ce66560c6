"""Where requests go: an address that is resolved once, and the constant part of every request head."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from inferometer.client.lookup import Address, addresses_of
from inferometer.client.proxy import Proxy
from inferometer.errors import UsageError


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds: to connect, of silence during a request, and of a whole request."""

    connect_s: float = 10.0
    read_s: float = 600.0
    total_s: float = 21600.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved endpoint. Holds secrets (headers): never store or print it.

    Attributes:
        addresses: ``(family, host, port)`` candidates to connect to, the proxy's where there is one.
        host_header: value of the Host header.
        server_name: name for SNI and certificate checks.
        base_path: path prefix of the URL, without a trailing slash.
        headers: extra ``(name, value)`` pairs.
        spoken: those that the dialect asks for, which are no secrets.
        query_secrets: credentials that are part of the path.
        client_cert: PEM file of our own certificate; ``client_key`` that of its key, if it is another.
        proxy: what it is reached through: a tunnel for TLS, else requests that name the whole address.
        others: further servers that take turns with this one.
    """

    tls: bool
    addresses: list[Address]
    host_header: str
    server_name: str
    base_path: str = ""
    headers: list[tuple[str, str]] = []
    spoken: list[tuple[str, str]] = []
    query_secrets: list[str] = []
    ca_file: str | None = None
    insecure: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    proxy: Proxy | None = None
    timeouts: Timeouts = Timeouts()
    others: list[Target] = []

    @property
    def servers(self) -> tuple[Target, ...]:
        """All servers, in the order in which they take turns."""
        return (self, *self.others)

    @property
    def authority(self) -> str:
        """``host:port`` of the server, with the port always written."""
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return self.host_header if self.host_header != name else f"{name}:{443 if self.tls else 80}"

    def request_head(self, method: str, path: str, body_bytes: int) -> bytes:
        """The head of one request, ready for the wire.

        Args:
            method: GET or POST.
            path: path below ``base_path``, with a leading slash.
            body_bytes: length of the body that follows; 0 for GET.
        """
        whole = f"http://{self.host_header}" if self.proxy is not None and not self.tls else ""
        ours = {"Host": self.host_header, "Accept-Encoding": "identity", "User-Agent": "inferometer"}
        if method == "POST":
            ours |= {"Content-Type": "application/json", "Content-Length": str(body_bytes)}
        more = (*self.headers, *self.spoken)
        given = {name.lower() for name, _ in more}  # which replace ours: a second Host is refused by servers
        lines = [f"{method} {whole}{self.base_path}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in ours.items() if name.lower() not in given]
        lines += [f"{name}: {value}" for name, value in more]
        if whole and self.proxy is not None and self.proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.proxy.authorization}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def secrets(self) -> list[str]:
        """Values that must not reach any output."""
        hidden = [*(value for _, value in self.headers), *self.query_secrets]
        if self.proxy is not None:
            hidden += self.proxy.secrets()
        hidden += [secret for other in self.others for secret in other.secrets()]
        return [value for value in dict.fromkeys(hidden) if len(value) >= 4]


def resolve(url: str, proxy: Proxy | None = None) -> Target:
    """The target of ``url`` (scheme, host, port and path prefix), its name looked up once.

    Args:
        url: the server's address.
        proxy: looks the name up in our place, for it may be known to it only.

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
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default_port = 443 if parts.scheme == "https" else 80
    return Target(
        tls=parts.scheme == "https",
        addresses=proxy.addresses if proxy else addresses_of(parts.hostname, port, "--url"),
        host_header=name if port == default_port else f"{name}:{port}",
        server_name=parts.hostname,
        base_path=parts.path.rstrip("/"),
        proxy=proxy,
    )
