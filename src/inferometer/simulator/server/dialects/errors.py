"""Errors as OpenAI's API words them in vLLM."""

from __future__ import annotations

import msgspec

_TYPES = {
    401: "AuthenticationError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    500: "InternalServerError",
    501: "NotImplementedError",
}


def openai_error(status: int, message: str, param: str | None = None) -> bytes:
    """An error object. Source: vLLM 0.32, serve/exception_handling."""
    kind = _TYPES.get(status, "BadRequestError")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": status}})
