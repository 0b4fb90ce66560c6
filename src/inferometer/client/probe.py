"""One request before the load: is somebody there, what is served, and is it the simulated engine?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from inferometer.client.exchange import Exchange
from inferometer.client.http1 import Head
from inferometer.client.reactor import Reactor
from inferometer.client.redact import error_text
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import EndpointError, InterruptedEarlyError

PROBE_LIMIT_S = 10.0
SIMULATOR = "inferometer-simulator"


class NoConnectionError(EndpointError):
    """One address of the endpoint does not accept connections."""


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint says of itself; stored in the run."""

    models: list[str] = []
    server: str | None = None  # the Server header
    max_model_len: int | None = None
    simulated: bool = False
    refusal: str | None = None  # what /v1/models answered when it names no model


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    head: Head
    body: bytes


def _never() -> bool:
    return False


def fetch(target: Target, path: str, clock: Clock, stopped: Callable[[], bool] = _never) -> Reply:
    """GET ``path`` below the target's base path.

    Args:
        target: whom to ask.
        path: what for.
        clock: for the time limit.
        stopped: looked at about once a second; True ends the wait.

    Raises:
        EndpointError: no connection, or no HTTP answer within 10 s.
        InterruptedEarlyError: ``stopped`` became True.
    """
    reactor = Reactor(target, clock)
    exchange = Exchange(0, target.request_head("GET", path, 0), clock.now_ns())
    limit_ns = clock.now_ns() + round(PROBE_LIMIT_S * 1e9)
    try:
        reactor.send(exchange)
        while not reactor.finished and clock.now_ns() < limit_ns:
            if stopped():
                raise InterruptedEarlyError(f"interrupted while {address(target)} was asked for its models")
            reactor.poll(limit_ns)
        if not reactor.finished:
            reactor.cancel_all("timeout", f"no answer to GET {path} within {PROBE_LIMIT_S:g} s")
    finally:
        reactor.close()
    if exchange.failure is not None or exchange.framer.head is None:
        text = error_text(exchange.failure_text or "no answer", target.secrets())
        kind = NoConnectionError if exchange.failure == "connect_error" else EndpointError
        raise kind(f"{address(target)} cannot be used: {text}", next_step_for_wire(text))
    return Reply(exchange.framer.head, bytes(exchange.body))


def address(target: Target) -> str:
    """The target as a person writes it, without secrets."""
    return f"{'https' if target.tls else 'http'}://{target.host_header}{target.base_path}"


WIDEN_PORTS = 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
_WIRE_STEPS = (
    ("mismatch", "write the host name that the certificate is for, or accept any with --insecure"),
    ("CERTIFICATE", "name its authority with --ca-file FILE, or accept any certificate with --insecure"),
    ("TLS", "is it an http server? then write http:// in --url"),
    ("not an HTTP", "is it an https server? then write https:// in --url"),
    (
        "assign requested address",
        "every source port to this server is taken, and a closed connection keeps its own for a minute: let the "
        f"server keep connections, lower the load, or widen the range: {WIDEN_PORTS}",
    ),
    ("refused", "is the server up, and are host and port right?"),
    ("reset by peer", "is it an https server? then write https:// in --url; else see the server's log"),
    ("without an answer", "is it an https server? then write https:// in --url; else see the server's log"),
    (
        "no byte for",
        "the server is silent: is it still loading, or hung? see its log, or raise --read-timeout",
    ),
    ("no answer to", "the server is silent: is it still loading, or hung? see its log"),
)


def next_step_for_wire(text: str) -> str:
    """What a person can do about a failure on the wire, from its text."""
    steps = (step for words, step in _WIRE_STEPS if words in text)
    return next(steps, "is the server up, and are host and port right?")


def find_server(
    target: Target, clock: Clock, stopped: Callable[[], bool] = _never
) -> tuple[Target, ServerInfo]:
    """Ask ``/v1/models`` at each address of the target until one accepts a connection.

    A name often has several: ``localhost`` is ::1 first on many machines, and most servers listen on 127.0.0.1
    only. A server without that path is fine, its model must then be named.

    Returns:
        The target with the address that answered, and what the server says of itself.

    Raises:
        EndpointError: nobody answers, or the key is refused.
        InterruptedEarlyError: ``stopped`` became True.
    """
    refused: list[NoConnectionError] = []
    for address_ in target.addresses:
        one = msgspec.structs.replace(target, addresses=[address_])
        try:
            return one, _ask(one, fetch(one, "/v1/models", clock, stopped))
        except NoConnectionError as error:
            refused.append(error)
    raise refused[0]


def _ask(target: Target, reply: Reply) -> ServerInfo:
    status, server = reply.head.status, reply.head.headers.get("server")
    said = error_text(f"{status} {reply.head.reason}: ".encode() + reply.body, target.secrets())
    if status in (401, 403):
        given = any(name.lower() == "authorization" for name, _ in target.headers)
        raise EndpointError(
            f"{address(target)}/v1/models answers {said}",
            "the server does not accept this key: check --api-key, OPENAI_API_KEY and --header"
            if given
            else "give the key with --api-key or in OPENAI_API_KEY",
        )
    simulated = server is not None and server.startswith(SIMULATOR)
    try:
        entries = msgspec.json.decode(reply.body, type=_Models).data if status == 200 else []
    except (msgspec.DecodeError, UnicodeDecodeError):
        entries = []
    names = [str(entry["id"]) for entry in entries if "id" in entry]
    lengths = [entry["max_model_len"] for entry in entries if isinstance(entry.get("max_model_len"), int)]
    return ServerInfo(
        models=names,
        server=server,
        max_model_len=lengths[0] if lengths else None,
        simulated=simulated,
        refusal=None if names else said,
    )


class _Models(msgspec.Struct):
    data: list[dict[str, Any]] = []


def choose_model(asked: str | None, info: ServerInfo, target: Target) -> str:
    """The model to send requests to: the asked one, or the first that is served.

    Raises:
        EndpointError: none was asked for and the server names none.
    """
    if asked:
        return asked
    if not info.models:
        raise EndpointError(
            f"{address(target)}/v1/models names no model, it answers {info.refusal}",
            "check host, port and path of --url; if they are right, name the model with --model NAME",
        )
    return info.models[0]
