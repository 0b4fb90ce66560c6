"""Answers under way: how the tokens of a request become bytes on its connection."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from inferometer.simulator.server.generation import Generation, error_json
from inferometer.simulator.server.http11 import LAST_CHUNK, HttpConnection
from inferometer.simulator.server.text import Voice

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
_BROKEN = "the simulated engine failed on purpose (inferometer_fault)"


class Subject(NamedTuple):
    """What an answer is about; fixed when the request was accepted."""

    request: Generation
    identity: str  # the id that the client sees
    created_s: int  # seconds since 1970
    model: str
    finish_reason: str
    start: int  # position of the first token in the vocabulary


def usage(request: Generation, generated: int, cached: int) -> bytes:
    """The usage object after ``generated`` tokens, ``cached`` of the prompt's from the prefix cache."""
    return (
        b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}'
        % (request.prompt_tokens, request.prompt_tokens + generated, generated, cached)
    )


class Answer:
    """One answer. The server calls ``begin`` once and then ``advance`` for each step that made tokens.

    Both return True when a fault broke the answer off, so that the engine has to forget it.
    """

    def __init__(self, subject: Subject, voice: Voice, connection: HttpConnection) -> None:
        self.subject = subject
        self.arrival_ns = 0
        self.last_token_ns: int | None = None
        self.generated = 0
        self.cached_tokens = 0  # set before the first token
        self._voice = voice
        self._connection = connection
        fault = subject.request.fault
        self._breaks_at = None if fault is None else fault.breaks_at

    def begin(self) -> bool:
        """The engine is about to get the request."""
        raise NotImplementedError

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """So many more tokens were made; ``finished`` marks the last."""
        raise NotImplementedError

    def _take(self, tokens: int) -> bool:
        """Count tokens, up to where the answer is to break off; True when it is there."""
        self.generated += tokens
        if self._breaks_at is None or self.generated < self._breaks_at:
            return False
        self.generated = self._breaks_at
        return True


class WholeAnswer(Answer):
    """One JSON object when the last token is there."""

    def begin(self) -> bool:
        """See :class:`Answer`."""
        return self._breaks_at == 0 and self._break()

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """See :class:`Answer`."""
        if self._take(tokens):
            return self._break()
        if finished:
            self._connection.reply(200, self._body(), JSON)
        return False

    def _break(self) -> bool:
        fault = self.subject.request.fault
        if fault is not None and fault.kind == "error_event":
            self._connection.reply(500, error_json(500, _BROKEN), JSON)
        else:
            self._connection.close()
        return True

    def _body(self) -> bytes:
        subject = self.subject
        text = self._voice.text(subject.start, self.generated).decode()
        choice: dict[str, object] = {"index": 0}
        if subject.request.chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        choice |= {"logprobs": None, "finish_reason": subject.finish_reason, "stop_reason": None}
        body: dict[str, object] = {
            "id": subject.identity,
            "object": "chat.completion" if subject.request.chat else "text_completion",
            "created": subject.created_s,
            "model": subject.model,
            "choices": [choice],
        }
        fault = subject.request.fault
        if fault is None or fault.kind != "no_usage":
            body["usage"] = msgspec.Raw(usage(subject.request, self.generated, self.cached_tokens))
        return msgspec.json.encode(body)


class EventStream(Answer):
    """Server-sent events, one HTTP chunk per event, framed as vLLM frames them.

    All of an event but its text is the same from chunk to chunk and made once.
    """

    def __init__(
        self, subject: Subject, voice: Voice, connection: HttpConnection, interval_tokens: int
    ) -> None:
        super().__init__(subject, voice, connection)
        self._interval_tokens = interval_tokens
        self._sent = 0  # tokens
        request = subject.request
        fault = request.fault
        self._kind = None if fault is None else fault.kind
        self._group = fault.tokens if fault is not None and fault.kind == "coalesce" else 1
        self._held: list[bytes] = []
        self._write = connection.write if self._group == 1 else self._hold
        about = msgspec.json.encode(
            {
                "id": subject.identity,
                "object": "chat.completion.chunk" if request.chat else "text_completion",
                "created": subject.created_s,
                "model": subject.model,
            }
        )
        self._about = b"data: " + about[:-1]
        self._continuous = request.continuous_usage and self._kind != "no_usage"
        inner = b'"delta":{"content":"' if request.chat else b'"text":"'
        self._prefix = self._about + b',"choices":[{"index":0,' + inner
        self._suffix = self._after_text(b"null")
        self._constant_bytes = len(self._prefix) + len(self._suffix)

    def begin(self) -> bool:
        """See :class:`Answer`."""
        self._connection.begin_stream(EVENTS)
        return self._breaks_at == 0 and self._break()

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """See :class:`Answer`."""
        breaks = self._take(tokens)
        if (
            not (finished or breaks)
            and 0 < self.generated - self._sent < self._interval_tokens
            and self._sent
        ):
            return False
        if self._sent == 0 and self.subject.request.chat:
            self._write(_chunk(self._role()))
        first, count = self.subject.start + self._sent, self.generated - self._sent
        self._sent = self.generated
        text = self._voice.text(first, count)
        if breaks:
            self._write(_chunk(self._prefix + text + self._suffix))
            return self._break()
        if finished:
            self._finish(text)
        elif self._continuous:
            self._write(_chunk(self._prefix + text + self._after_text(b"null")))
        else:
            self._write(
                b"%x\r\n%b%b%b\r\n" % (self._constant_bytes + len(text), self._prefix, text, self._suffix)
            )
        return False

    def _finish(self, text: bytes) -> None:
        reason = msgspec.json.encode(self.subject.finish_reason)
        tail = [_chunk(self._prefix + text + self._after_text(reason))]
        if self.subject.request.include_usage and self._kind != "no_usage":
            total = usage(self.subject.request, self.generated, self.cached_tokens)
            tail.append(_chunk(self._about + b',"choices":[],"usage":' + total + b"}\n\n"))
        if self._kind != "no_done":
            tail.append(_chunk(b"data: [DONE]\n\n"))
        self._flush(*tail, LAST_CHUNK)
        self._connection.end_stream()

    def _break(self) -> bool:
        if self._kind == "error_event":
            events = (b"data: " + error_json(500, _BROKEN) + b"\n\n", b"data: [DONE]\n\n")
            self._flush(*map(_chunk, events), LAST_CHUNK)
            self._connection.end_stream()
        else:
            self._flush()
            self._connection.close()
        return True

    def _role(self) -> bytes:
        delta = b'{"role":"assistant","content":""},"logprobs":null,"finish_reason":null'
        counted = b""
        if self._continuous:
            counted = b',"usage":' + usage(self.subject.request, 0, self.cached_tokens)
        return b'%b,"choices":[{"index":0,"delta":%b}]%b}\n\n' % (self._about, delta, counted)

    def _after_text(self, reason: bytes) -> bytes:
        """What follows the text in an event; ``reason`` is the finish reason as JSON."""
        chat = self.subject.request.chat
        stop = b',"stop_reason":null' if not chat or reason != b"null" else b""
        quote = b'"}' if chat else b'"'
        counted = b""
        if self._continuous:
            counted = b',"usage":' + usage(self.subject.request, self.generated, self.cached_tokens)
        elif not chat:
            counted = b',"usage":null'
        return b'%b,"logprobs":null,"finish_reason":%b%b}]%b}\n\n' % (quote, reason, stop, counted)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        if len(self._held) >= self._group:
            self._flush()

    def _flush(self, *tail: bytes) -> None:
        data = b"".join((*self._held, *tail))
        self._held.clear()
        if data:
            self._connection.write(data)


def _chunk(event: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(event), event)
