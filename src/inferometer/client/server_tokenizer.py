"""The server's own tokenizer, over its HTTP paths: exact without a copy of the model's files."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from inferometer.client.dialects.reading import UNREADABLE
from inferometer.client.probe import Caller, Reply, address
from inferometer.errors import EndpointError
from inferometer.spec.endpoint_rules import SERVER_TOKENIZER

_REMEMBERED = 1024  # a prompt is counted when it is made, and again when it is sent
_TRIED = "one two"


class _Paths(NamedTuple):
    """How one engine is asked.

    Attributes:
        encode: path that takes ``text_key`` and answers with token ids in ``ids_key``, or with a list of objects that
            have an ``id`` when that is empty.
        decode: path that takes ``tokens`` and answers with text in ``back_key``; empty when there is none.
        options: further fields of the request: no special tokens.
    """

    engines: str
    encode: str
    text_key: str
    ids_key: str
    decode: str
    back_key: tuple[str, ...]
    options: dict[str, Any]


_PLAIN = {"add_special_tokens": False}
# vLLM: docs "Tokenizer API"; SGLang speaks the same. llama.cpp: tools/server/README. TGI: its OpenAPI page.
# LMDeploy: /v1/encode of its api_server.
_KNOWN = (
    _Paths("vLLM, SGLang", "/tokenize", "prompt", "tokens", "/detokenize", ("prompt", "text"), _PLAIN),
    _Paths(
        "llama.cpp", "/tokenize", "content", "tokens", "/detokenize", ("content",), {"add_special": False}
    ),
    _Paths("TGI", "/tokenize", "inputs", "", "", (), _PLAIN),
    _Paths(
        "LMDeploy", "/v1/encode", "input", "input_ids", "", (), {"do_preprocess": False, "add_bos": False}
    ),
)


class ServerTokenizer:
    """Counts, encodes and decodes by asking the server; for use before a load, never beside it.

    Life cycle: ``close`` ends its connection; the next question opens one again.

    Args:
        caller: asks the server.
        paths: how.
        model: the model whose tokenizer is meant.
    """

    name = SERVER_TOKENIZER
    exact = True

    def __init__(self, caller: Caller, paths: _Paths, model: str) -> None:
        self._caller = caller
        self._paths = paths
        self._model = model
        self._counted = lru_cache(_REMEMBERED)(lambda text: len(self.encode(text)))

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` without special tokens.

        Raises:
            EndpointError: the server does not answer with token ids.
        """
        paths = self._paths
        body = {"model": self._model, paths.text_key: text, **paths.options}
        reply = self._caller.call("POST", paths.encode, msgspec.json.encode(body))
        ids = _ids(reply, paths.ids_key)
        if ids is None:
            raise self._unusable(paths.encode, reply)
        return ids

    def count(self, text: str) -> int:
        """Number of tokens of ``text`` without special tokens."""
        return self._counted(text) if text else 0

    def decode(self, ids: list[int]) -> str:
        """Text of token ids.

        Raises:
            EndpointError: the server has no path for that, or does not answer with a text.
        """
        paths = self._paths
        if not paths.decode:
            raise EndpointError(
                f"{address(self._caller.target)} ({paths.engines}) makes no text of token ids, which is needed here",
                "give the model's own file: --tokenizer PATH/tokenizer.json",
            )
        body = {"model": self._model, "tokens": ids}
        reply = self._caller.call("POST", paths.decode, msgspec.json.encode(body))
        said = _json(reply)
        text = next((said[key] for key in paths.back_key if isinstance(said.get(key), str)), None)
        if not isinstance(text, str):
            raise self._unusable(paths.decode, reply)
        return text

    def close(self) -> None:
        """Close the connection until the next question."""
        self._caller.close()

    def _unusable(self, path: str, reply: Reply) -> EndpointError:
        return EndpointError(
            f"{address(self._caller.target)}{path} answers {self._caller.said(reply)}",
            "give the model's own file: --tokenizer PATH/tokenizer.json, or --tokenizer builtin to estimate",
        )


def open_server_tokenizer(caller: Caller, model: str) -> ServerTokenizer:
    """The tokenizer of the server, found by trying the paths of the engines that have one.

    Raises:
        EndpointError: it has none of them.
    """
    tried: dict[str, str] = {}
    for paths in _KNOWN:
        body = {"model": model, paths.text_key: _TRIED, **paths.options}
        reply = caller.call("POST", paths.encode, msgspec.json.encode(body))
        if _ids(reply, paths.ids_key):
            return ServerTokenizer(caller, paths, model)
        tried.setdefault(paths.encode, f"{paths.encode} answers {caller.said(reply)}")
    caller.close()
    raise EndpointError(
        f"{address(caller.target)} has no tokenizer to ask: {'; '.join(tried.values())}",
        "give the model's own file: --tokenizer PATH/tokenizer.json, or --tokenizer builtin to estimate",
    )


def _ids(reply: Reply, key: str) -> list[int] | None:
    """The token ids in an answer; None when it holds none."""
    if reply.head.status != 200:
        return None
    try:
        if key:
            return msgspec.convert(_json(reply).get(key), list[int])
        return [token.id for token in msgspec.json.decode(reply.body, type=list[_Token])]
    except UNREADABLE:
        return None


class _Token(msgspec.Struct):
    id: int


def _json(reply: Reply) -> dict[str, Any]:
    """A JSON object; empty when the answer is none."""
    try:
        return msgspec.json.decode(reply.body, type=dict[str, Any]) if reply.head.status == 200 else {}
    except UNREADABLE:
        return {}
