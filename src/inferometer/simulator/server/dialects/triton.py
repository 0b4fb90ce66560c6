"""Triton's generate extension, with the fields of its vLLM backend, of TensorRT-LLM and of MindIE.

Source: Triton protocol/extension_generate; vllm_backend; tensorrtllm_backend (inflight_batcher_llm); MindIE 2.1,
"Triton text/stream inference".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.generation import ApiError, Body, Intake, Wanted, texts
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, sse

_NEW_TOKENS = 16  # of the vLLM backend and of TensorRT-LLM when it is not given


class _Options(msgspec.Struct):
    max_tokens: int | None = None
    min_tokens: int | None = None
    max_new_tokens: int | None = None  # MindIE
    ignore_eos: bool | None = None
    stream: bool | None = None
    exclude_input_in_output: bool | None = None
    details: bool | None = None  # MindIE
    stop: Any = None


class _Body(Body):
    text_input: str | None = None
    parameters: _Options | None = None
    # TensorRT-LLM has them beside the text.
    max_tokens: int | None = None
    min_length: int | None = None
    stop_words: Any = None
    stream: bool | None = None
    end_id: int | None = None
    id: str | None = None


class TritonWire:
    """``/v2/models/MODEL/generate`` and ``generate_stream``.

    Args:
        stream: what the path says.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        # The composite model of TensorRT-LLM has a name of its own ("ensemble"): a further name of the server here.
        intake.check_model(model)
        if not body.text_input:
            raise ApiError(
                400, "Unable to parse 'text_input': a string that is not empty is wanted", "text_input"
            )
        options = body.parameters or _Options()
        if not self._stream and options.stream:
            raise ApiError(
                400, "the generate endpoint answers once: parameters.stream must be false", "stream"
            )
        limits = body.max_tokens, options.max_tokens, options.max_new_tokens
        wanted = Wanted(
            max_tokens=next((one for one in limits if one is not None), None),
            min_tokens=body.min_length or options.min_tokens or 0,
            ignore_eos=bool(options.ignore_eos) or body.end_id == -1,
            stop=texts(body.stop_words, "stop_words") or texts(options.stop),
            min_name="min_length" if body.min_length else "min_tokens",
        )
        prompt = intake.text(body.text_input, model)
        one = intake.generation(prompt, wanted, _NEW_TOKENS)
        one = msgspec.structs.replace(one, model=model, stream=self._stream, fault=fault)
        # The vLLM backend repeats the prompt unless it is told not to, MindIE never does, and both have parameters:
        # it is repeated where that is asked for outright.
        repeats = body.parameters is not None and options.exclude_input_in_output is False
        details = bool(options.details)
        return Asked(
            [one],
            lambda subject, voice: _TritonForm(subject, voice, prompt.text if repeats else None, details),
        )

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, msgspec.json.encode({"error": message})


class _TritonForm(Form):
    def __init__(
        self, subject: Subject, voice: Voice, prompt: Callable[[], str] | None, details: bool
    ) -> None:
        super().__init__(subject, voice)
        self._prompt = prompt
        self._details = details

    def around(self) -> tuple[bytes, bytes] | None:
        """See :class:`Form`."""
        about = msgspec.json.encode({"model_name": self.subject.model, "model_version": "1"})[:-1]
        return b"data: " + about + b',"text_output":"', b'"}\n\n'

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`: nothing marks the end."""
        before, after = self.around() or (b"", b"")
        return (before + self.text(first, count) + after,)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(msgspec.json.encode({"error": BROKEN})),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        text = ("" if self._prompt is None else self._prompt()) + self.whole_text()
        body: dict[str, object] = {
            "model_name": self.subject.model,
            "model_version": "1",
            "text_output": text,
        }
        if self._details and self.counts:
            reason = self.subject.finish_reason
            body["details"] = {"finish_reason": reason, "generated_tokens": self.generated}
        return msgspec.json.encode(body)
