"""What one request asks for, before any dialect turns it into bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from inferometer.spec import LoadPoint

# Data that has no answer length of its own needs some limit, or a chat server generates up to its context length.
# 2048 is EvalScope's default for the same data.
OPEN_ANSWER_TOKENS = 2048


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A later turn of a session, sent when the turn before it was answered.

    Attributes:
        content: what the user says: text, or the parts of a chat message.
        think_s: how long after the end of the answer before it.
        reply: the recorded answer to the turn *before* this one; sent in place of the server's own where asked for.
        input_tokens_target: tokens of ``content`` alone.
    """

    content: str | list[dict[str, Any]]
    think_s: float = 0.0
    reply: str | None = None
    input_tokens_target: int | None = None
    output_tokens_target: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a workload, or the first turn of a session.

    Exactly one of ``text`` (a single prompt; a chat dialect sends it as one user message), ``messages``
    (chat messages), ``token_ids`` and ``body`` is set. Token counts are numbers of tokens; absent means unknown.

    Attributes:
        row: the row of the file that it is made from; a session is one row.
        input_tokens_counted: tokens as the run's tokenizer counts them, where the data set has counted already.
        body: a whole request body as the user wrote it; its fields win over the spec's.
        later: the turns after this one, each of which waits for the answer to the one before it.
        input_tokens_counted: tokens of the prompt by the run's tokenizer, where whoever made it has counted them:
            counting a long one takes longer than making it.
        at_ns: when it is due, in ns from the load point's epoch, where the data set recorded that.
        model: sent in place of the run's model (a LoRA adapter, say).
        group: the shared prefix that it has, by number.
        blocks: numbers of the ``block_tokens`` tokens each that its prompt begins with: equal numbers are equal text,
            and what they leave is its own; None where the data set names none.
    """

    row: int | None = None
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    token_ids: list[int] | None = None
    input_tokens_target: int | None = None
    input_tokens_counted: int | None = None
    output_tokens_target: int | None = None
    session: str | None = None
    turn: int = 0
    body: dict[str, Any] | None = None
    later: list[Turn] = []
    at_ns: int | None = None
    model: str | None = None
    group: int | None = None
    blocks: tuple[int, ...] | None = None
    block_tokens: int = 0


class PicturesInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What pictures go with each request.

    Attributes:
        per_request: pictures, video frames left out.
        frames: pictures in a row that are the frames of one video; 0 = none.
        width: pixels; None where they differ from picture to picture, or are not known.
        height: pixels, likewise.
        kind: what they are, in words.
        files: how many different files or links they are taken from; None for pictures that are made.
    """

    per_request: int
    frames: int = 0
    width: int | None = None
    height: int | None = None
    kind: str
    files: int | None = None


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, so that a run can be told from another: stored in the run, contains no prompt text."""

    name: str
    path: str | None = None
    rows_total: int | None = None
    rows_usable: int | None = None
    dropped: dict[str, int] = {}  # rows that a length filter left out, by reason
    skipped: dict[str, int] = {}  # rows that could not be used, by reason (--on-bad-row skip)
    expected_hit_share: float | None = None  # of prompt tokens, by the prefixes that prompts share
    sha256: str | None = None
    tokenizer: str = ""
    tokenizer_exact: bool = False
    notes: list[str] = []
    pictures: PicturesInfo | None = None


class Dataset(Protocol):
    """A source of requests, deterministic by seed."""

    def info(self) -> DatasetInfo:
        """Identity, size and drop counts."""
        ...

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Requests in the order in which they are sent.

        Args:
            seed: decides order, lengths and text.
            salt: differs from load point to load point, so that generated prompts never share a prefix
                between points by accident. File data sets ignore it.

        A generated data set never ends; one read from a file ends after its last usable row.
        """
        ...


@runtime_checkable
class Trace(Dataset, Protocol):
    """A data set whose order is part of it, because it recorded when each request came."""

    def for_point(self, point: LoadPoint) -> Trace:
        """The same data, cut to what one load point sends."""
        ...

    def offsets_ns(self) -> Sequence[int]:
        """When each request is due, in ns from the load point's epoch; as many as there are requests."""
        ...


class Tokenizer(Protocol):
    """Counts tokens as a model would, or as nearly as it can."""

    name: str
    exact: bool

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` without special tokens."""
        ...

    def decode(self, ids: list[int]) -> str:
        """Text of token ids, special tokens left out."""
        ...

    def count(self, text: str) -> int:
        """Number of tokens of ``text`` without special tokens."""
        ...
