"""LMDeploy's own ``/generate``: the new text in every event, and ``meta_info``.

Source: LMDeploy 0.10, serve/openai/{protocol,api_server}.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.generation import ApiError, Body, Intake, Wanted, check_sampling, texts
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, sse

_NEW_TOKENS = 128  # max_tokens when it is not given


class _Body(Body):
    prompt: str | None = None
    input_ids: list[int] | None = None
    max_tokens: int | None = None
    min_new_tokens: int | None = None
    stop: Any = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class LmdeployWire:
    """``/generate`` of LMDeploy.

    Args:
        vocabulary: of token ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        if body.prompt is not None and body.input_ids is None:
            prompt = intake.text(body.prompt)
        elif body.prompt is None and body.input_ids:
            prompt = intake.ids(body.input_ids)
        else:
            raise ApiError(400, "You must specify exactly one of prompt or input_ids", "prompt")
        check_sampling(body, 2)
        wanted = Wanted(
            max_tokens=body.max_tokens,
            min_tokens=body.min_new_tokens or 0,
            ignore_eos=bool(body.ignore_eos),
            stop=texts(body.stop),
            min_name="min_new_tokens",
        )
        one = intake.generation(prompt, wanted, _NEW_TOKENS)
        one = msgspec.structs.replace(one, stream=bool(body.stream), fault=fault)
        return Asked([one], lambda subject, voice: _LmdeployForm(subject, voice, self._vocabulary))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        kind = "invalid_request_error" if status < 500 else "internal_server_error"
        body = {"object": "error", "message": message, "type": kind, "param": param, "code": status}
        return status, msgspec.json.encode(body)


class _LmdeployForm(Form):
    def __init__(self, subject: Subject, voice: Voice, vocabulary: Vocabulary) -> None:
        super().__init__(subject, voice)
        self._vocabulary = vocabulary

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        return sse(self._one(self.text(first, count), first, count, None))

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`: the end is an event of its own."""
        return self.event(first, count), sse(self._one(b"", self.generated, 0, self._reason()))

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(b"[DONE]"),) if done else ()

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return sse(msgspec.json.encode({"object": "error", "message": BROKEN, "error": BROKEN})), sse(
            b"[DONE]"
        )

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        return self._one(self.whole_text().encode(), 0, self.generated, self._reason())

    def _reason(self) -> dict[str, str]:
        return {"type": self.subject.finish_reason}

    def _one(self, text: bytes, first: int, count: int, reason: dict[str, str] | None) -> bytes:
        ids = self.ids(self._vocabulary, first, count)
        meta: dict[str, object] = {"finish_reason": reason, "output_token_logprobs": None}
        if self.counts:
            meta = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.generated, **meta}
        return msgspec.json.encode(
            {"text": msgspec.Raw(b'"%b"' % text), "output_ids": ids, "meta_info": meta}
        )
