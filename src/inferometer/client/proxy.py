"""HTTP proxies: which one a server is reached through, and the tunnel that one opens for TLS."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from inferometer.client.lookup import Address, addresses_of
from inferometer.errors import UsageError
from inferometer.spec.url import proxy_without_user, split_proxy

_MOST_HEAD_BYTES = 1 << 16
_WRITE = "mend the variable, or give --proxy http://HOST:PORT"
_USUAL_PORT = 8080  # as curl; port 80 is no proxy's


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved proxy. Holds secrets: never store or print it.

    Attributes:
        name: ``host:port``, for messages.
        addresses: candidates in the resolver's order.
        authorization: value of the Proxy-Authorization header; None without a user name.
        password: as it was given, so that it can be kept out of every output.
    """

    name: str
    addresses: list[Address]
    authorization: str | None = None
    password: str = ""

    def secrets(self) -> list[str]:
        """Values that must not reach any output."""
        return [self.authorization, self.password] if self.authorization else []


def parse_proxy(text: str, flag: str = "--proxy") -> Proxy:
    """The proxy at ``http://[USER:PASSWORD@]HOST:PORT``, its name looked up.

    Args:
        text: the address; the scheme may be left out.
        flag: where it was given, for messages, which never repeat a password.

    Raises:
        UsageError: another kind of proxy, or no usable address.
        EndpointError: the name cannot be resolved.
    """
    try:
        parts = split_proxy(text)
    except ValueError as error:
        raise UsageError(f"{flag} {proxy_without_user(text)}: {error}", _WRITE) from None
    host, port = parts.hostname or "", parts.port or _USUAL_PORT
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    authorization = None
    if parts.username is not None:  # RFC 7617
        authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    name = f"[{host}]" if ":" in host else host
    return Proxy(
        name=f"{name}:{port}",
        addresses=addresses_of(host, port, flag),
        authorization=authorization,
        password=password,
    )


def proxy_in(environ: Mapping[str, str], url: str) -> tuple[str, str] | None:
    """The variable of the environment that names a proxy for ``url``, and its value; None without one.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in lower case first, as curl and Python's urllib read them.
    """
    parts = urlsplit(url)
    if _goes_direct(parts.hostname or "", environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            if environ.get(spelled):
                return spelled, environ[spelled]
    return None


def _goes_direct(host: str, exceptions: str) -> bool:
    """Whether NO_PROXY names the host: itself, a domain above it, a network that it is in, or ``*`` for all."""
    for entry in exceptions.replace(",", " ").split():
        if entry == "*" or _same_domain(host.lower(), entry.lower()) or _in_network(host, entry):
            return True
    return False


def _same_domain(host: str, entry: str) -> bool:
    domain = entry.removeprefix("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _in_network(host: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # one of them is a name
        return False


class Tunnel:
    """The CONNECT request to a proxy and its answer (RFC 9110, 9.3.6). Moves no bytes itself.

    Args:
        proxy: who is asked.
        server: ``host:port`` to be connected with.

    Attributes:
        request: what to send to the proxy.
        sent: for the connection to remember that it was.
        opened: the proxy agreed; what follows is between us and the server.
        refusal: why there will be no tunnel; None as long as there may be one.
    """

    def __init__(self, proxy: Proxy, server: str) -> None:
        lines = [f"CONNECT {server} HTTP/1.1", f"Host: {server}", "User-Agent: inferometer"]
        if proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.sent = False
        self.opened = False
        self.refusal: str | None = None
        self._who = f"proxy {proxy.name}"
        self._server = server
        self._answer = b""

    def receive(self, data: bytes) -> None:
        """Take what the proxy said; nothing means that it closed the connection."""
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not data:
            self.refusal = f"{self._who} closed the connection before it answered CONNECT {self._server}"
        elif not end and len(head) < _MOST_HEAD_BYTES:
            return
        else:
            self._judge(head.split(b"\r\n")[0].decode("latin-1"), rest)

    def _judge(self, status_line: str, rest: bytes) -> None:
        version, _, status = status_line.partition(" ")
        opens = status.startswith("2")
        if not version.startswith("HTTP/1.") or not status[:3].isdecimal() or (opens and rest):
            self.refusal = f"{self._who} does not speak HTTP: is it a proxy?"
        elif opens:
            self.opened = True
        else:
            self.refusal = f"{self._who} does not connect to {self._server}: HTTP {status}"
