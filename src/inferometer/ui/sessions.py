"""Who may come in: a token once, then a cookie; and a sign in each form that only our own pages can have."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

_MOST = 1000  # sessions that are known at a time; the oldest goes


class Sessions:
    """Sessions of one server, in memory only.

    Args:
        port: part of the cookie's name, because cookies do not tell ports of a host apart.
        token: without which nobody comes in; None = no token is asked for.
    """

    def __init__(self, port: int, token: str | None) -> None:
        self.cookie = f"inferometer-ui-{port}"
        self._token = token
        self._key = secrets.token_bytes(32)
        self._known: dict[str, None] = {}

    @property
    def closed(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def is_token(self, text: str) -> bool:
        """Whether it is the token; takes the same time wherever it differs."""
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())

    def begin(self) -> str:
        """A new session, known from now on."""
        session = secrets.token_urlsafe(24)
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[session] = None
        return session

    def of_cookie(self, header: str) -> str | None:
        """The session in a ``Cookie`` header, if it is one of ours."""
        try:
            morsel = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return None
        return morsel.value if morsel is not None and morsel.value in self._known else None

    def set_cookie(self, session: str) -> str:
        """The ``Set-Cookie`` header of a session."""
        return f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict"

    def sign(self, session: str) -> str:
        """What the forms of this session carry; nobody can reckon it from the cookie."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()

    def is_sign(self, session: str, text: str) -> bool:
        """Whether a form carries it."""
        return hmac.compare_digest(self.sign(session), text)
