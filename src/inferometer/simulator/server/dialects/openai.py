"""OpenAI's completions and chat completions, as vLLM and LMDeploy serve them: what a request asks for.

Source: OpenAI API reference; vLLM 0.32, entrypoints/openai/{completion,chat_completion}/protocol.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from inferometer.simulator.server.dialects.errors import openai_error
from inferometer.simulator.server.dialects.openai_forms import ChatForm, CompletionForm, Options
from inferometer.simulator.server.generation import (
    MOST_CHOICES,
    ApiError,
    Body,
    Generation,
    Intake,
    Prompt,
    Wanted,
    check_sampling,
    texts,
)
from inferometer.simulator.server.pictures import picture_text
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import Asked, Form, Subject
from inferometer.workload.builtin import WORDS

_COMPLETION_TOKENS = 16  # what the OpenAI API generates when a completion names no limit
_MOST_LOGPROBS = 20  # vLLM's own limit unless it is started with another
_MOST_ANSWERS = 1024  # to one request; VLLM_MAX_COMPLETION_PROMPTS


class Part(msgspec.Struct):
    """A part of a message."""

    type: str = "text"
    text: str | None = None
    image_url: msgspec.Raw = msgspec.Raw()
    video_url: msgspec.Raw = msgspec.Raw()


class Message(msgspec.Struct):
    """A message of a conversation."""

    role: str
    content: str | list[Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Body(Body):
    model: str | None = None
    prompt: Any = None
    messages: list[Message] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int | None = None
    min_new_tokens: int | None = None  # LMDeploy's name
    ignore_eos: bool | None = None
    stop: Any = None
    include_stop_str_in_output: bool | None = None
    priority: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    prompt_logprobs: int | None = None
    return_token_ids: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class _Shape(NamedTuple):
    """How many answers, and what is shown of each."""

    options: Options
    choices: int


class OpenAiWire:
    """``/v1/chat/completions`` or ``/v1/completions``.

    Args:
        chat: which of the two.
        vocabulary: of token ids.
    """

    def __init__(self, chat: bool, vocabulary: Vocabulary) -> None:
        self._chat = chat
        self._vocabulary = vocabulary
        self._decoder = msgspec.json.Decoder(_Body)

    def read(self, raw: bytes, intake: Intake, model: str | None) -> Asked:
        """See ``Wire``."""
        body, fault = intake.body(raw, self._decoder)
        intake.check_model(body.model)
        prompts = self._prompts(body, intake)
        shape = _shape(body, chat=self._chat)
        if len(prompts) * shape.choices > _MOST_ANSWERS:
            raise ApiError(400, f"{len(prompts)} prompts x n={shape.choices} are more than {_MOST_ANSWERS} answers to "
                                "one request", "n")  # fmt: skip
        wanted, default = _wanted(body), None if self._chat else _COMPLETION_TOKENS
        generations: list[Generation] = []
        for prompt in prompts:
            one = intake.generation(prompt, wanted, default)
            more = {"model": body.model, "stream": bool(body.stream), "fault": fault}
            for _ in range(shape.choices):
                generations.append(msgspec.structs.replace(one, index=len(generations), **more))
        return Asked(generations, self._forms(prompts, shape))

    def error(self, status: int, message: str, param: str | None) -> tuple[int, bytes]:
        """See ``Wire``."""
        return status, openai_error(status, message, param)

    def _forms(self, prompts: list[Prompt], shape: _Shape) -> Callable[[Subject, Voice], Form]:
        form = ChatForm if self._chat else CompletionForm

        def made(subject: Subject, voice: Voice) -> Form:
            prompt = prompts[subject.request.index // shape.choices]
            return form(subject, voice, shape.options, prompt, self._vocabulary, shape.choices)

        return made

    def _prompts(self, body: _Body, intake: Intake) -> list[Prompt]:
        if not self._chat:
            return intake.prompts(body.prompt, body.model, "prompt")
        return [intake.messages(chat_messages(body.messages), body.model)]


def chat_messages(messages: list[Message] | None) -> list[tuple[str, list[str]]]:
    """Role and texts of each message; a picture is a text that stands for it.

    Raises:
        ApiError: 400: none, or with a part that this model does not take.
    """
    if not messages:
        raise ApiError(400, "messages is missing or empty: at least one message", "messages")
    found: list[tuple[str, list[str]]] = []
    for message in messages:
        content = message.content or ""
        parts = [_part_text(part) for part in content] if isinstance(content, list) else [content]
        found.append((message.role, parts))
    return found


def _part_text(part: Part) -> str:
    if part.type in ("text", "input_text", "output_text") and part.text is not None:
        return part.text
    picture = bytes(part.image_url if part.type == "image_url" else part.video_url)
    if part.type not in ("image_url", "video_url") or not picture:
        raise ApiError(400, f"content part of type {part.type!r}: this model takes text, image_url and "
                            "video_url with what they name", "messages")  # fmt: skip
    return picture_text(picture, WORDS)


def _wanted(body: _Body) -> Wanted:
    name = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    asked = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if (
        body.echo and asked == 0 and body.messages is None
    ):  # the prompt alone, which the engine computes with one token more
        asked = 1
    return Wanted(
        max_tokens=asked,
        min_tokens=body.min_tokens or body.min_new_tokens or 0,
        ignore_eos=bool(body.ignore_eos),
        stop=texts(body.stop),
        keep_stop=bool(body.include_stop_str_in_output),
        max_name=name,
        min_name="min_tokens" if body.min_tokens else "min_new_tokens",
        priority=body.priority or 0,
    )


def _shape(body: _Body, *, chat: bool) -> _Shape:
    check_sampling(
        body,
        None,
        [
            ("presence_penalty", body.presence_penalty, -2, 2),
            ("frequency_penalty", body.frequency_penalty, -2, 2),
            ("n", body.n, 1, MOST_CHOICES),
        ],
    )
    choices = body.n or 1
    if body.best_of is not None and body.best_of != choices:
        # vLLM V1 has no best_of; answers that nobody sees would change what is measured.
        raise ApiError(
            400, f"best_of={body.best_of} is not supported unless it equals n={choices}", "best_of"
        )
    if body.stream_options is not None and not body.stream:
        raise ApiError(400, "stream_options are for streams only: set stream to true", "stream_options")
    options = body.stream_options or _StreamOptions()
    return _Shape(
        Options(
            include_usage=bool(options.include_usage),
            continuous_usage=bool(options.include_usage and options.continuous_usage_stats),
            logprobs=_logprobs(body, chat=chat),
            prompt_logprobs=_prompt_logprobs(body),
            echo=bool(body.echo),
            echo_alone=bool(body.echo) and body.max_tokens == 0,
            token_ids=bool(body.return_token_ids),
        ),
        choices,
    )


def _logprobs(body: _Body, *, chat: bool) -> int | None:
    """How many alternatives are shown of each token; None = no probabilities."""
    if chat:
        if body.top_logprobs and not body.logprobs:
            raise ApiError(400, "when using top_logprobs, logprobs must be set to true", "top_logprobs")
        asked = (body.top_logprobs or 0) if body.logprobs else None
    else:
        asked = None if body.logprobs is None or body.logprobs is False else int(body.logprobs)
    if asked is not None and not 0 <= asked <= _MOST_LOGPROBS:
        name = "top_logprobs" if chat else "logprobs"
        raise ApiError(400, f"{name}={asked} must lie between 0 and {_MOST_LOGPROBS}", name)
    return asked


def _prompt_logprobs(body: _Body) -> int | None:
    asked = body.prompt_logprobs
    if asked is None:
        return None
    if body.stream and asked:
        raise ApiError(400, "prompt_logprobs are not available when stream=True", "prompt_logprobs")
    if not 0 <= asked <= _MOST_LOGPROBS:
        raise ApiError(
            400, f"prompt_logprobs={asked} must lie between 0 and {_MOST_LOGPROBS}", "prompt_logprobs"
        )
    return asked
