"""From the JSON body of a generation request to what the engine has to do, or to a refusal."""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.errors import InferometerError
from inferometer.simulator.server.faults import Fault, fault_from
from inferometer.simulator.server.pictures import picture_text
from inferometer.simulator.server.prompt_view import Pieces, PromptView, PromptViewer
from inferometer.simulator.server.settings import SimSettings
from inferometer.workload.builtin import WORDS

_COMPLETION_TOKENS = 16  # what the OpenAI API generates when a completion names no limit

_ERROR_TYPES = {
    401: "AuthenticationError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    500: "InternalServerError",
}


class ApiError(InferometerError):
    """A request that is refused, with the HTTP status and, where one is to blame, the name of the parameter."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


def error_json(status: int, message: str, param: str | None = None) -> bytes:
    """An error as OpenAI's API words it."""
    kind = _ERROR_TYPES.get(status, "BadRequestError")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": status}})


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    image_url: msgspec.Raw = msgspec.Raw()
    video_url: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    prompt: Any = None
    messages: list[_Message] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    inferometer_fault: Any = None


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request. ``prompt`` identifies the prompt's content, ``blocks`` its full blocks; neither is sent back."""

    chat: bool
    prompt: bytes
    prompt_tokens: int
    blocks: list[int] = []
    model: str | None = None  # as asked for
    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stream: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    fault: Fault | None = None

    def ending(self, natural_tokens: int) -> tuple[int, str]:
        """Output tokens and finish reason, for a model that would stop after ``natural_tokens``."""
        if self.ignore_eos:
            return self.max_tokens, "length"
        tokens = max(natural_tokens, self.min_tokens)
        return (tokens, "stop") if tokens < self.max_tokens else (self.max_tokens, "length")


class GenerationParser:
    """Reads request bodies for the served models."""

    def __init__(self, settings: SimSettings, tokenizer: Pieces) -> None:
        self._settings = settings
        self._viewer = PromptViewer(tokenizer, settings.block_size if settings.prefix_cache else 0)
        self._decoder = msgspec.json.Decoder(_Body)

    def parse(self, raw: bytes, *, chat: bool) -> Generation:
        """The request in ``raw``.

        Raises:
            ApiError: 400 or 404; the message names the parameter, its value and the rule.
        """
        try:
            body = self._decoder.decode(raw)
            fault = None if body.inferometer_fault is None else fault_from(body.inferometer_fault)
        except msgspec.DecodeError as error:
            raise ApiError(400, f"the request body is not what this endpoint takes: {error}") from error
        if body.model is not None and body.model not in self._settings.models:
            raise ApiError(404, f"the model {body.model!r} does not exist; this server has "
                                f"{', '.join(map(repr, self._settings.models))}", "model")  # fmt: skip
        if body.n not in (None, 1):
            raise ApiError(400, f"n={body.n} is not supported: one answer per request", "n")
        prompt, view = self._chat_prompt(body) if chat else self._prompt(body)
        prompt_tokens = view.tokens
        if prompt_tokens < 1:
            raise ApiError(400, "the prompt is empty; it needs at least one token", "prompt")
        if body.stream_options is not None and not body.stream:
            raise ApiError(400, "stream_options are for streams only: set stream to true", "stream_options")
        max_tokens = self._max_tokens(body, prompt_tokens, chat=chat)
        options = body.stream_options or _StreamOptions()
        return Generation(
            chat=chat,
            prompt=prompt,
            prompt_tokens=prompt_tokens,
            blocks=view.blocks,
            model=body.model,
            max_tokens=max_tokens,
            min_tokens=self._min_tokens(body, max_tokens),
            ignore_eos=bool(body.ignore_eos),
            stream=bool(body.stream),
            include_usage=bool(options.include_usage),
            continuous_usage=bool(options.include_usage and options.continuous_usage_stats),
            fault=fault,
        )

    def _prompt(self, body: _Body) -> tuple[bytes, PromptView]:
        prompt = body.prompt
        if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
            prompt = prompt[0]  # a list of one prompt
        if isinstance(prompt, str):
            return prompt.encode(), self._viewer.of_text(prompt, self._origin(body))
        if isinstance(prompt, list) and all(type(token) is int and token >= 0 for token in prompt):
            return msgspec.json.encode(prompt), self._viewer.of_ids(prompt, self._origin(body))
        if isinstance(prompt, list):
            raise ApiError(400, "prompt is a list of prompts: only a single prompt, a string or a list of token "
                                "ids, is supported", "prompt")  # fmt: skip
        raise ApiError(400, "prompt is missing: a string or a list of token ids", "prompt")

    def _chat_prompt(self, body: _Body) -> tuple[bytes, PromptView]:
        if not body.messages:
            raise ApiError(400, "messages is missing or empty: at least one message", "messages")
        messages: list[tuple[str, list[str]]] = []
        for message in body.messages:
            content = message.content or ""
            parts = [self._part_text(part) for part in content] if isinstance(content, list) else [content]
            messages.append((message.role, parts))
        view = self._viewer.of_messages(messages, self._settings.chat_overhead_tokens, self._origin(body))
        return "\0".join(text for _, parts in messages for text in parts).encode(), view

    def _origin(self, body: _Body) -> str:
        """What the blocks of a prompt depend on beside its tokens: the KV entries of an adapter are its own."""
        return "" if body.model in (None, self._settings.model) else str(body.model)

    def _part_text(self, part: _Part) -> str:
        if part.type == "text" and part.text is not None:
            return part.text
        picture = bytes(part.image_url if part.type == "image_url" else part.video_url)
        if part.type not in ("image_url", "video_url") or not picture:
            raise ApiError(400, f"content part of type {part.type!r}: this model takes text, image_url and "
                                "video_url with what they name", "messages")  # fmt: skip
        return picture_text(picture, WORDS)

    def _max_tokens(self, body: _Body, prompt_tokens: int, *, chat: bool) -> int:
        limit = self._settings.max_model_len
        room = limit - prompt_tokens
        name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
        asked = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
        if asked is None:
            asked = room if chat else min(_COMPLETION_TOKENS, room)
        elif asked < 1:
            raise ApiError(400, f"{name}={asked} must be at least 1", name)
        if asked > room or room < 1:
            raise ApiError(400, f"this model's maximum context length is {limit} tokens, but the request has "
                                f"{prompt_tokens} prompt tokens and asks for {max(asked, 1)} more", name)  # fmt: skip
        return asked

    def _min_tokens(self, body: _Body, max_tokens: int) -> int:
        asked = body.min_tokens or 0
        if not 0 <= asked <= max_tokens:
            raise ApiError(
                400, f"min_tokens={asked} must lie between 0 and max_tokens={max_tokens}", "min_tokens"
            )
        return asked
