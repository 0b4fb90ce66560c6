"""MindIE's own ``/infer`` and ``/infer_token``.

Source: MindIE 2.1 documents mindie_service0266 (text), 0091 (token ids), 0010 (TGI form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.dialects.tgi import Parameters, why_ended
from inferometer.simulator.server.generation import ApiError, Body, Intake, Wanted, texts
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, sse

_NEW_TOKENS = 20  # max_new_tokens when it is not given


class _Body(Body):
    inputs: Any = None
    input_id: Any = None
    parameters: Parameters | None = None
    stream: bool | None = None


class MindieWire:
    """MindIE.

    Args:
        vocabulary: of token ids.
        token_ids: whether prompts are token ids: ``/infer_token``.
    """

    def __init__(self, vocabulary: Vocabulary, token_ids: bool) -> None:
        self._vocabulary = vocabulary
        self._name = "input_id" if token_ids else "inputs"
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        given = body.input_id if self._name == "input_id" else body.inputs
        right = isinstance(given, list if self._name == "input_id" else str)
        if not given or not right:
            form = "a list of token ids" if self._name == "input_id" else "a string"
            raise ApiError(400, f"{self._name} must be {form}, and not empty", self._name)
        (prompt,) = intake.prompts(given, None, self._name)
        asked = body.parameters or Parameters()
        for name, value in (("temperature", asked.temperature), ("top_p", asked.top_p)):
            if value is not None and value <= 0:
                raise ApiError(400, f"{name}={value:g} must be above 0", name)
        wanted = Wanted(
            max_tokens=asked.max_new_tokens,
            ignore_eos=bool(asked.ignore_eos),
            stop=texts(asked.stop) or texts(asked.stop_sequences),
            max_name="max_new_tokens",
        )
        one = intake.generation(prompt, wanted, _NEW_TOKENS)
        one = msgspec.structs.replace(one, stream=bool(body.stream), fault=fault)
        details = bool(asked.details)
        return Asked([one], lambda subject, voice: _MindieForm(subject, voice, self._vocabulary, details))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        kind = "Input Validation Error" if status == 400 else "Incomplete Generation"
        return 422 if status == 400 else status, msgspec.json.encode({"error": message, "error_type": kind})


class _MindieForm(Form):
    def __init__(self, subject: Subject, voice: Voice, vocabulary: Vocabulary, details: bool) -> None:
        super().__init__(subject, voice)
        self._vocabulary = vocabulary
        self._details = details

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        return sse(msgspec.json.encode(self._event(first, count)))

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(msgspec.json.encode({**self._event(first, count), **self._whole()})),)

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(msgspec.json.encode({"error": BROKEN, "error_type": "Incomplete Generation"})),)

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        return msgspec.json.encode(self._whole())

    def _event(self, first: int, count: int) -> dict[str, object]:
        text = self.text(first, count).decode()
        # Times of prefill and decoding are left out: they are the client's to measure.
        return {
            "prefill_time": None,
            "decode_time": None,
            "token": {"id": self.ids(self._vocabulary, first, count), "text": text},
        }

    def _whole(self) -> dict[str, object]:
        body: dict[str, object] = {"generated_text": self.whole_text()}
        if self._details and self.counts:
            counted = {"generated_tokens": self.generated, "seed": 0}
            body["details"] = {"finish_reason": why_ended(self.subject), **counted}
        return body
