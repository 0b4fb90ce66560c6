"""Which path belongs to which API."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from inferometer.simulator.server.dialects.anthropic import AnthropicWire
from inferometer.simulator.server.dialects.dashscope import DashScopeWire
from inferometer.simulator.server.dialects.embeddings import EmbeddingsWire
from inferometer.simulator.server.dialects.lmdeploy import LmdeployWire
from inferometer.simulator.server.dialects.mindie import MindieWire
from inferometer.simulator.server.dialects.mindspore import MindsporeWire
from inferometer.simulator.server.dialects.openai import OpenAiWire
from inferometer.simulator.server.dialects.responses import ResponsesWire
from inferometer.simulator.server.dialects.sglang import SglangWire
from inferometer.simulator.server.dialects.tgi import TgiWire
from inferometer.simulator.server.dialects.triton import TritonWire
from inferometer.simulator.server.dialects.vllm_plain import VllmPlainWire
from inferometer.simulator.server.http11 import HttpRequest
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import Wire

ENGINES = ("lmdeploy", "mindie", "sglang", "tgi", "vllm")
"""First parts of paths that say which engine is meant, where two engines have the same path."""

_DASHSCOPE = "/api/v1/services/aigc/text-generation/generation"


class Found(NamedTuple):
    """A path that makes tokens: the API, and the model that the path names."""

    wire: Wire
    model: str | None


class _Hints(msgspec.Struct):
    """By which fields the forms of ``/generate`` are told apart; their values do not matter."""

    inputs: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    input_ids: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    sampling_params: msgspec.Raw = msgspec.Raw()


class Dialects:
    """All APIs that make tokens.

    ``/generate`` is the path of four engines. Which of them is meant is seen from the body: ``inputs`` is TGI's,
    ``text`` and ``input_ids`` SGLang's, ``prompt`` that of vLLM's plain server. LMDeploy's looks like the last, so
    that its address here ends with ``/lmdeploy``; the other engines may be named like this, too.

    Args:
        vocabulary: of token ids.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tgi = TgiWire(vocabulary, stream=False)
        self._sglang, self._plain = SglangWire(vocabulary), VllmPlainWire()
        self._hints = msgspec.json.Decoder(_Hints)
        self.openai = OpenAiWire(chat=False, vocabulary=vocabulary)
        self._fixed: dict[str, Wire] = {
            "/v1/completions": self.openai,
            "/v1/chat/completions": OpenAiWire(chat=True, vocabulary=vocabulary),
            "/v1/responses": ResponsesWire(),
            "/v1/embeddings": EmbeddingsWire(),
            "/v1/messages": AnthropicWire(),
            "/generate_stream": TgiWire(vocabulary, stream=True),
            "/infer": MindieWire(vocabulary, token_ids=False),
            "/infer_token": MindieWire(vocabulary, token_ids=True),
            "/": TgiWire(vocabulary, stream=None, listed=True),
        }
        self._own: dict[str, Wire] = {  # of /generate
            "lmdeploy": LmdeployWire(vocabulary),
            "mindie": self._tgi,
            "sglang": self._sglang,
            "tgi": self._tgi,
            "vllm": self._plain,
        }
        self._of_model: dict[tuple[str, str], Wire] = {
            ("/v2/models/", "/generate"): TritonWire(stream=False),
            ("/v2/models/", "/generate_stream"): TritonWire(stream=True),
            ("/models/", "/generate"): MindsporeWire(vocabulary, stream=False),
            ("/models/", "/generate_stream"): MindsporeWire(vocabulary, stream=True),
        }
        self._dashscope = {stream: DashScopeWire(stream) for stream in (False, True)}

    @property
    def paths(self) -> list[str]:
        """What is listed to someone who asks for another."""
        models = [f"{before}MODEL{after}" for before, after in self._of_model]
        return [*self._fixed, "/generate", _DASHSCOPE, *models]

    def find(self, engine: str | None, path: str, request: HttpRequest) -> Found | None:
        """The API of a path that makes tokens; ``engine`` is the one that was named before it."""
        wire = self._fixed.get(path)
        if wire is not None:
            return Found(wire, None)
        if path == "/generate":
            return Found(self._own[engine] if engine else self._by_body(request.body), None)
        if path == _DASHSCOPE:
            asked = request.headers.get(b"x-dashscope-sse") == b"enable"
            streams = asked or request.headers.get(b"accept") == b"text/event-stream"
            return Found(self._dashscope[streams], None)
        for (before, after), of_model in self._of_model.items():
            if path.startswith(before) and path.endswith(after):
                return Found(of_model, unquote(path[len(before) : -len(after)]))
        return None

    def _by_body(self, raw: bytes) -> Wire:
        try:
            hints = self._hints.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._sglang  # which says what is wrong with it
        if bytes(hints.inputs):
            return self._tgi
        sglang = hints.text, hints.input_ids, hints.sampling_params
        return self._plain if bytes(hints.prompt) and not any(map(bytes, sglang)) else self._sglang


def split_engine(path: str) -> tuple[str | None, str]:
    """The engine that a path begins with, if it names one, and the rest."""
    first, slash, rest = path[1:].partition("/")
    return (first, slash + rest or "/") if first in ENGINES else (None, path)
