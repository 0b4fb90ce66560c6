"""Prompts with the lengths of their answers, as files: written in the formats that this and other tools read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from inferometer.errors import DataError
from inferometer.workload.conversation import text_of
from inferometer.workload.exact import TextMaker
from inferometer.workload.prefix import generator
from inferometer.workload.request import Request, Tokenizer

MOONCAKE_BLOCK = 512  # tokens
_UNKNOWN_ANSWER = 128  # tokens


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file: a prompt as text or as chat messages, and what is known of its answer.

    Attributes:
        row: number in the file.
        output_tokens: None = nobody knows.
        at_ns: when it was sent, where that was recorded.
    """

    row: int
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    input_tokens: int
    output_tokens: int | None = None
    at_ns: int | None = None

    @property
    def prompt(self) -> str:
        """All text of it, without a chat template."""
        if self.text is not None:
            return self.text
        return "\n".join(text_of(message.get("content")) for message in self.messages or [])


def samples(requests: Iterable[Request], tokenizer: Tokenizer) -> Iterator[Sample]:
    """Requests as samples; of a conversation the first turn, of a whole body its prompt or messages.

    Raises:
        DataError: a request that has neither text nor messages.
    """
    for row, request in enumerate(requests):
        text, messages = request.text, request.messages
        if request.body is not None:
            text, messages = request.body.get("prompt"), request.body.get("messages")
        if not isinstance(text, str) and not isinstance(messages, list):
            raise DataError(f"row {row} has neither text nor messages", "use rows with a prompt")
        text = text if isinstance(text, str) else None
        sample = Sample(
            row=row,
            text=text,
            messages=None if text is not None else messages,
            input_tokens=0,
            output_tokens=request.output_tokens_target,
            at_ns=request.at_ns,
        )
        known = request.input_tokens_target if request.body is None else None
        yield msgspec.structs.replace(sample, input_tokens=known or tokenizer.count(sample.prompt))


class Answers:
    """Texts in place of answers that nobody recorded: random words of exactly as many tokens.

    Args:
        tokenizer: decides what a token is.
        seed: decides the words.
    """

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self._maker = TextMaker(tokenizer, "words")
        self._rng = generator(seed, "answers")

    def text(self, sample: Sample) -> str:
        """Of the length of the sample's answer, or of 128 tokens where that is not known."""
        return self._maker.prompt(sample.row, sample.output_tokens or _UNKNOWN_ANSWER, self._rng)


class Blocks:
    """Numbers for blocks of tokens, as Mooncake's hash ids: equal for equal beginnings, and told in order of first use.

    Args:
        tokenizer: gives the tokens.
        tokens: of a block; the last one of a prompt may be shorter.
    """

    def __init__(self, tokenizer: Tokenizer, tokens: int = MOONCAKE_BLOCK) -> None:
        self.tokens = tokens
        self._tokenizer = tokenizer
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}

    def of(self, text: str) -> list[int]:
        """The blocks of a prompt; each number stands for its block and all before it."""
        ids = self._tokenizer.encode(text)
        before, found = -1, []
        for start in range(0, len(ids), self.tokens):
            key = before, tuple(ids[start : start + self.tokens])
            before = self._numbers.setdefault(key, len(self._numbers))
            found.append(before)
        return found


def record(sample: Sample, answer: str) -> dict[str, Any]:
    """A row as the Ascend guide's generate_dataset.py writes it."""
    return {"input": sample.prompt, "output": answer, "instruction": "NA"}


def fixed_record(sample: Sample) -> dict[str, Any]:
    """A row of the same script's data of one length."""
    return {"id": sample.row, "input": sample.prompt}


def custom_row(sample: Sample) -> dict[str, Any]:
    """A row of data set ``custom``."""
    content: dict[str, Any] = (
        {"prompt": sample.text} if sample.messages is None else {"messages": sample.messages}
    )
    return content | ({} if sample.output_tokens is None else {"output_tokens": sample.output_tokens})


def sharegpt_row(sample: Sample, answer: str) -> dict[str, Any]:
    """A conversation of one turn."""
    turns = [{"from": "human", "value": sample.prompt}, {"from": "gpt", "value": answer}]
    return {"id": str(sample.row), "conversations": turns}


def openai_row(sample: Sample) -> dict[str, Any]:
    """The body of a chat request, without a model."""
    messages = sample.messages or [{"role": "user", "content": sample.text}]
    limit = {} if sample.output_tokens is None else {"max_tokens": sample.output_tokens}
    return {"messages": messages} | limit


def trace_row(sample: Sample, blocks: Blocks) -> dict[str, Any]:
    """Lengths and blocks without any text: Mooncake's fields for blocks of 512 tokens, else those of ``trace``."""
    output_tokens = sample.output_tokens or _UNKNOWN_ANSWER
    hash_ids, at_ms = blocks.of(sample.prompt), round((sample.at_ns or 0) / 1e6)
    if blocks.tokens == MOONCAKE_BLOCK:
        return {
            "timestamp": at_ms,
            "input_length": sample.input_tokens,
            "output_length": output_tokens,
            "hash_ids": hash_ids,
        }
    return {
        "timestamp_ms": at_ms,
        "input_tokens": sample.input_tokens,
        "output_tokens": output_tokens,
        "hash_ids": hash_ids,
        "block_size": blocks.tokens,
    }


RowOf = Callable[[Sample], dict[str, Any]]
ARRAYS = ("records", "fixed", "sharegpt")  # one JSON array; the others are JSON lines
FORMATS = ("records", "custom", "sharegpt", "openai", "mooncake", "fixed")


def row_writer(name: str, tokenizer: Tokenizer, seed: int = 0) -> RowOf:
    """What makes a row of format ``name``, one of ``FORMATS``."""
    if name == "mooncake":
        blocks = Blocks(tokenizer)
        return lambda sample: trace_row(sample, blocks)
    if name in ("records", "sharegpt"):
        answers, make = Answers(tokenizer, seed), record if name == "records" else sharegpt_row
        return lambda sample: make(sample, answers.text(sample))
    return {"custom": custom_row, "openai": openai_row, "fixed": fixed_record}[name]


def encoded(rows: Iterable[dict[str, Any]], *, array: bool) -> Iterator[bytes]:
    """Rows as the bytes of a file, a row at a time: one JSON array, or JSON lines."""
    first = True
    for row in rows:
        if array:
            yield b"[\n" if first else b",\n"
        yield msgspec.json.encode(row) + (b"" if array else b"\n")
        first = False
    if array:
        yield b"[]\n" if first else b"\n]\n"
