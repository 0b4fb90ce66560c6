"""Picture and video files: what they are by their first bytes, how large, and whether they are whole."""

from __future__ import annotations

import importlib
import importlib.util
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inferometer.errors import DataError
from inferometer.workload.png import SIGNATURE

KNOWN = "PNG, JPEG, WebP, GIF or MP4"
_PNG_BITS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples per pixel, by colour type
_INFLATE_STEP = 1 << 20
_JPEG_END = b"\xff\xd9"
_NO_JPEG_FRAME = (0xC4, 0xC8, 0xCC)  # tables among the markers of frames


class BrokenPictureError(ValueError):
    """Why bytes are no picture that can be sent."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture or video as its file has it.

    Attributes:
        mime: its type, ``image/png`` and so on.
        width: pixels; None for a video.
        height: pixels; None for a video.
    """

    path: Path
    mime: str
    width: int | None
    height: int | None
    size: int

    @property
    def video(self) -> bool:
        """Whether it is a video."""
        return self.mime.startswith("video/")


def look_at(path: Path) -> Picture:
    """Read a file and see whether it is whole.

    PNG data is checked to its last byte. Other pictures are decoded where pillow is installed; without it, and for
    videos, only their structure is checked: dimensions, lengths, and the mark of the end.

    Raises:
        BrokenPictureError: why it cannot be sent.
        DataError: it cannot be read.
    """
    data = read_picture(path)
    if not data:
        raise BrokenPictureError("the file is empty")
    mime, check = _kind(data)
    try:
        dimensions = check(data)
    except (struct.error, IndexError):
        raise BrokenPictureError("the file is cut off") from None
    if mime not in ("image/png", "video/mp4"):
        _decode(data)
    width, height = dimensions
    if mime != "video/mp4" and not (width and height):
        raise BrokenPictureError(f"it is {width} x {height} pixels")
    return Picture(path, mime, width, height, len(data))


def read_picture(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"picture {path} cannot be read: {error.strerror}", "check its rights") from None


_Dimensions = tuple[int | None, int | None]


def _kind(data: bytes) -> tuple[str, Callable[[bytes], _Dimensions]]:
    """MIME type by magic number, and what checks such a file."""
    if data.startswith(SIGNATURE):
        return "image/png", _png
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", _jpeg
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif", _gif
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp", _webp
    if data[4:8] == b"ftyp":
        return "video/mp4", _mp4
    raise BrokenPictureError(f"by its first bytes it is no {KNOWN}")


def _decode(data: bytes) -> None:
    """Decode all of it, where pillow is installed."""
    if importlib.util.find_spec("PIL") is None:
        return
    pillow = importlib.import_module("PIL.Image")
    try:
        with pillow.open(io.BytesIO(data)) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise BrokenPictureError(f"it does not decode: {error}") from None


def _png(data: bytes) -> _Dimensions:
    """Chunks and their checksums, and the compressed pixels to their end (PNG, third edition, clauses 5 and 10)."""
    head: bytes | None = None
    pixels: list[memoryview] = []
    for kind, content in _png_chunks(data):
        if head is None:
            if kind != b"IHDR" or len(content) != 13:
                raise BrokenPictureError("it does not begin with a header (IHDR)")
            head = bytes(content)
        elif kind == b"IDAT":
            pixels.append(content)
    assert head is not None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    if colour not in _PNG_BITS:
        raise BrokenPictureError(f"its colour type is {colour}, which PNG does not have")
    rows_of = (width * bits * _PNG_BITS[colour] + 7) // 8 + 1
    _inflate(pixels, None if interlaced else rows_of * height)
    return width, height


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(data), len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        content = view[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(content, zlib.crc32(kind)) != crc:
            raise BrokenPictureError(f"the checksum of a part ({kind.decode('latin-1')}) is wrong")
        yield kind, content
        at += 12 + length


def _inflate(parts: list[memoryview], expected: int | None) -> None:
    """Unpack in pieces that are forgotten at once: a small file may unpack to gigabytes."""
    inflate, length = zlib.decompressobj(), 0
    try:
        for part in parts:
            rest: bytes | memoryview = part
            while rest and not inflate.eof and (expected is None or length <= expected):
                length += len(inflate.decompress(rest, _INFLATE_STEP))
                rest = inflate.unconsumed_tail
    except zlib.error as error:
        raise BrokenPictureError(f"its pixels do not unpack: {error}") from None
    if not inflate.eof or (expected is not None and length != expected):
        raise BrokenPictureError("it has not as many pixels as its header says")


def _jpeg(data: bytes) -> _Dimensions:
    """Segments to the frame header, which has the dimensions, and the mark of the end (ITU-T T.81, annex B)."""
    if _JPEG_END not in data[-1024:]:
        raise BrokenPictureError("it has no end (EOI): the file is cut off")
    at = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF:
            raise BrokenPictureError(f"byte {at} should begin a segment")
        if kind == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in _NO_JPEG_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif kind in (0xD9, 0xDA):
            raise BrokenPictureError("it has no frame header")
        else:
            at += 2 + length


def _gif(data: bytes) -> _Dimensions:
    """Logical screen and trailer (GIF89a, 18 and 27)."""
    if not data.rstrip(b"\0").endswith(b";"):
        raise BrokenPictureError("it has no end (trailer): the file is cut off")
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp(data: bytes) -> _Dimensions:
    """Length of the container and the dimensions of its first part (RFC 9649)."""
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise BrokenPictureError(f"it says that it has {length + 8} bytes, and the file has {len(data)}")
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise BrokenPictureError(f"its first part is {kind.decode('latin-1')!r}, which WebP does not have")


def _mp4(data: bytes) -> _Dimensions:
    """Boxes in a row to the end of the file, one of which is the index (ISO/IEC 14496-12, 4.2)."""
    at, seen = 0, set()
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        elif length == 0:  # to the end of the file
            length = len(data) - at
        if length < 8 or at + length > len(data):
            raise BrokenPictureError("a part is longer than the file: it is cut off")
        seen.add(kind)
        at += length
    if b"moov" not in seen:
        raise BrokenPictureError("it has no index (moov): it is cut off, or only a piece of a stream")
    return None, None
