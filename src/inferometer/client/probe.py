"""One request before the load: is somebody there, what is served, and is it the simulated engine?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from inferometer.client.dialects.reading import UNREADABLE, number
from inferometer.client.exchange import Exchange
from inferometer.client.http1 import Head
from inferometer.client.reactor import Reactor
from inferometer.client.redact import error_text
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import EndpointError, InterruptedEarlyError
from inferometer.spec import Endpoint

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
    others: list[ServerInfo] = []  # what further servers say of themselves


class Reply(msgspec.Struct, frozen=True):
    """A whole response."""

    head: Head
    body: bytes


def _never() -> bool:
    return False


class Caller:
    """Asks one server, one call after the other, outside of any load.

    Life cycle: connects when it is asked, and again after ``close``.

    Args:
        target: whom to ask.
        clock: for the time limit.
        stopped: looked at about once a second; True ends the wait.
    """

    def __init__(self, target: Target, clock: Clock, stopped: Callable[[], bool] = _never) -> None:
        self.target = msgspec.structs.replace(target, others=[])
        self._clock = clock
        self._stopped = stopped
        self._reactor: Reactor | None = None

    def call(self, method: str, path: str, body: bytes = b"", limit_s: float = PROBE_LIMIT_S) -> Reply:
        """Send one request and wait for the whole answer, whatever its status.

        Raises:
            EndpointError: no connection, or no HTTP answer within ``limit_s``.
            InterruptedEarlyError: ``stopped`` became True.
        """
        if self._reactor is None:
            self._reactor = Reactor(self.target, self._clock)
        reactor, clock = self._reactor, self._clock
        exchange = Exchange(0, self.target.request_head(method, path, len(body)) + body, clock.now_ns())
        limit_ns = clock.now_ns() + round(limit_s * 1e9)
        try:
            reactor.send(exchange)
            while not reactor.finished and clock.now_ns() < limit_ns:
                if self._stopped():
                    raise InterruptedEarlyError(
                        f"interrupted while {address(self.target)} was asked for {path}"
                    )
                reactor.poll(limit_ns)
            if not reactor.finished:
                reactor.cancel_all("timeout", f"no answer to {method} {path} within {limit_s:g} s")
            reactor.finished.clear()
        except BaseException:
            self.close()
            raise
        if exchange.failure is not None or exchange.framer.head is None:
            text = error_text(exchange.failure_text or "no answer", self.target.secrets())
            kind = NoConnectionError if exchange.failure == "connect_error" else EndpointError
            self.close()
            raise kind(f"{address(self.target)} cannot be used: {text}", next_step_for_wire(text))
        return Reply(exchange.framer.head, bytes(exchange.body))

    def pause(self, seconds: float) -> None:
        """Let some time go by with the connection open."""
        limit_ns = self._clock.now_ns() + round(seconds * 1e9)
        while self._reactor is not None and self._clock.now_ns() < limit_ns:
            self._reactor.poll(limit_ns)

    def said(self, reply: Reply) -> str:
        """An answer as a message may show it: bounded, without a secret."""
        head = reply.head
        return error_text(f"{head.status} {head.reason}: ".encode() + reply.body, self.target.secrets())

    def close(self) -> None:
        """Close the connection."""
        if self._reactor is not None:
            self._reactor.close()
            self._reactor = None


def fetch(target: Target, path: str, clock: Clock, stopped: Callable[[], bool] = _never) -> Reply:
    """GET ``path`` below the target's base path, within 10 s.

    Raises:
        EndpointError, InterruptedEarlyError: as ``Caller.call``.
    """
    caller = Caller(target, clock, stopped)
    try:
        return caller.call("GET", path)
    finally:
        caller.close()


def address(target: Target) -> str:
    """The target as a person writes it, without secrets."""
    through = "" if target.proxy is None else f" through the proxy {target.proxy.name}"
    return f"{'https' if target.tls else 'http'}://{target.host_header}{target.base_path}{through}"


_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-apig-appcode", "cookie")
WIDEN_PORTS = 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
_PROXY_KEY = "give the proxy's user name and password: --proxy http://USER:PASSWORD@HOST:PORT"
_OWN_CERTIFICATE = "--client-cert FILE --client-key FILE"
_REFUSED_TLS = (
    "the server refuses our side of TLS: does it ask for a certificate, or not accept ours? "
    f"{_OWN_CERTIFICATE}; else see its log"
)
_WIRE_STEPS = (
    ("CERTIFICATE_REQUIRED", f"the server asks for our certificate: {_OWN_CERTIFICATE}"),
    ("ALERT", _REFUSED_TLS),
    ("TLS handshake: Connection reset", _REFUSED_TLS),
    ("HTTP 407", _PROXY_KEY),
    ("connect to the proxy", "is the proxy up, and are host and port of --proxy right?"),
    ("is it a proxy?", "check host and port of --proxy"),
    (
        "does not connect to",
        "the proxy cannot or may not reach the server: check --url, or go without --proxy",
    ),
    ("before it answered CONNECT", "see the proxy's log, or go without --proxy"),
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
    target: Target, clock: Clock, stopped: Callable[[], bool] = _never, lists_models: bool = True
) -> tuple[Target, ServerInfo]:
    """Ask ``/v1/models`` at each address of the target until one accepts a connection.

    A name often has several: ``localhost`` is ::1 first on many machines, and most servers listen on 127.0.0.1
    only. A server without that path is fine, its model must then be named.

    Args:
        target: the server.
        clock: for the time limit.
        stopped: as in ``Caller``.
        lists_models: whether that path belongs to the server's API. Where it does not, a refusal or silence says
            nothing of the API itself.

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
            return one, _ask(one, fetch(one, "/v1/models", clock, stopped), lists_models)
        except NoConnectionError as error:
            refused.append(error)
        except EndpointError as error:
            if lists_models:
                raise
            return one, ServerInfo(refusal=error.message)
    raise refused[0]


def find_servers(
    target: Target, clock: Clock, stopped: Callable[[], bool] = _never, lists_models: bool = True
) -> tuple[Target, ServerInfo]:
    """``find_server`` for each of the servers that take turns; all of them have to answer.

    Raises:
        EndpointError, InterruptedEarlyError: as ``find_server``.
    """
    found = [
        find_server(msgspec.structs.replace(one, others=[]), clock, stopped, lists_models)
        for one in target.servers
    ]
    (first, info), others = found[0], found[1:]
    return (
        msgspec.structs.replace(first, others=[other for other, _ in others]),
        msgspec.structs.replace(info, others=[said for _, said in others]),
    )


def _ask(target: Target, reply: Reply, lists_models: bool) -> ServerInfo:
    status, server = reply.head.status, reply.head.headers.get("server")
    said = error_text(f"{status} {reply.head.reason}: ".encode() + reply.body, target.secrets())
    if status in (401, 403) and lists_models:
        given = any(name.lower() in _KEY_HEADERS for name, _ in target.headers)
        raise EndpointError(
            f"{address(target)}/v1/models answers {said}",
            "the server does not accept this key: check --api-key, OPENAI_API_KEY and --header"
            if given
            else "give the key with --api-key or in OPENAI_API_KEY",
        )
    if status == 407:
        raise EndpointError(f"{address(target)}/v1/models: the proxy answers {said}", _PROXY_KEY)
    simulated = server is not None and server.startswith(SIMULATOR)
    try:
        entries = msgspec.json.decode(reply.body, type=_Models).data if status == 200 else []
    except UNREADABLE:
        entries = []
    names = [str(entry["id"]) for entry in entries if "id" in entry]
    lengths = [found for entry in entries if (found := number(entry.get("max_model_len")))]
    return ServerInfo(
        models=names,
        server=server,
        max_model_len=lengths[0] if lengths else None,
        simulated=simulated,
        refusal=None if names else said,
    )


class _Models(msgspec.Struct):
    data: list[dict[str, Any]] = []


def choose_model(endpoint: Endpoint, info: ServerInfo, target: Target) -> str:
    """The model to send requests to: the asked one, or the first that is served.

    Raises:
        EndpointError: none was asked for and the server names none; or servers that take turns serve others.
    """
    model = endpoint.model or (info.models[0] if info.models else "")
    if not model:
        raise EndpointError(
            f"{address(target)} names no model at /v1/models, it answers {info.refusal}",
            "check host, port and path of --url; if they are right, name the model with --model NAME",
        )
    name = endpoint.served_model_name or model
    listed = [
        (one, said) for one, said in zip(target.servers, (info, *info.others), strict=True) if said.models
    ]
    if len({frozenset(said.models) for _, said in listed}) > 1:
        lacking = next((one for one, said in listed if name not in said.models), None)
        if lacking is not None:
            lists = "; ".join(f"{address(one)} serves {', '.join(said.models)}" for one, said in listed)
            raise EndpointError(
                f"{address(lacking)} does not serve {name!r}, which all servers that take turns have to: {lists}",
                "name a model that all of them serve with --model NAME, or leave the server out of --more-url",
            )
    return model


def check_mix(names: Sequence[str], info: ServerInfo, target: Target) -> None:
    """Every model of a mix is served; a server that does not list its models is believed.

    Raises:
        EndpointError: a server lists its models, and one of the mix is not among them.
    """
    for server, said in zip(target.servers, (info, *info.others), strict=True):
        lacking = [name for name in names if said.models and name not in said.models]
        if lacking:
            raise EndpointError(
                f"{address(server)} does not serve {', '.join(map(repr, lacking))}; it serves "
                f"{', '.join(map(repr, said.models))}",
                "correct --model-mix, or have the server load the adapter",
            )
