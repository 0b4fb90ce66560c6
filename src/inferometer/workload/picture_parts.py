"""Pictures inside chat messages: the parts of OpenAI's API that carry them, added and counted."""

from __future__ import annotations

import binascii
from typing import Any, NamedTuple

import msgspec

from inferometer.errors import DataError
from inferometer.workload.request import Request

Parts = list[dict[str, Any]]

_KINDS = ("image_url", "video_url")
_DATA = "data:"


class Carried(NamedTuple):
    """The pictures and videos of one request.

    Attributes:
        number: how many there are.
        size: bytes that they take in the request body, in Base64; links count as nothing.
    """

    number: int = 0
    size: int = 0


_NOTHING = Carried()


def data_part(mime: str, data: bytes) -> dict[str, Any]:
    """A content part that holds a picture, or a video, as a data URL (RFC 2397)."""
    encoded = binascii.b2a_base64(data, newline=False).decode("ascii")
    return link_part(f"{_DATA}{mime};base64,{encoded}", video=mime.startswith("video/"))


def link_part(url: str, *, video: bool) -> dict[str, Any]:
    """A content part that names a picture or video: ``image_url`` of OpenAI's API, ``video_url`` of vLLM and SGLang."""
    kind = "video_url" if video else "image_url"
    return {"type": kind, kind: {"url": url}}


def with_parts(request: Request, parts: Parts) -> Request:
    """The request with these parts after the text of its last user message.

    A session keeps them in its first turn; the turns after it carry them along as part of the history.

    Raises:
        DataError: the request has no user message, as token ids and bodies for other APIs have none.
    """
    if request.text is not None:
        content = [_text_part(request.text), *parts]
        return msgspec.structs.replace(request, text=None, messages=[{"role": "user", "content": content}])
    if request.messages is not None:
        return msgspec.structs.replace(request, messages=_added(request, request.messages, parts))
    body = request.body or {}
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise _no_user_message(request)
    return msgspec.structs.replace(request, body={**body, "messages": _added(request, messages, parts)})


def carried(request: Request) -> Carried:
    """What pictures and videos the messages of a request carry, whoever put them there."""
    messages = request.messages if request.body is None else request.body.get("messages")
    if not isinstance(messages, list):
        return _NOTHING
    urls = [
        _url(part.get(part["type"]))
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict) and part.get("type") in _KINDS
    ]
    return Carried(len(urls), sum(len(url) for url in urls if url.startswith(_DATA)))


def _url(value: Any) -> str:
    """Of a part as the API has it, ``{"url": ...}``, or as some servers take it too, the URL alone."""
    return str(value.get("url", "")) if isinstance(value, dict) else str(value)


def _added(request: Request, messages: Parts, parts: Parts) -> Parts:
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.get("role") == "user":
            old = message.get("content") or ""
            content = [*(old if isinstance(old, list) else [_text_part(old)]), *parts]
            return [*messages[:place], {**message, "content": content}, *messages[place + 1 :]]
    raise _no_user_message(request)


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _no_user_message(request: Request) -> DataError:
    where = "a request" if request.row is None else f"row {request.row} of the data set"
    return DataError(
        f"{where} has no user message that pictures could go with",
        "send it without pictures (--image-count 0), or give the row a message of role user",
    )
