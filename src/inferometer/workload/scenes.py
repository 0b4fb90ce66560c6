"""Pixels of generated pictures: scenes of shapes, a number to tell one from another, noise."""

from __future__ import annotations

import numpy as np

from inferometer.workload.png import Pixels

DIGITS = 16
_SHAPES = 40
_TEXTURE = 6  # grey levels, as the noise and detail of a photograph
_STRIP_SHARE = 16  # the number takes this part of the height
_BAR = 8  # pixels
_INK, _PAPER = 255, 16
_GLYPH_HEIGHT = 5
# Rows of each digit from the top, three bits a row.
_GLYPHS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")


def strip_rows(height: int) -> int:
    """Rows at the top of a picture that its number takes."""
    return min(height, max(_GLYPH_HEIGHT + 2, height // _STRIP_SHARE))


def scene(width: int, height: int, seed: tuple[int, ...]) -> Pixels:
    """A picture of overlapping ellipses and rectangles before a gradient, every other one of them textured.

    It compresses about as well as a drawing or the picture of a screen: less than noise, and more than a photograph.
    """
    rng = np.random.default_rng(seed)
    corner, below, beside = rng.integers(40, 216, (3, 3)).astype(np.float32)
    down, right = np.linspace(0, 0.5, height)[:, None, None], np.linspace(0, 0.5, width)[None, :, None]
    pixels: Pixels = (corner + (below - corner) * down + (beside - corner) * right).astype(np.uint8)
    for number in range(_SHAPES):
        _paint(pixels, rng, ellipse=number % 2 == 0, textured=number % 4 < 2)
    return pixels


def _paint(pixels: Pixels, rng: np.random.Generator, *, ellipse: bool, textured: bool) -> None:
    height, width, _ = pixels.shape
    tall, wide = (max(1, int(side * rng.uniform(0.05, 0.3))) for side in (height, width))
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    area = pixels[top : top + tall, left : left + wide]
    colour = np.broadcast_to(rng.integers(20, 230, 3, np.uint8), area.shape)
    if textured:
        colour = colour + rng.integers(0, _TEXTURE, (tall, wide, 1), np.uint8)
    if not ellipse:
        area[:] = colour
        return
    down, right = np.ogrid[-1 : 1 : tall * 1j, -1 : 1 : wide * 1j]
    inside = down**2 + right**2 <= 1
    area[inside] = colour[inside]


def number_strip(width: int, rows: int, number: int) -> Pixels:
    """``number`` in digits, white on dark, above bars whose colours follow from it.

    Pictures that are too small for 16 digits have the bars alone, which tell them apart.
    """
    bars = np.random.default_rng(number).integers(0, 256, (-(-width // _BAR), 3), np.uint8)
    strip = np.repeat(np.repeat(bars, _BAR, axis=0)[None, :width], rows, axis=0)
    text = f"{number:0{DIGITS}d}"[-DIGITS:]
    glyphs = [
        [int(bit) for digit in text for bit in f"0{int(_GLYPHS[int(digit)][row]):03b}"]
        for row in range(_GLYPH_HEIGHT)
    ]
    dots = np.pad(np.array(glyphs, np.uint8), ((1, 1), (0, 1)))
    scale = min(rows // dots.shape[0], width // dots.shape[1])
    if not scale:
        return strip
    ink = np.kron(dots, np.ones((scale, scale), np.uint8))
    strip[: ink.shape[0], : ink.shape[1]] = np.where(ink, _INK, _PAPER)[..., None]
    return strip


def noise(width: int, height: int, number: int) -> Pixels:
    """Independent random bytes."""
    data = np.random.default_rng(number).bytes(height * width * 3)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def blank(width: int, height: int) -> Pixels:
    """White."""
    return np.full((height, width, 3), 255, np.uint8)
