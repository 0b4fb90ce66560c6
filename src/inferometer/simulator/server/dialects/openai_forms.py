"""OpenAI's completions and chat completions: how vLLM words their answers, byte for byte where it matters.

Source: vLLM 0.32, entrypoints/openai/{completion,chat_completion}/{protocol,serving}.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inferometer.simulator.server.dialects.errors import openai_error
from inferometer.simulator.server.dialects.logprobs import chat_logprobs, completion_logprobs, prompt_logprobs
from inferometer.simulator.server.generation import Prompt
from inferometer.simulator.server.text import Voice
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import BROKEN, Form, Subject, sse

_DONE = b"data: [DONE]\n\n"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of an answer.

    Attributes:
        include_usage: an event with the usage at the end of a stream.
        continuous_usage: the usage so far in every event.
        logprobs: alternatives of each token; None = no probabilities.
        prompt_logprobs: the same of the prompt's tokens.
        echo: the prompt before the answer.
        echo_alone: nothing but the prompt.
        token_ids: ids of prompt and answer (vLLM's return_token_ids).
    """

    include_usage: bool = False
    continuous_usage: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    echo: bool = False
    echo_alone: bool = False
    token_ids: bool = False


class _OpenAiForm(Form):
    """What both have in common.

    Args:
        subject: what it is about.
        voice: what it says.
        options: what is shown.
        prompt: that is answered.
        vocabulary: of token ids.
        choices: answers to each prompt, whose tokens are counted once.
    """

    chat: bool
    kinds: tuple[str, str]  # of a whole answer and of an event
    letters: str  # that an identifier begins with

    def __init__(
        self,
        subject: Subject,
        voice: Voice,
        options: Options,
        prompt: Prompt,
        vocabulary: Vocabulary,
        choices: int,
    ) -> None:
        super().__init__(subject, voice)
        self._options = options
        self._prompt = prompt
        self._vocabulary = vocabulary
        self.first_of_prompt = subject.request.index % choices == 0
        self._about = b"data: " + msgspec.json.encode(self._fields(self.kinds[1]))[:-1]
        self._plain = options.logprobs is None and not (options.echo or options.token_ids)
        self._index = b"%d" % subject.request.index

    def _fields(self, kind: str) -> dict[str, object]:
        subject = self.subject
        return {
            "id": f"{self.letters}-sim-{subject.number:08x}",
            "object": kind,
            "created": subject.created_s,
            "model": subject.model,
        }

    def around(self) -> tuple[bytes, bytes] | None:
        """See :class:`Form`."""
        if not self._plain or (self._options.continuous_usage and self.counts):
            return None
        return self._before(), self._after(b"null", b"null")

    def event(self, first: int, count: int) -> bytes:
        """See :class:`Form`."""
        return self._event(first, count, b"null")

    def last(self, first: int, count: int) -> Sequence[bytes]:
        """See :class:`Form`."""
        return (self._event(first, count, msgspec.json.encode(self.subject.finish_reason)),)

    def closing(self, forms: Sequence[Form], done: bool) -> Sequence[bytes]:
        """See :class:`Form`."""
        events = []
        if self._options.include_usage and self.counts:
            events.append(self._about + b',"choices":[],"usage":' + usage(forms) + b"}\n\n")
        return (*events, _DONE) if done else events

    def broken(self) -> Sequence[bytes]:
        """See :class:`Form`."""
        return sse(openai_error(500, BROKEN)), _DONE

    def whole(self, forms: Sequence[Form]) -> bytes:
        """See :class:`Form`."""
        choices = [form.choice() for form in forms if isinstance(form, _OpenAiForm)]
        body: dict[str, object] = {**self._fields(self.kinds[0]), "choices": choices}
        if self.counts:
            body["usage"] = msgspec.Raw(usage(forms))
        return msgspec.json.encode({**body, **self._beside()})

    def choice(self) -> dict[str, object]:
        """One answer of a whole body."""
        raise NotImplementedError

    def _beside(self) -> dict[str, object]:
        """Further fields of a whole body."""
        return {}

    def _before(self) -> bytes:
        """What precedes the text in an event."""
        inner = b'"delta":{"content":"' if self.chat else b'"text":"'
        return b'%b,"choices":[{"index":%b,%b' % (self._about, self._index, inner)

    def _event(self, first: int, count: int, reason: bytes) -> bytes:
        text = b"" if self._options.echo_alone else self.text(first, count)
        if self._options.echo and first == 0:
            text = msgspec.json.encode(self._prompt.text())[1:-1] + text
        return self._before() + text + self._after(reason, self._logprobs(first, count), first, count)

    def _logprobs(self, first: int, count: int) -> bytes:
        """Probabilities of so many tokens as JSON."""
        raise NotImplementedError

    def _after(self, reason: bytes, logprobs: bytes, first: int = 0, count: int = 0) -> bytes:
        """What follows the text in an event; ``reason`` is the finish reason as JSON."""
        stopped = msgspec.json.encode(self.subject.stopped_by if reason != b"null" else None)
        stop = b',"stop_reason":' + stopped if not self.chat or reason != b"null" else b""
        if self._options.token_ids:
            stop += b',"token_ids":' + msgspec.json.encode(self.ids(self._vocabulary, first, count))
            if first == 0 and not self.chat:
                stop += b',"prompt_token_ids":' + msgspec.json.encode(self._prompt.ids())
        quote = b'"}' if self.chat else b'"'
        counted = b""
        if self._options.continuous_usage and self.counts:
            counted = b',"usage":' + usage([self])
        elif not self.chat:
            counted = b',"usage":null'
        return b'%b,"logprobs":%b,"finish_reason":%b%b}]%b}\n\n' % (quote, logprobs, reason, stop, counted)

    def _own_ids(self) -> dict[str, object]:
        if not self._options.token_ids:
            return {}
        return {"token_ids": self.ids(self._vocabulary, 0, self.generated)}

    def _of_prompt(self) -> dict[str, object]:
        """Fields of a whole answer that tell of the prompt."""
        told: dict[str, object] = {}
        if self._options.prompt_logprobs is not None:
            told["prompt_logprobs"] = prompt_logprobs(self._prompt)
        if self._options.token_ids:
            told["prompt_token_ids"] = self._prompt.ids()
        return told


class ChatForm(_OpenAiForm):
    """``/v1/chat/completions``."""

    chat = True
    kinds = ("chat.completion", "chat.completion.chunk")
    letters = "chatcmpl"

    def opening(self) -> Sequence[bytes]:
        """See :class:`Form`: the role."""
        delta = b'{"role":"assistant","content":""},"logprobs":null,"finish_reason":null'
        counted = b""
        if self._options.token_ids:
            counted = b',"prompt_token_ids":' + msgspec.json.encode(self._prompt.ids())
        if self._options.continuous_usage and self.counts:
            counted += b',"usage":' + _counts(self.prompt_tokens, 0, self.cached_tokens)
        shown = b'%b,"choices":[{"index":%b,"delta":%b}]%b}\n\n'
        return (shown % (self._about, self._index, delta, counted),)

    def choice(self) -> dict[str, object]:
        """See the class above."""
        text = self.whole_text()
        if self._options.echo:
            text = self._prompt.text() + text
        found: dict[str, object] = {
            "index": self.subject.request.index,
            "message": {"role": "assistant", "content": text},
            "logprobs": msgspec.Raw(self._logprobs(0, self.generated)),
            "finish_reason": self.subject.finish_reason,
            "stop_reason": self.subject.stopped_by,
        }
        return found | self._own_ids()

    def _beside(self) -> dict[str, object]:
        return self._of_prompt()

    def _logprobs(self, first: int, count: int) -> bytes:
        others = self._options.logprobs
        if others is None:
            return b"null"
        at = self.subject.start + first
        return msgspec.json.encode(
            chat_logprobs([self.voice.scored(at + one, others) for one in range(count)])
        )


class CompletionForm(_OpenAiForm):
    """``/v1/completions``."""

    chat = False
    kinds = ("text_completion", "text_completion")
    letters = "cmpl"

    def choice(self) -> dict[str, object]:
        """See the class above."""
        text = "" if self._options.echo_alone else self.whole_text()
        if self._options.echo:
            text = self._prompt.text() + text
        found: dict[str, object] = {
            "index": self.subject.request.index,
            "text": text,
            "logprobs": msgspec.Raw(self._logprobs(0, self.generated)),
            "finish_reason": self.subject.finish_reason,
            "stop_reason": self.subject.stopped_by,
        }
        return found | self._of_prompt() | self._own_ids()

    def _logprobs(self, first: int, count: int) -> bytes:
        others, options = self._options.logprobs, self._options
        if others is None:
            return b"null"
        before = self._prompt.pieces() if options.echo and first == 0 else []
        made = 0 if options.echo_alone else count
        at = self.subject.start + first
        scored = [self.voice.scored(at + one, others) for one in range(made)]
        offset = self.voice.length(self.subject.start, first)
        if options.echo and first:
            offset += len(self._prompt.text())
        return msgspec.json.encode(completion_logprobs(before, scored, others, offset))


def usage(forms: Sequence[Form]) -> bytes:
    """The usage object of all answers to a request; a prompt counts once, however many answers it has."""
    prompts = [form for form in forms if not isinstance(form, _OpenAiForm) or form.first_of_prompt] or forms
    return _counts(
        sum(form.prompt_tokens for form in prompts),
        sum(form.generated for form in forms),
        sum(form.cached_tokens for form in prompts),
    )


def _counts(prompt_tokens: int, generated: int, cached: int) -> bytes:
    return (
        b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}'
        % (prompt_tokens, prompt_tokens + generated, generated, cached)
    )
