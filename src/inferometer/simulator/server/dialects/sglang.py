"""SGLang's own ``/generate``: all of the text so far in every event, and ``meta_info``.

Source: docs.sglang.io "Native APIs", "Sampling parameters"; SGLang 0.5, entrypoints/http_server.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.simulator.server.generation import (
    MOST_CHOICES,
    ApiError,
    Body,
    Generation,
    Intake,
    Wanted,
    check_sampling,
    texts,
)
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Asked, Form, Subject, sse

_NEW_TOKENS = 128  # sampling_params.max_new_tokens when it is not given


class _Sampling(msgspec.Struct):
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    stop: Any = None
    no_stop_trim: bool | None = None
    ignore_eos: bool | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Body(Body):
    text: Any = None
    input_ids: Any = None
    sampling_params: _Sampling | None = None
    stream: bool | None = None
    return_logprob: bool | None = None
    rid: str | None = None


class SglangWire:
    """``/generate`` of SGLang.

    Args:
        vocabulary: of token ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        if (body.text is None) == (body.input_ids is None):
            raise ApiError(400, "Either text or input_ids should be provided, and not both.", "text")
        name, given = ("text", body.text) if body.input_ids is None else ("input_ids", body.input_ids)
        params = body.sampling_params or _Sampling()
        check_sampling(params, None, [("n", params.n, 1, MOST_CHOICES)])
        wanted = Wanted(
            max_tokens=params.max_new_tokens,
            min_tokens=params.min_new_tokens or 0,
            ignore_eos=bool(params.ignore_eos),
            stop=texts(params.stop),
            keep_stop=bool(params.no_stop_trim),
            max_name="max_new_tokens",
            min_name="min_new_tokens",
        )
        generations: list[Generation] = []
        for prompt in intake.prompts(given, None, name):
            one = intake.generation(prompt, wanted, _NEW_TOKENS)
            for _ in range(params.n or 1):
                index = len(generations)
                generations.append(
                    msgspec.structs.replace(one, index=index, stream=bool(body.stream), fault=fault)
                )
        listed = len(generations) > 1 or (isinstance(given, list) and not all(type(x) is int for x in given))
        logprobs = bool(body.return_logprob)
        return Asked(
            generations,
            lambda subject, voice: _SglangForm(subject, voice, self._vocabulary, listed, logprobs),
        )

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, msgspec.json.encode({"error": {"message": message}})


class _SglangForm(Form):
    def __init__(
        self, subject: Subject, voice: Voice, vocabulary: Vocabulary, listed: bool, logprobs: bool
    ) -> None:
        super().__init__(subject, voice)
        self._vocabulary = vocabulary
        self._listed = listed  # the request was a list, so the answer is one
        self._logprobs = logprobs
        self._text = b""  # so far
        self._ids: list[int] = []  # so far

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        return self._event(first, count, None)

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (self._event(first, count, self._reason()),)

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (sse(b"[DONE]"),) if done else ()

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return sse(msgspec.json.encode({"error": {"message": BROKEN}})), sse(b"[DONE]")

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        found = [form.one() for form in forms if isinstance(form, _SglangForm)]
        return msgspec.json.encode(found if self._listed else found[0])

    def one(self) -> dict[str, object]:
        """The answer as an object."""
        text = self.whole_text()
        ids = self.ids(self._vocabulary, 0, self.generated)
        return {"text": text, "output_ids": ids, "meta_info": self._meta(self._reason(), ids)}

    def _event(self, first: int, count: int, reason: dict[str, object] | None) -> bytes:
        self._text += self.text(first, count)
        self._ids += self.ids(self._vocabulary, first, count)
        body: dict[str, object] = {
            "text": msgspec.Raw(b'"%b"' % self._text),
            "output_ids": self._ids,
            "meta_info": self._meta(reason, self._ids),
        }
        if self._listed:
            body["index"] = self.subject.request.index
        return sse(msgspec.json.encode(body))

    def _reason(self) -> dict[str, object]:
        subject = self.subject
        if subject.finish_reason == "length":
            return {"type": "length", "length": subject.output_tokens}
        return {"type": "stop", "matched": subject.stopped_by or 2}  # 2: the id of an end token

    def _meta(self, reason: dict[str, object] | None, ids: list[int]) -> dict[str, object]:
        subject = self.subject
        meta: dict[str, object] = {
            "id": f"sim{subject.number:08x}-{subject.request.index}",
            "finish_reason": reason,
            "prompt_tokens": self.prompt_tokens,
            "weight_version": "default",
            "completion_tokens": self.generated,
            "cached_tokens": self.cached_tokens,
        }
        if not self.counts:
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
                del meta[name]
        if self._logprobs:
            scored = (self.voice.scored(subject.start + at, 0)[0].logprob for at in range(len(ids)))
            meta["output_token_logprobs"] = [
                (score, one, None) for score, one in zip(scored, ids, strict=True)
            ]
        return meta
