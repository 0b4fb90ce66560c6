"""MindSpore Serving: ``/models/MODEL/generate`` and ``/models/MODEL/generate_stream``.

Source: client and README of mindspore-lab/llm-serving; its wire as recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from inferometer.simulator.server.dialects.tgi import NEW_TOKENS, TgiBody
from inferometer.simulator.server.generation import ApiError, Intake, Wanted
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, sse


class MindsporeWire:
    """MindSpore Serving.

    Args:
        vocabulary: of token ids.
        stream: what the path says.
    """

    def __init__(self, vocabulary: Vocabulary, stream: bool) -> None:
        self._vocabulary = vocabulary
        self._stream = stream
        self._decoder = msgspec.json.Decoder(TgiBody)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        intake.check_model(model)
        if not body.inputs:
            raise ApiError(400, "inputs is missing or empty: a string", "inputs")
        asked = None if body.parameters is None else body.parameters.max_new_tokens
        wanted = Wanted(max_tokens=asked, max_name="max_new_tokens")
        one = intake.generation(intake.text(body.inputs, model), wanted, NEW_TOKENS)
        one = msgspec.structs.replace(one, model=model, stream=self._stream, fault=fault)
        return Asked([one], lambda subject, voice: _MindsporeForm(subject, voice, self._vocabulary.encode))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, msgspec.json.encode({"error": message})


class _MindsporeForm(Form):
    def __init__(self, subject: Subject, voice: Voice, encode: Callable[[str], list[int]]) -> None:
        super().__init__(subject, voice)
        self._encode = encode

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        text = self.text(first, count).decode()
        token = {"id": self._encode(text)[-1] if text else 0, "logprob": 38.5, "special": False, "text": text}
        one = {"details": None, "generated_text": text, "tokens": token, "top_tokens": [token]}
        return sse(msgspec.json.encode({"event": "message", "retry": 30000, "data": [one]}))

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`: nothing marks the end."""
        return (self.event(first, count),)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(msgspec.json.encode({"error": BROKEN})),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        body: dict[str, object] = {"generated_text": self.whole_text()}
        if self.counts:
            reason = self.subject.finish_reason
            body["details"] = {"finish_reason": reason, "generated_tokens": self.generated}
        return msgspec.json.encode(body)
