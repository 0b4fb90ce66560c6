"""Recorded arrivals: planned offsets that come from a trace, as they travel to the workers."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence

_TYPE = "q"  # 8 bytes, signed


def pack_offsets(offsets_ns: Sequence[int]) -> bytes:
    """Offsets in ns as 8 bytes each, little endian."""
    packed = array(_TYPE, offsets_ns)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_offsets(data: bytes) -> Iterator[int]:
    """What ``pack_offsets`` made bytes of."""
    offsets = array(_TYPE, data)
    if sys.byteorder == "big":
        offsets.byteswap()
    return iter(offsets)
