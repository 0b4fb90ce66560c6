import zlib

import numpy as np
import pytest

from inferometer.workload import scenes
from inferometer.workload.png import adler_of_both, incompressible_png, join_parts, lower_part
from pictures import read_png


def test_what_was_joined_of_two_parts_is_one_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 13, 3), np.uint8)
    for cut in (0, 1, 7, 20):
        assert (read_png(join_parts(pixels[:cut], lower_part(pixels[cut:]))) == pixels).all()


def test_a_lower_part_serves_many_pictures():
    lower = lower_part(scenes.scene(64, 56, (1, 2)))
    first, second = (read_png(join_parts(scenes.number_strip(64, 8, n), lower)) for n in (1, 2))
    assert (first[8:] == second[8:]).all()
    assert (first[:8] != second[:8]).any()


def test_noise_is_stored_as_it_is():
    pixels = scenes.noise(30, 20, 5)
    data = incompressible_png(pixels)
    assert (read_png(data) == pixels).all()
    assert pixels.nbytes < len(data) < 1.05 * pixels.nbytes + 100


@pytest.mark.parametrize(
    ("first", "second"), [(b"", b""), (b"a", b""), (b"", b"b"), (b"\xff" * 70000, b"\xfe" * 65521)]
)
def test_the_checksum_of_two_pieces_follows_from_theirs(first, second):
    both = adler_of_both(zlib.adler32(first), zlib.adler32(second), len(second))
    assert both == zlib.adler32(first + second)


def test_numbers_can_be_read_and_bars_tell_narrow_pictures_apart():
    strip = scenes.number_strip(640, 42, 1234567890123456)
    assert strip.shape == (42, 640, 3)
    scale = 6  # 42 rows are a margin, 5 and a margin; 640 columns are 65 at most 9 wide
    dots = strip[scale // 2 :: scale, scale // 2 :: scale, 0] == 255
    assert dots[1:6, 1:4].astype(int).tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 1, 1]]
    assert (scenes.number_strip(4, 1, 7) == scenes.number_strip(4, 1, 7)).all()
    assert (scenes.number_strip(100, 8, 7) != scenes.number_strip(100, 8, 8)).any()


def test_a_scene_compresses_neither_to_nothing_nor_not_at_all():
    lower = lower_part(scenes.scene(256, 256, (0, 0)))
    assert 0.1 < len(lower.chunk) / (256 * 256) < 1.0


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 1), (1, 40), (17, 5)])
def test_pictures_may_be_tiny(width, height):
    rows = scenes.strip_rows(height)
    pixels = scenes.scene(width, height, (0,))
    picture = read_png(join_parts(scenes.number_strip(width, rows, 12), lower_part(pixels[rows:])))
    assert picture.shape == (height, width, 3)
