"""Builds the byte scripts of streaming answers, in every framing that servers are known to use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Literal

from inferometer.testing.fault_server import Incoming, Script, Send

Transfer = Literal["chunked", "close", "length"]


def sse(data: str | dict[str, Any], newline: str = "\n", final: bool = True) -> bytes:
    """One event; ``final`` False leaves out the empty line that ends it."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}{newline}{newline if final else ''}".encode()


def delta(content: str | None = None, *, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chat chunk; further fields go into its delta (``role=``, ``reasoning_content=``, ``tool_calls=``)."""
    message = {**({"content": content} if content is not None else {}), **fields}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": message, "finish_reason": finish}],
    }


def usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    """A usage frame: no choices."""
    total = input_tokens + output_tokens
    counts = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": counts}


def stream(
    parts: Sequence[tuple[float, bytes]], transfer: Transfer = "chunked", *, cut: bool = False
) -> Script:
    """A streaming answer of timed parts, each one write.

    Args:
        parts: ``(at_s, bytes)``; the head goes out with the first.
        transfer: chunked coding, body until close, or a Content-Length.
        cut: close in the middle instead of ending the message.
    """
    head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream; charset=utf-8", "Cache-Control: no-cache"]
    if transfer == "chunked":
        head.append("Transfer-Encoding: chunked")
    elif transfer == "length":
        head.append(f"Content-Length: {sum(len(data) for _, data in parts) + cut}")
    else:
        head.append("Connection: close")
    framed = [(at_s, chunked(data) if transfer == "chunked" else data) for at_s, data in parts]
    first_s, first = framed[0]
    sends = [Send(first_s, "\r\n".join(head).encode() + b"\r\n\r\n" + first)]
    sends += [Send(at_s, data) for at_s, data in framed[1:]]
    if transfer == "chunked" and not cut:
        sends[-1] = Send(sends[-1].at_s, sends[-1].data + b"0\r\n\r\n")
    return Script(sends, close=cut or transfer == "close")


def chunked(data: bytes) -> bytes:
    """One chunk of chunked transfer coding."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def plain(status: int, reason: str, body: bytes, content_type: str = "application/json") -> Script:
    """A whole answer in one write."""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Script([Send(0.0, head.encode() + body)])


def models(*names: str) -> Script:
    """The answer to ``/v1/models``."""
    return plain(200, "OK", json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


def answering(script: Script | Iterable[Script]) -> Any:
    """A script function that lists the model ``test`` and answers each generation request with ``script``.

    With several scripts they take turns, in the order of the requests.
    """
    turns = [script] if isinstance(script, Script) else list(script)
    number = count()

    def choose(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        return turns[next(number) % len(turns)]  # atomic: each connection has its thread

    return choose
