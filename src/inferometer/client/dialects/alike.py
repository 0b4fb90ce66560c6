"""Events that are alike byte for byte but for their text, as most events of a stream are.

Such a run needs one look at what stands around the text, and then only the texts themselves: a third of the cost of
decoding each event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from inferometer.record.types import ChunkKind

# What an event carries that is no more than text, None if it is more; the text may be empty.
Piece = Callable[[bytes], tuple[ChunkKind, str] | None]

MIN_EVENTS = 12  # of fewer events, finding out what they share costs more than it saves
_MAX_OTHERS = 5  # events of another form before or after the run: a role, a finish, a usage, [DONE]

# Of those, msgspec lets UnicodeDecodeError through for text that is not UTF-8, RecursionError for a thousand brackets.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_text = msgspec.json.Decoder(str).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode


class Run(NamedTuple):
    """The texts and kinds of the events from place ``first`` to ``end`` (excluded)."""

    first: int
    end: int
    texts: list[str]
    kinds: bytes


class _Mould(NamedTuple):
    """What events share: all bytes before their text and after it, its quotation marks included."""

    before: bytes
    after: bytes
    kind: ChunkKind

    def fits(self, data: bytes) -> bool:
        return data.startswith(self.before) and data.endswith(self.after)


def find_run(data: list[bytes], piece: Piece) -> Run | None:
    """The run of events in the middle that are alike but for one JSON string, their text.

    Args:
        data: data of events in a row.
        piece: what an event carries. It may depend on what the text is only by its being empty.

    Returns:
        None where there is no such run, or where it does not pay to look for it.
    """
    middle = len(data) // 2
    mould = (
        _mould(data[middle], piece) or _mould(data[middle + 1], piece) if len(data) >= MIN_EVENTS else None
    )
    if mould is None:
        return None
    first, end = 0, len(data)
    while first < _MAX_OTHERS and not mould.fits(data[first]):
        first += 1
    while len(data) - end < _MAX_OTHERS and not mould.fits(data[end - 1]):
        end -= 1
    alike = data[first:end]
    before, after, kind = mould
    start, stop = len(before), -len(after)
    quoted = [one[start:stop] for one in alike]
    # Put together again they are what they were; so each of them, by its length too, has this form.
    if before + (after + before).join(quoted) + after != b"".join(alike):
        return None
    try:
        texts = _texts(quoted)
    except _UNREADABLE:
        return None
    if all(texts):
        return Run(first, end, texts, bytes([kind]) * len(texts))
    empty = piece(before + after)
    if empty is None or empty[1]:
        return None
    return Run(first, end, texts, bytes(kind if text else empty[0] for text in texts))


def _mould(data: bytes, piece: Piece) -> _Mould | None:
    """What stands around the text of an event; None if it is more than text, or its text stands there escaped."""
    found = piece(data)
    if found is None or not found[1]:
        return None
    kind, text = found
    raw = text.encode("utf-8", "surrogatepass")
    before, _, after = data.partition(b'"%b"' % raw)
    before, after = before + b'"', b'"' + after
    # The proof that this string is the text, and not another one that happens to be equal.
    if piece(b"%b%b0%b" % (before, raw, after)) != (kind, text + "0"):
        return None
    return _Mould(before, after, kind)


def _texts(quoted: list[bytes]) -> list[str]:
    """The texts of JSON strings that are given without their quotation marks."""
    joined = b'","'.join(quoted)
    # All at once where that cannot be misread: no text holds a quotation mark or ends with a backslash.
    if b'\\"' not in joined and joined.count(b'"') == 2 * (len(quoted) - 1):
        return _decode_texts(b'["%b"]' % joined)
    return [_decode_text(b'"%b"' % text) for text in quoted]
