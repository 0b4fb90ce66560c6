"""Answers under way: how the tokens of a request become bytes on its connection."""

from __future__ import annotations

from collections.abc import Iterable

from inferometer.simulator.server.faults import Fault
from inferometer.simulator.server.http11 import LAST_CHUNK, HttpConnection
from inferometer.simulator.server.wire import BROKEN, JSON, Form, Subject, Wire


class Reply:
    """The reply to one request, of one answer or several.

    Args:
        forms: who words each answer.
        wire: the API that it came by.
        connection: where it goes.
        fault: what is to go wrong.
    """

    def __init__(
        self, forms: list[Form], wire: Wire, connection: HttpConnection, fault: Fault | None
    ) -> None:
        self.forms = forms
        self.connection = connection
        self.fault_kind = None if fault is None else fault.kind
        self._wire = wire
        self._left = len(forms)
        self._begun = False
        self._held: list[bytes] = []
        self._group = fault.tokens if fault is not None and fault.kind == "coalesce" else 1
        self.write = connection.write if self._group == 1 else self._hold
        for form in forms:
            form.counts = self.fault_kind != "no_usage"

    def begin_stream(self) -> None:
        """Send the head, once for all answers."""
        if not self._begun:
            self.connection.begin_stream(self.forms[0].content_type)
            self._begun = True

    def last_events(self, events: Iterable[bytes]) -> None:
        """The last events of one answer; after those of the last answer the stream ends."""
        self._left -= 1
        tail = [chunk(event) for event in events]
        if self._left:
            for event in tail:
                self.write(event)
            return
        done = self.fault_kind != "no_done"
        tail += [chunk(event) for event in self.forms[0].closing(self.forms, done)]
        self._flush(*tail, LAST_CHUNK)
        self.connection.end_stream()

    def whole(self) -> None:
        """One answer is complete; after the last one all are sent."""
        self._left -= 1
        if not self._left:
            self.connection.reply(200, self.forms[0].whole(self.forms), JSON)

    def break_whole(self) -> None:
        """The answer fails on purpose, before anything of it was sent."""
        if self.fault_kind == "error_event":
            status, body = self._wire.error(500, BROKEN, None)
            self.connection.reply(status, body, JSON)
        else:
            self.connection.close()

    def break_stream(self) -> None:
        """The stream fails on purpose."""
        if self.fault_kind == "error_event":
            self._flush(*map(chunk, self.forms[0].broken()), LAST_CHUNK)
            self.connection.end_stream()
        else:
            self._flush()
            self.connection.close()

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        if len(self._held) >= self._group:
            self._flush()

    def _flush(self, *tail: bytes) -> None:
        data = b"".join((*self._held, *tail))
        self._held.clear()
        if data:
            self.connection.write(data)


class Answer:
    """One answer. The server calls ``begin`` once and then ``advance`` for each step that made tokens.

    Both return True when a fault broke the reply off, so that the engine has to forget all answers of the request.
    """

    def __init__(self, form: Form, reply: Reply) -> None:
        self.subject: Subject = form.subject
        self.arrival_ns = 0
        self.last_token_ns: int | None = None
        self._form = form
        self._reply = reply
        fault = form.subject.request.fault
        self._breaks_at = None if fault is None else fault.breaks_at

    @property
    def generated(self) -> int:
        """Tokens so far."""
        return self._form.generated

    @property
    def cached_tokens(self) -> int:
        """Of the prompt, from the prefix cache."""
        return self._form.cached_tokens

    @cached_tokens.setter
    def cached_tokens(self, tokens: int) -> None:
        """To be set before the first token."""
        self._form.cached_tokens = tokens

    def begin(self) -> bool:
        """The engine is about to get the request."""
        raise NotImplementedError

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """So many more tokens were made; ``finished`` marks the last."""
        raise NotImplementedError

    def _take(self, tokens: int) -> bool:
        """Count tokens, up to where the answer is to break off; True when it is there."""
        form = self._form
        form.generated += tokens
        if self._breaks_at is None or form.generated < self._breaks_at:
            return False
        form.generated = self._breaks_at
        return True


class WholeAnswer(Answer):
    """A part of one body that is sent when the last token is there."""

    def begin(self) -> bool:
        """See :class:`Answer`."""
        return self._breaks_at == 0 and self._break()

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """See :class:`Answer`."""
        if self._take(tokens):
            return self._break()
        if finished:
            self._reply.whole()
        return False

    def _break(self) -> bool:
        self._reply.break_whole()
        return True


class EventStream(Answer):
    """Events, one HTTP chunk each.

    Where all of an event but its text is the same from event to event, that is made once.

    Args:
        form: words the events.
        reply: where they go.
        interval_tokens: tokens of an event; the first token is always an event of its own.
    """

    def __init__(self, form: Form, reply: Reply, interval_tokens: int) -> None:
        super().__init__(form, reply)
        self._interval_tokens = interval_tokens
        self._sent = 0  # tokens
        self._write = reply.write
        around = form.around()
        self._constant = around is not None
        self._prefix, self._suffix = around or (b"", b"")
        self._constant_bytes = len(self._prefix) + len(self._suffix)
        self._start = form.subject.start
        self._say = form.voice.text
        whole_text = form.subject.text_end is None and self._breaks_at is None
        self._plain = self._constant and whole_text and interval_tokens == 1
        self._steady = False  # plain, and the first token is out: then a step is one write and little else

    def begin(self) -> bool:
        """See :class:`Answer`."""
        self._reply.begin_stream()
        if self._breaks_at != 0:
            return False
        self._reply.break_stream()
        return True

    def advance(self, finished: bool, tokens: int = 1) -> bool:
        """See :class:`Answer`."""
        form, first = self._form, self._sent
        if self._steady and not finished:
            form.generated = self._sent = first + tokens
            text = self._say(self._start + first, tokens)
            self._write(
                b"%x\r\n%b%b%b\r\n" % (self._constant_bytes + len(text), self._prefix, text, self._suffix)
            )
            return False
        return self._advance(finished, tokens, first)

    def _advance(self, finished: bool, tokens: int, first: int) -> bool:
        breaks, form = self._take(tokens), self._form
        count = form.generated - first
        if not (finished or breaks) and 0 < count < self._interval_tokens and first:
            return False
        if first == 0:
            for event in form.opening():
                self._write(chunk(event))
        self._sent = form.generated
        self._steady = self._plain
        if finished and not breaks:
            self._reply.last_events(form.last(first, count))
            return False
        if self._constant:
            self._write(chunk(self._prefix + form.text(first, count) + self._suffix))
        else:
            self._write(chunk(form.event(first, count)))
        if breaks:
            self._reply.break_stream()
        return breaks


def chunk(event: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(event), event)
