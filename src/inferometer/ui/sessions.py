"""Who may come in: a token once, then a cookie; and a sign in each form that only our own pages can have."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

TOKEN_VARIABLE: Final = "INFEROMETER_UI_TOKEN"  # noqa: S105 - the name of a variable


class Sessions:
    """Sessions of one server. None is kept: a cookie proves itself by a key that ends with the server.

    So no number of visitors (each fetch of ``/metrics`` is one) pushes out the session of a form that is being filled.

    Args:
        port: part of the cookie's name, because cookies do not tell ports of a host apart.
        token: without which nobody comes in; None = no token is asked for.
    """

    def __init__(self, port: int, token: str | None) -> None:
        self.cookie = f"inferometer-ui-{port}"
        self._token = token
        self._key = secrets.token_bytes(32)

    @property
    def closed(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def is_token(self, text: str) -> bool:
        """Whether it is the token; takes the same time wherever it differs."""
        return self._token is not None and _same(text, self._token)

    def begin(self) -> str:
        """A new session."""
        name = secrets.token_urlsafe(24)
        return f"{name}.{self._proof('session', name)}"

    def of_cookie(self, header: str) -> str | None:
        """The session in a ``Cookie`` header, if it is one of ours."""
        for pair in header.split(";"):  # those of other servers on this host may have any form
            name, _, session = pair.strip().partition("=")
            if name == self.cookie and self._is_session(session):
                return session
        return None

    def _is_session(self, text: str) -> bool:
        name, _, proof = text.partition(".")
        return _same(proof, self._proof("session", name))

    def set_cookie(self, session: str) -> str:
        """The ``Set-Cookie`` header of a session."""
        return f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict"

    def sign(self, session: str) -> str:
        """What the forms of this session carry; nobody can reckon it from the cookie."""
        return self._proof("form", session)

    def is_sign(self, session: str, text: str) -> bool:
        """Whether a form carries it."""
        return _same(text, self.sign(session))

    def _proof(self, of: str, text: str) -> str:
        return hmac.new(self._key, f"{of} {text}".encode(), hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
