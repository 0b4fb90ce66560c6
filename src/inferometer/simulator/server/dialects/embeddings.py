"""OpenAI's embeddings: a prompt is computed, and its vector is made up.

Source: OpenAI API reference, "Embeddings"; vLLM 0.32, entrypoints/pooling/embed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import shake_128
from typing import Any, Literal

import msgspec
import numpy as np

from inferometer.simulator.server.dialects.errors import openai_error
from inferometer.simulator.server.generation import MOST_CHOICES, ApiError, Body, Intake, Wanted
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.wire import Asked, Form, Subject

_DIMENSIONS, _MOST_DIMENSIONS = 1024, 8192
_MOST_INPUTS = 16 * MOST_CHOICES  # OpenAI's own limit


class _Body(Body):
    model: str | None = None
    input: Any = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class EmbeddingsWire:
    """``/v1/embeddings``."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        intake.check_model(body.model)
        prompts = intake.prompts(body.input, body.model, "input")
        dimensions = _DIMENSIONS if body.dimensions is None else body.dimensions
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise ApiError(
                400, f"dimensions={dimensions} must lie between 1 and {_MOST_DIMENSIONS}", "dimensions"
            )
        if len(prompts) > _MOST_INPUTS:
            raise ApiError(400, f"input has {len(prompts)} texts, at most {_MOST_INPUTS} are taken", "input")
        # The step that computes the prompt is the one that would make the first token.
        wanted = Wanted(max_tokens=1, ignore_eos=True)
        generations = [
            msgspec.structs.replace(
                intake.generation(prompt, wanted, 1), index=index, model=body.model, fault=fault
            )
            for index, prompt in enumerate(prompts)
        ]
        packed = body.encoding_format == "base64"
        return Asked(generations, lambda subject, voice: _EmbeddingForm(subject, voice, dimensions, packed))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, openai_error(status, message, param)


class _EmbeddingForm(Form):
    """A unit vector that depends on the prompt alone."""

    def __init__(self, subject: Subject, voice: Voice, dimensions: int, packed: bool) -> None:
        super().__init__(subject, voice)
        self._dimensions = dimensions
        self._packed = packed

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        data = [form.one() for form in forms if isinstance(form, _EmbeddingForm)]
        body: dict[str, object] = {
            "id": f"embd-sim-{self.subject.number:08x}",
            "object": "list",
            "created": self.subject.created_s,
            "model": self.subject.model,
            "data": data,
        }
        if self.counts:
            tokens = sum(form.prompt_tokens for form in forms)
            body["usage"] = {
                "prompt_tokens": tokens,
                "total_tokens": tokens,
                "completion_tokens": 0,
                "prompt_tokens_details": None,
            }
        return msgspec.json.encode(body)

    def one(self) -> dict[str, object]:
        """One vector with its place."""
        drawn = shake_128(self.subject.request.prompt).digest(2 * self._dimensions)
        vector = np.frombuffer(drawn, dtype="<u2").astype(np.float32) / 65535 - 0.5
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
        shown = base64.b64encode(vector.astype("<f4").tobytes()).decode() if self._packed else vector.tolist()
        return {"index": self.subject.request.index, "object": "embedding", "embedding": shown}
