"""What one request asks for, before any dialect turns it into bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a workload.

    Exactly one of ``text`` (a single prompt; a chat dialect sends it as one user message), ``messages``
    (chat messages) and ``token_ids`` is set. Token counts are numbers of tokens; absent means unknown.
    """

    row: int | None = None
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    token_ids: list[int] | None = None
    input_tokens_target: int | None = None
    output_tokens_target: int | None = None
    session: str | None = None
    turn: int = 0


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, so that a run can be told from another: stored in the run, contains no prompt text."""

    name: str
    path: str | None = None
    rows_total: int | None = None
    rows_usable: int | None = None
    dropped: dict[str, int] = {}
    sha256: str | None = None
    tokenizer: str = ""
    tokenizer_exact: bool = False
    notes: list[str] = []


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
