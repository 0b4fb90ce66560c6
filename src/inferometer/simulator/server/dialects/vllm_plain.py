"""The plain server of vLLM (``vllm.entrypoints.api_server``): prompt and all text so far, ended by a NUL.

Source: vLLM 0.6 and 0.10, entrypoints/api_server.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.generation import (
    MOST_CHOICES,
    ApiError,
    Body,
    Intake,
    Wanted,
    check_sampling,
    texts,
)
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject

_NEW_TOKENS = 16  # SamplingParams.max_tokens when it is not given


class _Body(Body):
    prompt: str | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    stop: Any = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class VllmPlainWire:
    """``/generate`` of vLLM's plain server."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        if body.prompt is None:
            raise ApiError(400, "prompt is missing: a string", "prompt")
        check_sampling(body, None, [("n", body.n, 1, 1 if body.stream else MOST_CHOICES)])
        wanted = Wanted(
            max_tokens=body.max_tokens,
            min_tokens=body.min_tokens or 0,
            ignore_eos=bool(body.ignore_eos),
            stop=texts(body.stop),
        )
        prompt = intake.text(body.prompt)
        one = intake.generation(prompt, wanted, _NEW_TOKENS)
        generations = [
            msgspec.structs.replace(one, index=index, stream=bool(body.stream), fault=fault)
            for index in range(body.n or 1)
        ]
        return Asked(generations, lambda subject, voice: _PlainForm(subject, voice, prompt.text))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``: as FastAPI words what it validates."""
        place = ["body"] if param is None else ["body", param]
        return 422 if status == 400 else status, msgspec.json.encode(
            {"detail": [{"loc": place, "msg": message}]}
        )


class _PlainForm(Form):
    content_type = "text/plain; charset=utf-8"

    def __init__(self, subject: Subject, voice: Voice, prompt: Callable[[], str]) -> None:
        super().__init__(subject, voice)
        self._prompt = prompt
        self._said = msgspec.json.encode(prompt())[1:-1]  # prompt and text so far

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        self._said += self.text(first, count)
        return b'{"text": ["%b"]}\0' % self._said

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`: nothing marks the end."""
        return (self.event(first, count),)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (msgspec.json.encode({"error": BROKEN}) + b"\0",)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        return msgspec.json.encode({"text": [self._prompt() + form.whole_text() for form in forms]})
