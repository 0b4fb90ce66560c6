"""Reads PNG files with zlib and numpy alone, and makes small ones, so that the tests need no pillow."""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode

import numpy as np


def data_of(part: dict) -> bytes:
    """The bytes of a content part that holds a picture or video."""
    kind = part["type"]
    head, _, encoded = part[kind]["url"].partition(";base64,")
    assert head == ("data:image/png" if kind == "image_url" else "data:video/mp4")
    return b64decode(encoded, validate=True)


def read_png(data: bytes) -> np.ndarray:
    """Pixels of an RGB picture without interlacing; every checksum is looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, kind, packed, head = 8, b"", b"", b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        head, packed = (content, packed) if kind == b"IHDR" else (head, packed + content)
        at += 12 + length
    assert at == len(data)
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", head)
    assert (bits, colour) == (8, 2)
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    pixels = rows[:, 1:].reshape(height, width, 3).copy()
    for row, kind in enumerate(rows[:, 0].tolist()):
        assert kind in (0, 1)
        if kind == 1:
            pixels[row] = np.cumsum(pixels[row], axis=0, dtype=np.uint8)
    return pixels


def jpeg(width: int, height: int) -> bytes:
    """The structure of a JPEG file, without pixels."""
    app = b"\xff\xe0" + struct.pack(">H", 4) + b"ab"
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, height, width, 1)
    return b"\xff\xd8" + app + frame + b"\xff\xda" + struct.pack(">H", 2) + b"pixels" + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0" + b";"


def webp(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def mp4() -> bytes:
    return b"".join(struct.pack(">I4s", 8 + len(data), kind) + data
                    for kind, data in ((b"ftyp", b"isom"), (b"mdat", b"12345"), (b"moov", b"")))  # fmt: skip
