"""What stands before every page: whom we answer, who may come in, what may change something, what browsers are told.

* A name that is not ours is a page of somebody else that had its name resolved to this machine (DNS rebinding).
* A change takes a POST from a page of ours: by Origin and Sec-Fetch-Site where browsers tell them, by a cookie that is
  only sent from our own pages, and by a sign in the form that is bound to it. GET and HEAD change nothing.
* A page of somebody else may lead here, and may not have parts of ours, which would cost time here at each view.
* No script runs but those that we serve as files, and no page of anybody can hold ours in a frame.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferometer.ui.sessions import Sessions

MOST_BYTES: Final = 256 * 1024  # of a form
_MOST_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"
STATIC: Final = "/static/"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TOLD: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer the Origin of our own forms would be null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application around another one.

    A request that comes through has ``scope["session"]``, and a POST ``scope["form"]``: its fields, each with the last
    of its values, and ``scope["fields"]``: all of them.

    Args:
        inner: the pages.
        sessions: who may come in.
        host: where we listen.
        read_only: whether every POST is refused.
    """

    def __init__(self, inner: ASGIApp, sessions: Sessions, host: str, read_only: bool) -> None:
        self._inner = inner
        self._sessions = sessions
        self._names = our_names(host)
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let in."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inner(scope, receive, send)
            return
        told = _telling(send)
        headers = Headers(scope=scope)
        answer = self._refused(scope, headers) or self._entering(scope, headers)
        if answer is None and scope["method"] == "POST":
            answer = await self._changing(scope, headers, receive)
        await (answer or self._inner)(scope, receive, told)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """What nobody is answered."""
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _no(405, f"{scope['method']} is not answered here")
        if not is_ours(headers.get("host", ""), self._names):
            return _no(
                421,
                "This server does not answer to that name. Open it by the address that it printed when it started.",
            )
        if _is_part_of_another_site(headers):
            return _no(403, "This is no part of a page of another site.")
        return None

    def _entering(self, scope: Scope, headers: Headers) -> Response | None:
        """Find or begin the session; or the way in."""
        try:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=_MOST_FIELDS))
        except ValueError:
            return _no(400, f"An address has at most {_MOST_FIELDS} fields.")
        if self._sessions.is_token(query.get("token", "")):
            return self._let_in(scope, headers, query)
        session = self._sessions.of_cookie(headers.get("cookie", ""))
        scope["session"], scope["new_session"] = session, None
        if session is not None or scope["path"].startswith(STATIC):
            return None
        if not self._sessions.closed:
            scope["session"] = scope["new_session"] = self._sessions.begin()
            return None
        kind, _, token = headers.get("authorization", "").partition(" ")
        if scope["method"] != "POST" and kind.lower() == "bearer" and self._sessions.is_token(token.strip()):
            scope["session"] = ""  # a program: it has no forms
            return None
        if scope["path"].startswith(("/api/", "/metrics")):
            return PlainTextResponse(
                "a token is asked for: send Authorization: Bearer TOKEN\n",
                401,
                {"www-authenticate": "Bearer"},
            )
        return HTMLResponse(_ENTRANCE, 401)

    def _let_in(self, scope: Scope, headers: Headers, query: Mapping[str, str]) -> Response:
        """The token is right: a cookie in its place, and out of the address with it."""
        rest = urlencode({name: value for name, value in query.items() if name != "token"})
        path = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        cookie = {"set-cookie": self._sessions.set_cookie(self._sessions.begin())}
        if headers.get("sec-fetch-site") == "cross-site":
            # From a link in somebody's page the browser would not send the strict cookie along a redirect.
            return HTMLResponse(_ONWARD, headers={**cookie, "refresh": f"0; url={path}"})
        return RedirectResponse(path, 303, cookie)

    async def _changing(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """Read the form of a POST that may change something; or why it may not."""
        if self._read_only:
            return _no(403, "These pages are read-only: they were started with --read-only.")
        if not _from_our_pages(headers):
            return _no(403, "This came from a page of another site.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return _no(415, f"Forms are sent as {_FORM}.")
        body = await _body(headers, receive)
        if body is None:
            return _no(413, f"A form has at most {MOST_BYTES} bytes.")
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return _no(400, "The form cannot be read.")
        scope["fields"], scope["form"] = fields, dict(fields)
        if not scope["session"] or not self._sessions.is_sign(
            scope["session"], scope["form"].get("sign", "")
        ):
            return _no(403, "This form is too old: go back, load the page again, and send it again.")
        return None


def our_names(host: str) -> frozenset[str]:
    """Names that a server at ``host`` answers to, beside numeric addresses."""
    names = {"localhost"}
    if not is_loopback(host):
        names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_ours(host: str, names: Iterable[str]) -> bool:
    """Whether a ``Host`` header means this server: an address in numbers, which no other site can own, or our name."""
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_part_of_another_site(headers: Headers) -> bool:
    """Whether a page of somebody else asks for this behind the back of its reader: a picture, a script, a stream."""
    foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    return foreign and headers.get("sec-fetch-mode", "navigate") != "navigate"


def _from_our_pages(headers: Headers) -> bool:
    """What the browser says of where a request came from, as far as it says it."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """All of it; None when it is too long, without reading on."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > MOST_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _telling(send: Send) -> Send:
    """``send`` with what browsers are told, where the answer does not say it itself."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            own: list[tuple[bytes, bytes]] = list(message.get("headers", []))
            have = {name.lower() for name, _ in own}
            own += [(k.encode(), v.encode()) for k, v in _TOLD.items() if k.encode() not in have]
            message = {**message, "headers": own}
        await send(message)

    return told


def _no(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


def session_of(scope: MutableMapping[str, Any]) -> str:
    """The session of a request that came through."""
    return scope.get("session") or ""


_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
)
_ENTRANCE = (
    _HEAD + "<title>Inferometer</title><h1>Inferometer</h1>"
    "<p>A token is asked for; it was printed when the server started. "
    '<span lang="zh">需要令牌，启动服务时已打印在终端。</span></p>'
    '<form method="get"><p><label>Token <input name="token" type="password" autocomplete="off" autofocus required>'
    "</label> <button>Enter</button></p></form></html>"
)
_ONWARD = _HEAD + '<title>Inferometer</title><p><a href="/">Go on</a></p></html>'
