"""What a generation request comes to: its prompts, its length and where it ends, whatever API it came by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from inferometer.errors import InferometerError
from inferometer.simulator.server.faults import Fault, fault_from
from inferometer.simulator.server.prompt_view import PromptView, PromptViewer
from inferometer.simulator.server.settings import SimSettings
from inferometer.simulator.server.vocabulary import Vocabulary

_PLACE = re.compile(r" - at `\$\.?(\w+)")  # how msgspec names the field that is to blame
MOST_CHOICES = 128  # answers to one request; OpenAI's own limit of n


class ApiError(InferometerError):
    """A request that is refused, with the HTTP status and, where one is to blame, the name of the parameter."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is wanted. ``prompt`` identifies the prompt's content, ``blocks`` its full blocks.

    Attributes:
        prompt: what seeds the answer; never sent back.
        prompt_tokens: at least 1.
        blocks: names of the prompt's full blocks.
        model: as asked for.
        max_tokens: where the answer ends at the latest.
        min_tokens: where it may end at the earliest.
        ignore_eos: it does not end by itself.
        stop: it ends before the first of these texts.
        keep_stop: after it rather than before.
        stream: as events.
        index: among the answers to one request.
        priority: lower goes first, where the engine's order is by priority.
        fault: that the request asks for, or meets.
    """

    prompt: bytes
    prompt_tokens: int
    blocks: list[int] = []
    model: str | None = None
    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    stream: bool = False
    index: int = 0
    priority: int = 0
    fault: Fault | None = None


class Body(msgspec.Struct, kw_only=True):
    """What the body of each API may have beside its own fields."""

    inferometer_fault: Any = None


B = TypeVar("B", bound=Body)


class Prompt(NamedTuple):
    """A prompt as it came.

    Attributes:
        content: identifies it.
        view: its tokens as the prefix cache sees them.
        pieces: the texts of its tokens.
        ids: their ids.
        text: what an echo repeats.
    """

    content: bytes
    view: PromptView
    pieces: Callable[[], list[str]]
    ids: Callable[[], list[int]]
    text: Callable[[], str]


class Wanted(NamedTuple):
    """How an answer is to end, by the names of the request's fields for messages."""

    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    max_name: str = "max_tokens"
    min_name: str = "min_tokens"
    priority: int = 0


class Intake:
    """Reads what requests of all APIs have in common, and holds it against what is served.

    Args:
        settings: models, context, block size.
        vocabulary: takes prompts apart.
    """

    def __init__(self, settings: SimSettings, vocabulary: Vocabulary) -> None:
        self.settings = settings
        self._vocabulary = vocabulary
        self._viewer = PromptViewer(vocabulary, settings.block_size if settings.prefix_cache else 0)

    def body(self, raw: bytes, decoder: msgspec.json.Decoder[B]) -> tuple[B, Fault | None]:
        """The decoded body, and the fault that it asks for.

        Raises:
            ApiError: 400: not JSON, or a field of another type.
        """
        try:
            body = decoder.decode(raw)
            fault = None if body.inferometer_fault is None else fault_from(body.inferometer_fault)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            place = _PLACE.search(str(error))
            message = f"the request body is not what this endpoint takes: {error}"
            raise ApiError(400, message, place[1] if place else None) from error
        return body, fault

    def check_model(self, model: str | None) -> None:
        """Refuse a model that is not served.

        Raises:
            ApiError: 404.
        """
        if model is not None and model not in self.settings.models:
            raise ApiError(404, f"the model {model!r} does not exist; this server has "
                                f"{', '.join(map(repr, self.settings.models))}", "model")  # fmt: skip

    def text(self, text: str, model: str | None = None) -> Prompt:
        """A prompt of one text."""
        content = text.encode("utf-8", "surrogatepass")
        view = self._viewer.of_text(text, self._origin(model))
        known = self._vocabulary
        return Prompt(content, view, lambda: known.pieces(text), lambda: known.encode(text), lambda: text)

    def ids(self, ids: list[int], model: str | None = None) -> Prompt:
        """A prompt of token ids."""
        view = self._viewer.of_ids(ids, self._origin(model))
        known = self._vocabulary
        return Prompt(
            content=msgspec.json.encode(ids),
            view=view,
            pieces=lambda: [known.piece(one) for one in ids],
            ids=lambda: ids,
            text=lambda: known.decode(ids),
        )

    def messages(self, messages: Sequence[tuple[str, Sequence[str]]], model: str | None = None) -> Prompt:
        """A conversation: role and texts of each message.

        An echo repeats the last message where that is the model's own, as in vLLM.
        """
        overhead = self.settings.chat_overhead_tokens
        view = self._viewer.of_messages(messages, overhead, self._origin(model))
        content = "\0".join(text for _, parts in messages for text in parts)

        def pieces() -> list[str]:
            found: list[str] = []
            for role, parts in messages:
                found += [f"<|{role}|>"] * overhead
                for text in parts:
                    found += self._vocabulary.pieces(text)
            return found

        role, parts = messages[-1]
        return Prompt(
            content=content.encode("utf-8", "surrogatepass"),
            view=view,
            pieces=pieces,
            ids=lambda: [self._vocabulary.id(piece) for piece in pieces()],
            text=lambda: "".join(parts) if role == "assistant" else "",
        )

    def prompts(self, value: object, model: str | None, name: str) -> list[Prompt]:
        """A text, token ids, or a list of either.

        Raises:
            ApiError: 400: it is none of these, or empty.
        """
        if isinstance(value, str):
            return [self.text(value, model)]
        if isinstance(value, list) and value:
            if _is_ids(value):
                return [self.ids(value, model)]
            if all(isinstance(one, str) or _is_ids(one) for one in value):
                return [
                    self.text(one, model) if isinstance(one, str) else self.ids(one, model) for one in value
                ]
        if value is None:
            raise ApiError(400, f"{name} is missing: a string, a list of token ids, or a list of those", name)
        raise ApiError(400, f"{name} must be a string, a list of token ids, or a list of those, none of them empty",
                       name)  # fmt: skip

    def generation(self, prompt: Prompt, wanted: Wanted, default_tokens: int | None) -> Generation:
        """One answer to ``prompt``.

        Args:
            prompt: what is answered.
            wanted: how the answer is to end.
            default_tokens: where it ends if the request does not say; None = at the end of the context.

        Raises:
            ApiError: 400: an empty prompt, or lengths that do not fit.
        """
        tokens = prompt.view.tokens
        if tokens < 1:
            raise ApiError(400, "the prompt is empty; it needs at least one token", "prompt")
        max_tokens = self._max_tokens(tokens, wanted, default_tokens)
        if not 0 <= wanted.min_tokens <= max_tokens:
            raise ApiError(400, f"{wanted.min_name}={wanted.min_tokens} must lie between 0 and "
                                f"{wanted.max_name}={max_tokens}", wanted.min_name)  # fmt: skip
        if "" in wanted.stop:
            raise ApiError(400, "stop holds an empty string, which every text contains", "stop")
        return Generation(
            prompt=prompt.content,
            prompt_tokens=tokens,
            blocks=prompt.view.blocks,
            max_tokens=max_tokens,
            min_tokens=wanted.min_tokens,
            ignore_eos=wanted.ignore_eos,
            stop=wanted.stop,
            keep_stop=wanted.keep_stop,
            priority=wanted.priority,
        )

    def _max_tokens(self, prompt_tokens: int, wanted: Wanted, default_tokens: int | None) -> int:
        limit, name, asked = self.settings.max_model_len, wanted.max_name, wanted.max_tokens
        room = limit - prompt_tokens
        if asked is None:
            asked = room if default_tokens is None else min(default_tokens, room)
        elif asked < 1:
            raise ApiError(400, f"{name}={asked} must be at least 1", name)
        if asked > room or room < 1:
            raise ApiError(400, f"this model's maximum context length is {limit} tokens, but the request has "
                                f"{prompt_tokens} prompt tokens and asks for {max(asked, 1)} more", name)  # fmt: skip
        return asked

    def _origin(self, model: str | None) -> str:
        """What the blocks of a prompt depend on beside its tokens: the KV entries of an adapter are its own."""
        return "" if model in (None, self.settings.model) else str(model)


def _is_ids(value: object) -> bool:
    """Whether it is a list of token ids, and not empty."""
    return isinstance(value, list) and bool(value) and all(type(one) is int and one >= 0 for one in value)


class Sampled(Protocol):
    """A body, or the part of it, that says how tokens are drawn."""

    temperature: float | None
    top_p: float | None


def check_sampling(
    asked: Sampled, hottest: float | None, others: Sequence[tuple[str, float | None, float, float]] = ()
) -> None:
    """Refuse what no sampler takes.

    Args:
        asked: has the temperature and ``top_p``, which is above 0 in all engines.
        hottest: the highest temperature; None = any.
        others: name, value, least and most of each.

    Raises:
        ApiError: 400; names the parameter and the rule.
    """
    if hottest is None and asked.temperature is not None and asked.temperature < 0:
        raise ApiError(400, f"temperature={asked.temperature:g} must be at least 0", "temperature")
    if asked.top_p is not None and not 0 < asked.top_p <= 1:
        raise ApiError(400, f"top_p={asked.top_p:g} must be above 0 and at most 1", "top_p")
    ranges = others if hottest is None else (("temperature", asked.temperature, 0, hottest), *others)
    for name, value, least, most in ranges:
        if value is not None and not least <= value <= most:
            raise ApiError(400, f"{name}={value:g} must lie between {least:g} and {most:g}", name)


def texts(value: object, name: str = "stop") -> tuple[str, ...]:
    """A text, a list of texts, or nothing.

    Raises:
        ApiError: 400.
    """
    found = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, str) for one in found):
        raise ApiError(400, f"{name} must be a string or a list of strings", name)
    return tuple(found)
