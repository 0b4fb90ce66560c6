"""What the truth server says: the request it reads and the bytes it answers, without a socket or a clock.

The stream has the shape of vLLM's: one HTTP chunk per SSE event, about 230 bytes each. The first write carries the
head, the role chunk and the first content chunk; the last one the last content chunk and all that ends the message.
"""

from __future__ import annotations

from array import array

import msgspec

from inferometer.errors import InferometerError

DEFAULT_TOKENS = 16
BLOCK_BYTES = 64 << 10
_WORD = " the"  # one token for the tokenizers in use
_CREATED = 1_700_000_000  # a constant: nobody measures it, and a wall clock would be one more input
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: inferometer-truth\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 411: "Length Required", 413: "Too Large"}
_LONGEST_BODY = 256 << 20


class BadRequestError(InferometerError):
    """A request that the truth server cannot answer.

    Attributes:
        status: the HTTP status to say so with.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(msgspec.Struct, frozen=True):
    """The head of a request, as far as the server looks at it."""

    method: str
    path: str
    length: int
    close: bool
    expects_continue: bool


class StreamOptions(msgspec.Struct, frozen=True):
    """``stream_options`` of a request."""

    include_usage: bool = False


class Asked(msgspec.Struct, frozen=True):
    """The fields of a generation request that change the answer; all others are skipped unparsed."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def tokens(self) -> int:
        """How many content chunks the answer has, at least 1."""
        return max(1, self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS)

    @property
    def usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


_DECODER = msgspec.json.Decoder(Asked)


def parse_head(data: bytes) -> RequestHead:
    """Read the head of a request.

    Args:
        data: everything before the empty line.

    Raises:
        BadRequestError: not HTTP, or a body without a usable Content-Length.
    """
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise BadRequestError(f"request line {first[:80]!r} is not HTTP/1.1")
    fields = {n.strip().lower(): v.strip().lower() for n, _, v in (line.partition(":") for line in lines)}
    if "transfer-encoding" in fields:
        raise BadRequestError("the truth server reads bodies with Content-Length only", 411)
    length = fields.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequestError(f"Content-Length {length!r} is not a number")
    if int(length) > _LONGEST_BODY:
        raise BadRequestError(f"a body of {length} bytes is longer than {_LONGEST_BODY}", 413)
    connection = fields.get("connection", "")
    return RequestHead(
        words[0],
        words[1].partition("?")[0],
        int(length),
        "close" in connection or (words[2] == "HTTP/1.0" and "keep-alive" not in connection),
        fields.get("expect") == "100-continue",
    )


def parse_body(body: bytes | bytearray) -> Asked:
    """Read the few fields of a generation request.

    Raises:
        BadRequestError: not a JSON object, or a field of another type.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"the body is no generation request: {error}") from error


class Answer:
    """One answer as bytes that are made when they are due, and the times at which they left.

    ``first`` is followed by ``middle`` as often as there are chunks between the first and the last, then by
    ``last``. A plain reply is an answer of one chunk that is all ``first``.

    Attributes:
        chunks: content chunks, at least 1.
        left: content chunks that are not due yet; the server counts it down.
        due_ns: when the next one is due.
        sent: CLOCK_MONOTONIC ns per chunk, of the ``send`` that carried its last byte; None = not kept.
    """

    __slots__ = ("_block", "chunks", "due_ns", "first", "last", "left", "middle", "position", "sent", "total")

    def __init__(self, chunks: int, first: bytes, middle: bytes = b"", last: bytes = b"") -> None:
        self.chunks = chunks
        self.first, self.middle, self.last = first, middle, last
        self.left = chunks
        self.due_ns = 0
        self.sent: array[int] | None = None
        self.position = 0
        self.total = len(first) + len(middle) * max(0, chunks - 2) + len(last)
        self._block = b""

    def end_of(self, chunk: int) -> int:
        """Where the first ``chunk`` content chunks end, in bytes from the start of the answer."""
        if chunk >= self.chunks:
            return self.total
        return len(self.first) + len(self.middle) * (chunk - 1) if chunk else 0

    def whole_chunks(self, position: int) -> int:
        """How many content chunks lie wholly before ``position``."""
        if position >= self.total:
            return self.chunks
        if position < len(self.first):
            return 0
        return min(self.chunks - 1, 1 + (position - len(self.first)) // len(self.middle))

    def piece(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` towards ``stop``: at least one, at most about ``BLOCK_BYTES``."""
        if start < len(self.first):
            return self.first[start : min(stop, start + BLOCK_BYTES)]
        last_at = self.total - len(self.last)
        if start >= last_at:
            return self.last[start - last_at : stop - last_at]
        if not self._block:
            self._block = self.middle * max(1, min(BLOCK_BYTES // len(self.middle), self.chunks - 2))
        at = (start - len(self.first)) % len(self.middle)
        return self._block[at : at + min(stop, last_at) - start]

    def stamp(self, position: int, now_ns: int) -> None:
        """Everything before ``position`` has left, the newest part of it at ``now_ns``."""
        self.position = position
        if self.sent is not None:
            self.sent.extend([now_ns] * (self.whole_chunks(position) - len(self.sent)))


class Voice:
    """Builds the answers of one model name.

    Args:
        model: the name that the server answers with.
    """

    def __init__(self, model: str) -> None:
        self._model = msgspec.json.encode(model).decode()

    def models(self) -> Answer:
        """The answer to ``/v1/models``."""
        card = f'{{"id":{self._model},"object":"model","created":{_CREATED},"owned_by":"inferometer truth server"}}'
        return reply(200, f'{{"object":"list","data":[{card}]}}'.encode())

    def stream(self, identity: str, asked: Asked, chat: bool, prompt_tokens: int) -> Answer:
        """A streamed answer of ``asked.tokens`` content chunks.

        Args:
            identity: the response id, plain ASCII.
            asked: the request.
            chat: the dialect of chat completions, else that of completions.
            prompt_tokens: what the usage chunk reports.
        """
        role = self._chunk(identity, chat, '{"role":"assistant","content":""}') if chat else b""
        word = f'{{"content":"{_WORD}"}}' if chat else _WORD
        content = self._chunk(identity, chat, word)
        end = self._chunk(identity, chat, "{}" if chat else "", "length")
        if asked.usage:
            end += self._usage_chunk(identity, chat, _usage(prompt_tokens, asked.tokens))
        end += _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        if asked.tokens == 1:
            return Answer(1, _STREAM_HEAD + role + content + end)
        return Answer(asked.tokens, _STREAM_HEAD + role + content, content, content + end)

    def whole(self, identity: str, asked: Asked, chat: bool, prompt_tokens: int) -> Answer:
        """An answer that is not streamed; arguments as for ``stream``."""
        text = _WORD * asked.tokens
        message = f'"message":{{"role":"assistant","content":"{text}"}}' if chat else f'"text":"{text}"'
        choice = f'{{"index":0,{message},"logprobs":null,"finish_reason":"length"}}'
        kind = "chat.completion" if chat else "text_completion"
        usage = _usage(prompt_tokens, asked.tokens)
        body = f'{self._opening(identity, kind)},"choices":[{choice}],"usage":{usage}}}'
        return reply(200, body.encode())

    def _opening(self, identity: str, kind: str) -> str:
        return f'{{"id":"{identity}","object":"{kind}","created":{_CREATED},"model":{self._model}'

    def _chunk(self, identity: str, chat: bool, said: str, finish: str | None = None) -> bytes:
        delta = f'"delta":{said}' if chat else f'"text":"{said}"'
        reason = f'"{finish}"' if finish else "null"
        choice = f'{{"index":0,{delta},"logprobs":null,"finish_reason":{reason},"token_ids":null}}'
        kind = "chat.completion.chunk" if chat else "text_completion"
        return _http_chunk(f'data: {self._opening(identity, kind)},"choices":[{choice}]}}\n\n'.encode())

    def _usage_chunk(self, identity: str, chat: bool, usage: str) -> bytes:
        kind = "chat.completion.chunk" if chat else "text_completion"
        return _http_chunk(
            f'data: {self._opening(identity, kind)},"choices":[],"usage":{usage}}}\n\n'.encode()
        )


def reply(status: int, body: bytes, content_type: str = "application/json") -> Answer:
    """A whole reply in one write."""
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nserver: inferometer-truth\r\ncontent-type: {content_type}\r\n"
    return Answer(1, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def refusal(error: BadRequestError) -> Answer:
    """The reply to a request that cannot be answered."""
    return reply(
        error.status, msgspec.json.encode({"error": {"message": str(error), "type": "truth_server"}})
    )


def _usage(prompt_tokens: int, tokens: int) -> str:
    total = prompt_tokens + tokens
    return f'{{"prompt_tokens":{prompt_tokens},"total_tokens":{total},"completion_tokens":{tokens}}}'


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
