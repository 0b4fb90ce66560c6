"""Text Generation Inference: ``/generate``, ``/generate_stream`` and ``/``.

Source: TGI 3, router/src/{server,lib,validation}.rs and its OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.generation import ApiError, Body, Intake, Prompt, Wanted, texts
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject

NEW_TOKENS = 100  # max_new_tokens when it is not given
_MOST_STOPS = 4  # --max-stop-sequences


class Parameters(msgspec.Struct):
    """What can be said of an answer."""

    max_new_tokens: int | None = None
    stop: Any = None
    stop_sequences: Any = None  # MindIE's name
    ignore_eos: bool | None = None  # MindIE
    details: bool | None = None
    decoder_input_details: bool | None = None
    return_full_text: bool | None = None
    best_of: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


class TgiBody(Body):
    """A request of TGI, or MindIE in its form."""

    inputs: str | None = None
    parameters: Parameters | None = None
    stream: bool | None = None


class TgiWire:
    """TGI.

    Args:
        vocabulary: of token ids.
        stream: what the path says of it; None = the body says.
        listed: a whole answer is a list of one, as on ``/``.
    """

    def __init__(self, vocabulary: Vocabulary, stream: bool | None, listed: bool = False) -> None:
        self._vocabulary = vocabulary
        self._stream = stream
        self._listed = listed
        self._decoder = msgspec.json.Decoder(TgiBody)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        if not body.inputs:
            raise ApiError(400, "Input validation error: `inputs` cannot be empty", "inputs")
        asked = body.parameters or Parameters()
        check_parameters(asked)
        stops = texts(asked.stop) or texts(asked.stop_sequences)
        if len(stops) > _MOST_STOPS:
            raise ApiError(400, "Input validation error: `stop` supports up to "
                                f"{_MOST_STOPS} stop sequences. Given: {len(stops)}", "stop")  # fmt: skip
        prompt = intake.text(body.inputs)
        wanted = Wanted(
            max_tokens=asked.max_new_tokens,
            stop=stops,
            keep_stop=True,  # TGI leaves the stop sequence in the text
            ignore_eos=bool(asked.ignore_eos),
            max_name="max_new_tokens",
        )
        one = intake.generation(prompt, wanted, NEW_TOKENS)
        stream = bool(body.stream) if self._stream is None else self._stream
        one = msgspec.structs.replace(one, stream=stream, fault=fault)
        return Asked([one], lambda subject, voice: _TgiForm(subject, voice, asked, prompt, self))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        kind = {400: "validation", 429: "overloaded"}.get(status, "generation")
        wrong = status == 400 and not message.startswith("Input validation error")
        said = f"Input validation error: {message}" if wrong else message
        return 422 if status == 400 else status, msgspec.json.encode({"error": said, "error_type": kind})

    def id(self, piece: str) -> int:
        """The id of one token."""
        return self._vocabulary.id(piece)

    @property
    def listed(self) -> bool:
        """Whether a whole answer is a list of one."""
        return self._listed


def check_parameters(asked: Parameters) -> None:
    """Refuse what TGI's validation refuses, in its words.

    Raises:
        ApiError: 400.
    """
    if asked.temperature is not None and asked.temperature <= 0:
        raise ApiError(400, "Input validation error: `temperature` must be strictly positive", "temperature")
    if asked.top_p is not None and not 0 < asked.top_p < 1:
        raise ApiError(400, "Input validation error: `top_p` must be > 0.0 and < 1.0", "top_p")
    if asked.top_k is not None and asked.top_k <= 0:
        raise ApiError(400, "Input validation error: `top_k` must be strictly positive", "top_k")
    if asked.max_new_tokens is not None and asked.max_new_tokens <= 0:
        raise ApiError(
            400, "Input validation error: `max_new_tokens` must be strictly positive", "max_new_tokens"
        )
    if asked.best_of is not None and asked.best_of != 1:
        raise ApiError(
            400, f"Input validation error: `best_of` {asked.best_of} is not supported, only 1", "best_of"
        )


def why_ended(subject: Subject) -> str:
    """Why an answer ended, in the words of TGI."""
    if subject.finish_reason == "length":
        return "length"
    return "eos_token" if subject.stopped_by is None else "stop_sequence"


class _TgiForm(Form):
    def __init__(
        self, subject: Subject, voice: Voice, asked: Parameters, prompt: Prompt, wire: TgiWire
    ) -> None:
        super().__init__(subject, voice)
        self._asked = asked
        self._prompt = prompt
        self._wire = wire

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`: an event is one token, so that several are several events."""
        return b"".join(self._token(first + at, None, None) for at in range(count))

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        before = [self._token(first + at, None, None) for at in range(count - 1)]
        details = self._details() if self.counts and self._asked.details else None
        return (*before, self._token(first + count - 1, self._full_text(), details))

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        said = f"Request failed during generation: {BROKEN}"
        return (b"data:" + msgspec.json.encode({"error": said, "error_type": "generation"}) + b"\n\n",)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        body: dict[str, object] = {"generated_text": self._full_text()}
        if (self._asked.details or self._asked.decoder_input_details) and self.counts:
            tokens = [self._token_object(at) for at in range(self.generated)]
            body["details"] = {**self._details(), "prefill": [], "tokens": tokens}
        return msgspec.json.encode([body] if self._wire.listed else body)

    def _full_text(self) -> str:
        text = self.whole_text()
        return self._prompt.text() + text if self._asked.return_full_text else text

    def _details(self) -> dict[str, object]:
        return {
            "finish_reason": why_ended(self.subject),
            "generated_tokens": self.generated,
            "seed": self._asked.seed,
            "input_length": self.prompt_tokens,
        }

    def _token_object(self, at: int) -> dict[str, object]:
        ((text, logprob),) = self.voice.scored(self.subject.start + at, 0)
        return {"id": self._wire.id(text), "text": text, "logprob": logprob, "special": False}

    def _token(self, at: int, full: str | None, details: dict[str, object] | None) -> bytes:
        event = {"index": at + 1, "token": self._token_object(at), "generated_text": full, "details": details}
        return b"data:" + msgspec.json.encode(event) + b"\n\n"
