"""What one API can be asked for and what it reports: the facts that bodies, refusals and documents are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from inferometer.client.framing import Framing

# Fields of the spec's "Request" part that a dialect may have a name for.
OPTIONS = ("max_tokens", "min_tokens", "temperature", "top_p", "top_k", "stop", "ignore_eos")
# Token counts that a server may report, fields of ``Usage``.
COUNTS = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "accepted_draft_tokens")

Payload = Literal["text", "messages", "token_ids"]
# What the text of an event is: a piece, all output so far, or prompt and all output so far.
TextOf = Literal["delta", "cumulative", "prompt and cumulative", "none"]


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One API. Names of fields in JSON are dotted where objects nest.

    Attributes:
        name: the dialect's name.
        title: the API, in a few words.
        path: where requests go; ``{model}`` stands for the model's name.
        path_whole: where they go when the answer is not streamed, if elsewhere.
        path_token_ids: where prompts of token ids go, if elsewhere.
        framing: how the events of a stream are told apart; ``json`` = nothing is streamed.
        text: what the text of an event is.
        prompt: the request field of each form of prompt that can be sent; others are turned into the first.
        fixed: fields that every request has.
        streamed: fields that ask for a stream.
        whole: fields of a request whose answer is not streamed.
        asks: the request field of each option; what is not in it cannot be asked for.
        reports: where the server says each count.
        model: the request field of the model's name; empty = the server is not told.
        end: what marks the end of a stream, for a person.
        end_unmarked: nothing does; then the end of the HTTP message is the end of the answer.
        headers: of each request.
        stream_headers: of each request for a stream.
        key: header and scheme of the key.
        tokenize: path that counts tokens, if there is one.
        flush_cache: path that empties the prefix cache, if there is one.
        text_at: the field of an event that holds its text, where a person said which.
        model_in_body: whether the body names the model in a place that only it knows.
        source: where these facts are from.
    """

    name: str
    title: str
    path: str
    path_whole: str = ""
    path_token_ids: str = ""
    framing: Framing = "sse"
    text: TextOf = "delta"
    prompt: Mapping[Payload, str]
    fixed: Mapping[str, Any] = {}
    streamed: Mapping[str, Any] = {}
    whole: Mapping[str, Any] = {}
    asks: Mapping[str, str]
    reports: Mapping[str, str] = {}
    model: str = "model"
    end: str = "[DONE]"
    end_unmarked: bool = False
    headers: Mapping[str, str] = {}
    stream_headers: Mapping[str, str] = {}
    key: tuple[str, str] = ("Authorization", "Bearer ")
    tokenize: str = ""
    flush_cache: str = ""
    text_at: str = ""
    model_in_body: bool = False
    source: str

    @property
    def names_model(self) -> bool:
        """Whether requests say which model they are for."""
        return bool(self.model) or "{model}" in self.path or self.model_in_body

    @property
    def lists_models(self) -> bool:
        """Whether the server's list of models, ``/v1/models``, belongs to the same API."""
        return self.path.startswith("/v1/")

    @property
    def streams(self) -> bool:
        """Whether answers can be streamed."""
        return self.framing != "json"
