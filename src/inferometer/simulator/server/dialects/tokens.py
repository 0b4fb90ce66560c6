"""The paths that tell token ids: those of vLLM and SGLang, TGI, llama.cpp and LMDeploy.

Source: vLLM 0.32, entrypoints/serve/tokenize; SGLang 0.5 serving_tokenize; TGI's OpenAPI document; llama.cpp
tools/server/README; LMDeploy 0.10 serve/openai/protocol.py.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.simulator.server.dialects.openai import Message, chat_messages
from inferometer.simulator.server.generation import ApiError, Body, Intake
from inferometer.simulator.server.vocabulary import Vocabulary


class _Encode(Body):
    model: str | None = None
    prompt: Any = None  # vLLM and SGLang
    messages: list[Message] | None = None  # vLLM
    return_token_strs: bool | None = None  # vLLM
    content: str | None = None  # llama.cpp
    inputs: str | None = None  # TGI
    input: Any = None  # LMDeploy


class _Decode(Body):
    model: str | None = None
    tokens: Any = None


class TokenPages:
    """``/tokenize``, ``/detokenize`` and ``/v1/encode``; the body says whose form is spoken.

    Args:
        vocabulary: of token ids.
        intake: reads bodies.
    """

    def __init__(self, vocabulary: Vocabulary, intake: Intake) -> None:
        self._vocabulary = vocabulary
        self._intake = intake
        self._encoder = msgspec.json.Decoder(_Encode)
        self._decoder = msgspec.json.Decoder(_Decode)

    def tokenize(self, raw: bytes) -> bytes:
        """Token ids of a text.

        Raises:
            ApiError: 400 or 404.
        """
        body, _ = self._intake.body(raw, self._encoder)
        self._intake.check_model(body.model)
        if body.content is not None:
            return msgspec.json.encode({"tokens": self._vocabulary.encode(body.content)})
        if body.inputs is not None:
            return msgspec.json.encode(self._places(body.inputs))
        if isinstance(body.prompt, list) and all(isinstance(one, str) for one in body.prompt):  # SGLang
            found = [self._vocabulary.encode(one) for one in body.prompt]
            counts = [len(ids) for ids in found]
            return msgspec.json.encode({"tokens": found, "count": counts, **self._length()})
        pieces = self._pieces(body)
        ids = [self._vocabulary.id(piece) for piece in pieces]
        strings = pieces if body.return_token_strs else None
        return msgspec.json.encode(
            {"count": len(ids), **self._length(), "tokens": ids, "token_strs": strings}
        )

    def detokenize(self, raw: bytes) -> bytes:
        """Text of token ids, under the names of vLLM, SGLang and llama.cpp.

        Raises:
            ApiError: 400 or 404.
        """
        body, _ = self._intake.body(raw, self._decoder)
        self._intake.check_model(body.model)
        if not isinstance(body.tokens, list) or not all(type(one) is int and one >= 0 for one in body.tokens):
            raise ApiError(400, "tokens must be a list of token ids", "tokens")
        text = self._vocabulary.decode(body.tokens)
        return msgspec.json.encode({"prompt": text, "text": text, "content": text})

    def encode(self, raw: bytes) -> bytes:
        """Token ids as LMDeploy tells them.

        Raises:
            ApiError: 400.
        """
        body, _ = self._intake.body(raw, self._encoder)
        if isinstance(body.input, str):
            ids = self._vocabulary.encode(body.input)
            return msgspec.json.encode({"input_ids": ids, "length": len(ids)})
        if isinstance(body.input, list) and all(isinstance(one, str) for one in body.input):
            found = [self._vocabulary.encode(one) for one in body.input]
            return msgspec.json.encode({"input_ids": found, "length": [len(ids) for ids in found]})
        raise ApiError(400, "input must be a string or a list of strings", "input")

    def _pieces(self, body: _Encode) -> list[str]:
        """The tokens of a text or a conversation, as many as a request with it is billed."""
        if isinstance(body.prompt, str):
            self._vocabulary.encode(body.prompt)  # which remembers it for the way back
            return self._vocabulary.pieces(body.prompt)
        if body.prompt is None and body.messages is not None:
            return self._intake.messages(chat_messages(body.messages)).pieces()
        raise ApiError(400, "prompt is missing: a string, or messages", "prompt")

    def _length(self) -> dict[str, int]:
        return {"max_model_len": self._intake.settings.max_model_len}

    def _places(self, text: str) -> list[dict[str, object]]:
        found, place = [], 0
        for one, piece in zip(self._vocabulary.encode(text), self._vocabulary.pieces(text), strict=True):
            found.append({"id": one, "text": piece, "start": place, "stop": place + len(piece)})
            place += len(piece)
        return found
