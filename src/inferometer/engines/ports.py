"""Ports of servers that are started: which are free, and who holds those that are not."""

from __future__ import annotations

import errno
import socket

from inferometer.engines.engine import Settings
from inferometer.engines.family import holders, title
from inferometer.errors import UsageError

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what a user wrote is looked at

# Of vLLM and SGLang, of llama-server, of LMDeploy (which takes the files from its environment).
_TLS_FLAGS = frozenset(("--ssl-certfile", "--ssl-keyfile", "--ssl-cert-file", "--ssl-key-file", "--ssl"))


def free_port(host: str, port: int) -> int:
    """``port`` of this machine when it is free; for 0 a free one.

    Raises:
        UsageError: somebody listens there, named where the system tells; or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not matter
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _refusal(host, port, error) from None
        return int(probe.getsockname()[1])


def url_of(settings: Settings) -> str:
    """Where a server of these settings is asked from this machine; over TLS where they give it a certificate."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    flags = {word.partition("=")[0].replace("_", "-") for word in settings.extra}
    scheme = "http" if flags.isdisjoint(_TLS_FLAGS) else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _refusal(host: str, port: int, error: OSError) -> UsageError:
    if error.errno != errno.EADDRINUSE:
        return UsageError(
            f"no server can listen at {host} port {port}: {error.strerror or error}",
            "give an address of this machine and a port above 1023, or --port 0 for a free one",
        )
    found = holders(port)
    by = f" by {', '.join(f'{title(pid)} (pid {pid})' for pid in found)}" if found else ""
    return UsageError(
        f"port {port} of {host} is taken{by}",
        "end that server, or take another port: --port 0 takes a free one",
    )
