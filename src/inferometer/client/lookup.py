"""Host names to addresses, looked up once before anything is sent."""

from __future__ import annotations

import socket

from inferometer.errors import EndpointError

Address = tuple[int, str, int]  # family, host, port


def addresses_of(host: str, port: int, flag: str) -> list[Address]:
    """The addresses of a host in the resolver's order, each once.

    Args:
        host: name or IP address.
        port: port of each address.
        flag: where the name was given, for the message.

    Raises:
        EndpointError: the name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long
        reason = error.strerror if isinstance(error, OSError) else None
        raise EndpointError(
            f"host {host!r} of {flag} cannot be resolved: {reason or error}",
            "check the spelling, or use the IP address",
        ) from None
    return list(dict.fromkeys((int(family), str(sa[0]), int(sa[1])) for family, _, _, _, sa in found))
