"""One request before the load: is somebody there, what is served, and is it the simulated engine?"""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.client.exchange import Exchange
from inferometer.client.http1 import Head, body_of
from inferometer.client.reactor import Reactor
from inferometer.client.redact import error_text
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import EndpointError

PROBE_LIMIT_S = 10.0
SIMULATOR = "inferometer-simulator"


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint says of itself; stored in the run."""

    models: list[str] = []
    server: str | None = None  # the Server header
    max_model_len: int | None = None
    simulated: bool = False


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    head: Head
    body: bytes


def fetch(target: Target, path: str, clock: Clock) -> Reply:
    """GET ``path`` below the target's base path.

    Raises:
        EndpointError: no connection, or no HTTP answer within 10 s.
    """
    reactor = Reactor(target, clock)
    exchange = Exchange(0, target.request_head("GET", path, 0), clock.now_ns())
    limit_ns = clock.now_ns() + round(PROBE_LIMIT_S * 1e9)
    try:
        reactor.send(exchange)
        while not reactor.finished and clock.now_ns() < limit_ns:
            reactor.poll(limit_ns)
        if not reactor.finished:
            reactor.cancel_all("timeout", f"no answer to GET {path} within {PROBE_LIMIT_S:g} s")
    finally:
        reactor.close()
    if exchange.failure is not None or exchange.framer.head is None:
        raise EndpointError(
            f"{address(target)} cannot be used: {exchange.failure_text}",
            _next_step(exchange.failure_text or ""),
        )
    head = exchange.framer.head
    raw = b"".join(read.data for read in exchange.reads)
    chunked = "chunked" in head.headers.get("transfer-encoding", "").lower()
    return Reply(head, body_of(raw, exchange.framer.skipped + head.length, chunked).data)


def address(target: Target) -> str:
    """The target as a person writes it, without secrets."""
    return f"{'https' if target.tls else 'http'}://{target.host_header}{target.base_path}"


def _next_step(text: str) -> str:
    if "CERTIFICATE" in text.upper():
        return "name its authority with --ca-file FILE, or accept any certificate with --insecure"
    if "TLS" in text or "SSL" in text:
        return "is it an http server? then write http:// in --url"
    if "not an HTTP" in text:
        return "is it an https server? then write https:// in --url"
    return "is the server up, and are host and port right?"


def ask_server(target: Target, clock: Clock) -> ServerInfo:
    """What ``/v1/models`` says; a server without that path is fine, its model must then be named.

    Raises:
        EndpointError: nobody answers, or the key is refused.
    """
    reply = fetch(target, "/v1/models", clock)
    status, server = reply.head.status, reply.head.headers.get("server")
    if status in (401, 403):
        raise EndpointError(
            f"{address(target)}/v1/models answers {status} {reply.head.reason}: "
            f"{error_text(reply.body, target.secrets())}",
            "give the key with --api-key or in OPENAI_API_KEY",
        )
    simulated = server is not None and server.startswith(SIMULATOR)
    try:
        entries = msgspec.json.decode(reply.body, type=_Models).data if status == 200 else []
    except msgspec.DecodeError:
        entries = []
    names = [str(entry["id"]) for entry in entries if "id" in entry]
    lengths = [entry["max_model_len"] for entry in entries if isinstance(entry.get("max_model_len"), int)]
    return ServerInfo(
        models=names, server=server, max_model_len=lengths[0] if lengths else None, simulated=simulated
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
            f"{address(target)}/v1/models names no model",
            "name it with --model NAME, and check the path of --url",
        )
    return info.models[0]
