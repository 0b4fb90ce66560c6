"""PNG files from pixels, in two parts so that most of a picture is compressed once and used in many.

Format: PNG (W3C, third edition), zlib streams (RFC 1950), deflate blocks (RFC 1951). Colour type 2 (RGB), 8 bits,
not interlaced.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # height x width x 3, RGB

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_ZLIB_HEAD = b"\x78\x01"
_RAW_DEFLATE = -15  # a window of 32 KiB, without the head and checksum of a zlib stream
_LEVEL = 6  # what libpng uses
_NO_FILTER, _SUB = 0, 1
_ADLER_BASE = 65521


class Lower(NamedTuple):
    """The lower part of pictures, compressed.

    Attributes:
        rows: how many.
        chunk: a whole IDAT chunk; it ends the deflate stream.
        raw_bytes: length of what it holds, filtered.
        adler: Adler-32 of that.
    """

    rows: int
    chunk: bytes
    raw_bytes: int
    adler: int


def lower_part(pixels: Pixels) -> Lower:
    """Compress the rows below some other rows of equal width; there may be none."""
    raw = _filtered(pixels, _SUB)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    data = deflate.compress(raw) + deflate.flush()
    return Lower(len(pixels), _chunk(b"IDAT", data), len(raw), zlib.adler32(raw))


def join_parts(upper: Pixels, lower: Lower) -> bytes:
    """A PNG file: ``upper``, compressed now, above ``lower``.

    The upper rows end with a full flush, at a byte boundary and with nothing that later data refers to, and no row
    is filtered by the row above it: so what follows does not depend on them.
    """
    raw = _filtered(upper, _SUB)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
    data = _ZLIB_HEAD + deflate.compress(raw) + deflate.flush(zlib.Z_FULL_FLUSH)
    adler = adler_of_both(zlib.adler32(raw), lower.adler, lower.raw_bytes)
    height, width = len(upper) + lower.rows, upper.shape[1]
    parts = (_chunk(b"IDAT", data), lower.chunk, _chunk(b"IDAT", adler.to_bytes(4, "big")))
    return _file(width, height, parts)


def incompressible_png(pixels: Pixels) -> bytes:
    """A PNG file of noise: stored as it is, since compressing it would only take time."""
    data = zlib.compress(_filtered(pixels, _NO_FILTER), 0)
    return _file(pixels.shape[1], len(pixels), (_chunk(b"IDAT", data),))


def adler_of_both(first: int, second: int, second_bytes: int) -> int:
    """Adler-32 of two pieces in a row, from theirs (RFC 1950, 8.2: A = 1 + sum of bytes, B = sum of all A)."""
    a1, b1, a2, b2 = first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16
    a = (a1 + a2 - 1) % _ADLER_BASE
    b = (b1 + b2 + second_bytes * (a1 - 1)) % _ADLER_BASE
    return b << 16 | a


def _filtered(pixels: Pixels, kind: int) -> bytes:
    """Rows with the number of their filter before each; "Sub" keeps differences to the pixel on the left."""
    height, width, _ = pixels.shape
    raw = np.empty((height, 1 + 3 * width), np.uint8)
    raw[:, 0] = kind
    rows = pixels.reshape(height, 3 * width)
    raw[:, 1:] = rows
    if kind == _SUB:
        raw[:, 4:] -= rows[:, :-3]
    return raw.tobytes()


def _file(width: int, height: int, parts: tuple[bytes, ...]) -> bytes:
    head = _chunk(b"IHDR", _HEADER.pack(width, height, 8, 2, 0, 0, 0))
    return b"".join((SIGNATURE, head, *parts, _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join(
        (len(data).to_bytes(4, "big"), kind, data, zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "big"))
    )
