"""From the spec's endpoint to the target: addresses, credentials, and what was noticed on the way."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from inferometer.client.proxy import Proxy, parse_proxy, proxy_in
from inferometer.client.target import Target, Timeouts, resolve
from inferometer.errors import UsageError
from inferometer.spec import Endpoint
from inferometer.spec.fields import PROXY_FROM_ENVIRONMENT, as_api_key
from inferometer.spec.url import credentials_in

APP_CODE_HEADER = "X-Apig-AppCode"
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


class Found(NamedTuple):
    """A target, and what a person should be told about how it was found."""

    target: Target
    notes: tuple[str, ...]


def target_of(endpoint: Endpoint, environ: Mapping[str, str]) -> Found:
    """Resolve the servers of an endpoint and gather its credentials.

    Args:
        endpoint: has passed ``check_spec``.
        environ: the environment; only its proxy variables are looked at.

    Raises:
        UsageError: the file of the key or the proxy cannot be used.
        EndpointError: a name cannot be resolved.
    """
    notes: list[str] = []
    headers = _headers(endpoint, notes)
    servers = [
        msgspec.structs.replace(
            resolve(url, _proxy(endpoint, url, environ, notes)),
            headers=headers,
            query_secrets=credentials_in(endpoint.endpoint or ""),
            ca_file=_path(endpoint.ca_file),
            insecure=endpoint.insecure,
            client_cert=_path(endpoint.client_cert),
            client_key=_path(endpoint.client_key),
            timeouts=Timeouts(
                connect_s=endpoint.connect_timeout_s,
                read_s=endpoint.read_timeout_s,
                total_s=endpoint.total_timeout_s,
            ),
        )
        for url in (endpoint.url, *endpoint.more_url)
    ]
    return Found(msgspec.structs.replace(servers[0], others=servers[1:]), tuple(dict.fromkeys(notes)))


def _path(name: str | None) -> str | None:
    return None if name is None else str(Path(name).expanduser())


def _headers(endpoint: Endpoint, notes: list[str]) -> list[tuple[str, str]]:
    headers = [_header(text) for text in endpoint.header]
    key = None if endpoint.api_key is None else endpoint.api_key.get_secret_value()
    if endpoint.api_key_file is not None:
        key = read_key(Path(endpoint.api_key_file).expanduser(), notes)
    if key is not None:
        headers.append(("Authorization", f"Bearer {key}"))
    if endpoint.app_code is not None:
        headers.append((APP_CODE_HEADER, endpoint.app_code.get_secret_value()))
    return headers


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.strip(), value.strip()


def read_key(path: Path, notes: list[str]) -> str:
    """The key in the first line of a file; a note is added when others may read the file.

    Raises:
        UsageError: it cannot be read, or its first line is no key. The message does not repeat the line.
    """
    try:
        mode = path.stat().st_mode
        with path.open(encoding="utf-8") as lines:
            key = str(as_api_key(lines.readline(1 << 16)))
    except OSError as error:
        raise UsageError(
            f"--api-key-file {str(path)!r} cannot be read: {error.strerror}", "check path and permissions"
        ) from None
    except ValueError:  # UnicodeDecodeError is one, too
        raise UsageError(
            f"--api-key-file {str(path)!r}: its first line is no key, which is one word of printable ASCII",
            "write the key alone into its first line",
        ) from None
    if mode & _OTHERS_MAY_READ:
        notes.append(
            f"other users of this machine may read the key in {path} (mode {stat.S_IMODE(mode):o}); "
            f"make it yours alone: chmod 600 {path}"
        )
    return key


def _proxy(endpoint: Endpoint, url: str, environ: Mapping[str, str], notes: list[str]) -> Proxy | None:
    """The proxy to reach ``url`` through.

    One that only the environment names is not taken unasked: it would be measured with the server.
    """
    asked = None if endpoint.proxy is None else endpoint.proxy.get_secret_value()
    if asked is not None and asked != PROXY_FROM_ENVIRONMENT:
        return parse_proxy(asked)
    found = proxy_in(environ, url)
    if asked is None:
        if found is not None and not _is_loopback(url):
            notes.append(
                f"{found[0]} is set, and requests go to the server directly; to go through that proxy, which is "
                "then part of what is measured, give --proxy env"
            )
        return None
    if found is None:
        host = urlsplit(url).hostname
        notes.append(f"--proxy env: the environment names no proxy for {host}, which is reached directly")
        return None
    return parse_proxy(found[1], f"{found[0]} (--proxy env)")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
