"""Keeps secrets out of whatever is stored or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from inferometer.spec.url import USER_IN_URL, without_credentials

ERROR_TEXT_LIMIT = 400
_SHORTEST_PART = 8  # characters; shorter parts of a header value are words such as "Basic"

_SECRET_SHAPES = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]{6,}|\b(sk|hf|ms)[-_][\w-]{8,}|((?:api[-_]?key|authorization|token)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]{6,}"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` with the given secrets, and whatever looks like a credential, replaced by ``***``."""
    for secret in secrets:
        text = text.replace(secret, "***")
        bare = secret.removeprefix("Bearer ").strip()
        if len(bare) >= 4:
            text = text.replace(bare, "***")
        # A server may repeat one part only: the value of "Basic dXNlcj...", or of one cookie.
        for part in re.split(r"[\s;,=]+", secret):
            if len(part) >= _SHORTEST_PART:
                text = text.replace(part, "***")
    text = USER_IN_URL.sub("***", without_credentials(text))
    return _SECRET_SHAPES.sub(lambda m: f"{m[1] or m[3] or ''}***", text)


def error_text(data: bytes | str, secrets: Iterable[str] = ()) -> str:
    """A bounded, redacted, one-line form of a server's or library's error message."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    # Cut with slack first, so that a secret at the edge is still seen whole; then redact, then cut to size.
    text = redact(" ".join(text[: 8 * ERROR_TEXT_LIMIT].split()), secrets)
    return text if len(text) <= ERROR_TEXT_LIMIT else text[: ERROR_TEXT_LIMIT - 1] + "…"
