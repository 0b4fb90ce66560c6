import struct
import zlib

import pytest

from inferometer.errors import DataError
from inferometer.workload import picture_files, scenes
from inferometer.workload.picture_files import BrokenPictureError, look_at
from inferometer.workload.png import incompressible_png
from pictures import gif, jpeg, mp4, webp

PNG = incompressible_png(scenes.noise(9, 4, 0))
WHOLE = [
    (PNG, "image/png", 9, 4),
    (jpeg(640, 480), "image/jpeg", 640, 480),
    (gif(20, 10), "image/gif", 20, 10),
    (webp(300, 200), "image/webp", 300, 200),
    (mp4(), "video/mp4", None, None),
]


@pytest.fixture(autouse=True)
def _without_pillow(monkeypatch):
    """The small files here have a structure, but most no pixels that pillow could decode."""
    monkeypatch.setattr(picture_files, "_decode", lambda data: None)


@pytest.mark.parametrize(("data", "mime", "width", "height"), WHOLE)
def test_a_whole_file_is_known_by_its_first_bytes(write, data, mime, width, height):
    picture = look_at(write("without-ending", data))
    assert (picture.mime, picture.width, picture.height, picture.size) == (mime, width, height, len(data))
    assert picture.video == (mime == "video/mp4")


@pytest.mark.parametrize("data", [data for data, *_ in WHOLE])
def test_a_file_that_is_cut_off_is_refused_wherever_it_is_cut(write, data):
    for kept in range(1, len(data), 3):
        with pytest.raises(BrokenPictureError):
            look_at(write("x", data[:kept]))


def part(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(head: bytes, pixels: bytes) -> bytes:
    return PNG[:8] + part(b"IHDR", head) + part(b"IDAT", pixels) + part(b"IEND", b"")


HEAD = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "by its first bytes it is no PNG, JPEG, WebP, GIF or MP4"),
        (PNG[:60] + b"X" + PNG[61:], r"checksum of a part \(IDAT\) is wrong"),
        (png(HEAD, zlib.compress(bytes(14))), ""),
        (png(HEAD, zlib.compress(bytes(13))), "not as many pixels"),
        (png(HEAD, zlib.compress(bytes(15))), "not as many pixels"),
        (png(HEAD, zlib.compress(bytes(14))[:-2]), "not as many pixels"),
        (png(HEAD, b"nothing"), "do not unpack"),
        (png(HEAD[:9] + b"\x05" + HEAD[10:], b""), "colour type is 5"),
        (PNG[:8] + part(b"IEND", b""), "does not begin with a header"),
        (jpeg(0, 7), "it is 0 x 7 pixels"),
        (b"\xff\xd8\xff\xd9\xff\xd9", "no frame header"),
        (mp4()[:-8], "no index"),
        (webp(2, 2)[:12] + b"ABCD" + webp(2, 2)[16:], "first part is 'ABCD'"),
    ],
)
def test_what_is_wrong_with_a_file(write, data, reason):
    path = write("x.png", data)
    if not reason:
        assert look_at(path).width == 2
        return
    with pytest.raises(BrokenPictureError, match=reason):
        look_at(path)


def test_a_file_that_unpacks_to_more_than_it_says_is_not_unpacked_whole(write):
    bomb = png(HEAD, zlib.compress(bytes(1 << 24)))
    with pytest.raises(BrokenPictureError, match="not as many pixels"):
        look_at(write("x.png", bomb))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone.png cannot be read: No such file"):
        look_at(tmp_path / "gone.png")


def test_where_pillow_is_installed_pictures_are_decoded(write, monkeypatch):
    pytest.importorskip("PIL.Image", reason="pillow is not installed")
    monkeypatch.undo()
    with pytest.raises(BrokenPictureError, match="does not decode"):
        look_at(write("x.jpg", jpeg(16, 16)))
