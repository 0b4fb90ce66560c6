"""Small things that dialects need to read answers."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import msgspec

from inferometer.client.dialects.dialect import Delta, Usage
from inferometer.record.types import ChunkKind

# msgspec lets UnicodeDecodeError through for text that is not UTF-8, as of a server that cuts a character in two, and
# RecursionError for a thousand brackets.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DONE, NOTHING, ROLE = Delta(ChunkKind.DONE), Delta(ChunkKind.OTHER), Delta(ChunkKind.ROLE)
_EXCERPT_BYTES = 1600  # well above what is kept, so that a secret is redacted whole before the text is cut
_WORDS = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos_token": "stop",
    "tool_use": "tool_calls",
}
MOST_TOKENS = 1 << 31  # no answer has as many
_UNFINISHED = "\ufffd"  # what decoders put where bytes of a character are still missing


def unreadable(data: bytes, error: Exception) -> Delta:
    """The error of an event that is not what it should be."""
    text = data[:_EXCERPT_BYTES].decode("utf-8", "replace")
    return Delta(ChunkKind.ERROR, error=f"stream event is not JSON of this API: {error}: {text}")


def failed(value: Any) -> Delta:
    """An error in any of the forms that servers use: text, or an object that holds it somewhere."""
    return Delta(ChunkKind.ERROR, error=_said(value))


def _said(value: Any) -> str:
    while isinstance(value, dict):
        inner = next(filter(None, map(value.get, ("message", "error", "detail", "code", "type"))), None)
        if inner is None:
            break
        value = inner
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace")


def part(value: Any, *names: str | int) -> Any:
    """What stands at the end of a chain of names and positions; None where the chain breaks."""
    for name in names:
        if isinstance(name, int):
            value = value[name] if isinstance(value, list) and -len(value) <= name < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def read_id(data: bytes, *names: str | int) -> str | None:
    """The name of an answer that stands at the end of a chain in an event or a reply; None if there is none."""
    try:
        value = part(msgspec.json.decode(data), *names)
    except UNREADABLE:
        return None
    return value if isinstance(value, str) and value else None


def text_of(value: Any) -> str:
    """A text, or none."""
    return value if isinstance(value, str) else ""


def texts_of(parts: Any) -> str:
    """The texts of the parts of a content, one after the other; none where it is no list."""
    return "".join(text_of(part(one, "text")) for one in parts) if isinstance(parts, list) else ""


def ended(reason: Any) -> str | None:
    """Why an answer ended, in OpenAI's words, which the verdict and other tools know; other words stay as they are."""
    word = text_of(reason)
    return None if word in ("", "null") else _WORDS.get(word, word)


def number(value: Any) -> int | None:
    """A count of tokens; None for what is no whole number, or one that no count can be."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def piece(
    text: str, finish: str | None = None, usage: Usage | None = None, tokens: int | None = None
) -> Delta:
    """An event of an API that has nothing but answers: with text it is output, else at most an end or a count."""
    if text:
        return Delta(ChunkKind.CONTENT, text, tokens, finish, usage)
    kind = ChunkKind.USAGE if usage and not finish else ChunkKind.OTHER
    return Delta(kind, "", None, finish, usage)


class Growing:
    """What texts add that each repeat those before them.

    A replacement character at the end is held back: servers send it where a character is not complete, and the
    character itself in its place later. A text that shares less than half of what came before shows that the server
    was told to send pieces; from then on each is taken whole.

    Args:
        skip: number of characters that are not output, at the beginning.
    """

    def __init__(self, skip: int = 0) -> None:
        self._skip = skip
        self._so_far = ""
        self._pieces = False

    def add(self, text: str, last: bool = False) -> str:
        """What ``text`` has beyond what came before; ``last`` = nothing will follow."""
        if self._pieces:
            return text
        text = text[self._skip :]
        shown = text if last else text.rstrip(_UNFINISHED)
        known = self._so_far
        if shown.startswith(known):
            self._so_far = shown
            return shown[len(known) :]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, shown, strict=False)))
        if same == len(shown) < len(known):
            return ""  # shorter than before: a stop string was taken back
        if 2 * same < len(known):
            self._pieces = True
            return text
        self._so_far = shown
        return shown[same:]
