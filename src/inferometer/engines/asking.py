"""Short questions to a server that was started: for its first answer, and to warm it up."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from inferometer.client.dialects import BodyOptions, open_dialect, path_of
from inferometer.client.probe import Caller, Reply
from inferometer.client.target import Target, Timeouts, resolve
from inferometer.clock import Clock
from inferometer.errors import EndpointError
from inferometer.workload.request import Request

QUESTION = "The quick brown fox jumps over the lazy dog."  # short, and in every tokenizer
_COMPLETIONS = "openai-completions"
_CHAT = "openai-chat"
# What a server answers to a chat when its model has no chat template, or when it has no such path.
_NO_CHAT = (400, 404, 405, 422, 501)
LATER = (408, 425, 429, 500, 502, 503, 504)  # it may answer a moment later


class Answered(NamedTuple):
    """One answer: its tokens, None where the server does not count them, and how long it took."""

    tokens: int | None
    seconds: float


class NotYetError(EndpointError):
    """The server answers, but says that it cannot now."""


class RefusedError(EndpointError):
    """The server refuses the question for good."""


class Asker:
    """Asks one server, one question after the other.

    Args:
        target: whom.
        dialect: how; where it is chat and the server has none, completions from the first refusal on.
        model: the name that requests give.
        clock: for times and time limits.
        stopped: True ends a wait.
        question: what it is asked.

    Attributes:
        dialect: the one that is spoken now.
    """

    def __init__(
        self,
        target: Target,
        dialect: str,
        model: str,
        clock: Clock,
        stopped: Callable[[], bool],
        question: str = QUESTION,
    ) -> None:
        self.dialect = dialect
        self._question = question
        self._model = model
        self._clock = clock
        self._caller = Caller(target, clock, stopped)

    def ask(self, tokens: int, limit_s: float) -> Answered:
        """One answer of at most ``tokens`` tokens.

        Raises:
            NotYetError: the server says that it is busy or still loading.
            RefusedError: it says no, or its answer is empty or not of this dialect.
            EndpointError: no connection, or no answer within ``limit_s``.
            InterruptedEarlyError: ``stopped`` became True.
        """
        began_ns = self._clock.now_ns()
        reply = self._sent(tokens, limit_s)
        if reply.head.status in _NO_CHAT and self.dialect == _CHAT:
            refusal, self.dialect = reply, _COMPLETIONS
            reply = self._sent(tokens, limit_s)
            if reply.head.status != 200:
                self.dialect, reply = _CHAT, refusal
        if reply.head.status in LATER:
            raise NotYetError(f"it answers {self._caller.said(reply)}")
        if reply.head.status != 200:
            raise RefusedError(f"it answers {self._caller.said(reply)}")
        return Answered(self._tokens(reply), (self._clock.now_ns() - began_ns) / 1e9)

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def _sent(self, tokens: int, limit_s: float) -> Reply:
        dialect = open_dialect(self.dialect)
        request = Request(text=self._question)
        options = BodyOptions(model=self._model, stream=False, max_tokens=tokens)
        return self._caller.call(
            "POST", path_of(dialect, request, options), dialect.body(request, options), limit_s
        )

    def _tokens(self, reply: Reply) -> int | None:
        """Tokens of the answer, of which there has to be one at least."""
        try:
            delta = open_dialect(self.dialect).reply(reply.body)
        except ValueError as error:
            raise RefusedError(f"its answer is not of {self.dialect}: {error}") from None
        if delta.error is not None:
            raise RefusedError(f"it answers {self._caller.said(reply)}")
        tokens = delta.usage.output_tokens if delta.usage is not None else None
        tokens = tokens if tokens is not None else delta.token_ids
        if not tokens and not delta.text:
            raise RefusedError(f"its answer is empty: {self._caller.said(reply)}")
        return tokens


def server_at(url: str, api_key: str | None, read_s: float) -> Target:
    """The server at ``url``, which was started here, as a target; so that its certificate says nothing more.

    Raises:
        UsageError, EndpointError: as ``resolve``.
    """
    headers = [] if api_key is None else [("Authorization", f"Bearer {api_key}")]
    target = resolve(url)
    timeouts = Timeouts(read_s=read_s)
    return msgspec.structs.replace(target, headers=headers, timeouts=timeouts, insecure=target.tls)
