"""The seam between the engine and the APIs: what each API reads of a request and how it words an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from inferometer.simulator.server.generation import Generation, Intake
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
BROKEN = "the simulated engine failed on purpose (inferometer_fault)"


class Subject(NamedTuple):
    """What an answer is about; fixed when the request was accepted.

    Attributes:
        request: what was asked for.
        number: of the request, which identifiers are made of.
        created_s: seconds since 1970.
        model: that answers.
        finish_reason: ``stop`` or ``length``.
        stopped_by: the stop string that ends it.
        start: position of the first token in the vocabulary.
        output_tokens: how long it gets.
        text_end: characters after which its text ends, where that is before its tokens do.
    """

    request: Generation
    number: int
    created_s: int
    model: str
    finish_reason: str
    stopped_by: str | None
    start: int
    output_tokens: int
    text_end: int | None


class Form:
    """How one answer is worded; one object for each answer, told of its tokens in order.

    Args:
        subject: what it is about.
        voice: what it says.
    """

    content_type = EVENTS

    def __init__(self, subject: Subject, voice: Voice) -> None:
        self.subject = subject
        self.voice = voice
        self.generated = 0  # tokens
        self.cached_tokens = 0  # of the prompt, from the prefix cache; set before the first token
        self.counts = True  # False by the fault no_usage
        self.text_sent = 0  # characters

    @property
    def prompt_tokens(self) -> int:
        """Of the request."""
        return self.subject.request.prompt_tokens

    def text(self, first: int, count: int) -> bytes:
        """So many tokens from the ``first`` on, ready to stand inside a JSON string. To be called once for each."""
        text = self.voice.text(self.subject.start + first, count)
        end = self.subject.text_end
        if end is not None:
            text = text[: max(0, end - self.text_sent)]
        self.text_sent += len(text)
        return text

    def ids(self, vocabulary: Vocabulary, first: int, count: int) -> list[int]:
        """The ids of so many tokens from the ``first`` on; of those, too, whose text a stop string cuts off."""
        return vocabulary.encode(self.voice.text(self.subject.start + first, count).decode())

    def whole_text(self) -> str:
        """All of it so far."""
        text = self.voice.text(self.subject.start, self.generated)
        return text[: self.subject.text_end].decode()

    def opening(self) -> Sequence[bytes]:
        """Events before the first token."""
        return ()

    def around(self) -> tuple[bytes, bytes] | None:
        """What stands before and after the text of every event that is not the last; None if that is not constant."""
        return None

    def event(self, first: int, count: int) -> bytes:
        """An event that brings so many tokens from the ``first`` on."""
        raise NotImplementedError(f"{type(self).__name__} words its events by around()")

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """The events that bring the last tokens and say why it ended."""
        raise NotImplementedError

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """Events after the last token of all answers to the request; ``done`` = with the mark of the end."""
        return ()

    def broken(self) -> Sequence[bytes]:
        """Events that report an error inside the stream."""
        raise NotImplementedError

    def whole(self, forms: Sequence[Form]) -> bytes:
        """All answers to the request, as one body."""
        raise NotImplementedError


class Asked(NamedTuple):
    """A valid request: the answers that it wants, and who words each."""

    generations: list[Generation]
    form: Callable[[Subject, Voice], Form]


class Wire(Protocol):
    """The server's side of one API."""

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """What the body asks for; ``model`` is that of the path.

        Raises:
            ApiError: it is refused.
        """
        ...

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """Status and body of a refusal as this API words it; ``status`` is as OpenAI's API would have it."""
        ...


def sse(data: bytes) -> bytes:
    """A server-sent event."""
    return b"data: %b\n\n" % data


def typed_sse(kind: str, fields: Mapping[str, object]) -> bytes:
    """A server-sent event whose name stands in its data, too."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
