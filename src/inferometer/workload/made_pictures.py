"""Pictures and video frames that are made for each request."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from inferometer.errors import UsageError
from inferometer.spec import derive_seed
from inferometer.spec.data import SIDE, Images
from inferometer.workload import scenes
from inferometer.workload.picture_parts import Parts, data_part
from inferometer.workload.png import Lower, Pixels, incompressible_png, join_parts, lower_part
from inferometer.workload.request import PicturesInfo

JPEG_QUALITY = 85
_SCENES = 16
_SCENE_BYTES = 64 << 20  # pixels of all scenes together
_PAN_SHARE = 4  # a video moves over this part of its width
_KEPT = 256


class MadePictures:
    """Pictures of one size, each different from all others of a load point; blank ones are all the same.

    A picture of shapes has a number of its own on a scene that others may have too: making it costs about a
    millisecond a megapixel instead of the hundred that drawing and compressing all of it takes, and servers that cache
    what they made of a picture know it by all of its bytes.

    Raises:
        UsageError: JPEG is asked for and pillow is not installed.
    """

    def __init__(self, images: Images) -> None:
        self._each, self._frames_each = images.pictures, images.video_frames
        self._width, self._height = images.image_width or SIDE, images.image_height or SIDE
        self._content = images.image_content or "shapes"
        self._format = images.image_format or "png"
        self._encode = _jpeg_encoder() if self._format == "jpeg" else None

    def info(self) -> PicturesInfo:
        """What is sent."""
        return PicturesInfo(
            per_request=self._each,
            frames=self._frames_each,
            width=self._width,
            height=self._height,
            kind=f"{self._content} {self._format}",
        )

    def notes(self) -> list[str]:
        """What the kind of picture means for a measurement."""
        if self._content == "noise":
            return [
                "pictures of noise do not compress: request bodies are far larger than with real pictures"
            ]
        if self._content == "blank":
            return ["all pictures are the same blank one: a server that caches pictures encodes it once"]
        return []

    def skipped(self) -> dict[str, int]:
        """Nothing: what is made is never broken."""
        return {}

    def parts(self, seed: int, salt: str, start: int) -> Iterator[Parts]:
        """Pictures of one request after another, then its video frames; numbered from a beginning that salt decides."""
        first = derive_seed(seed, f"pictures of {salt}") % 10 ** (scenes.DIGITS - 1)
        look = derive_seed(seed, "pictures")
        for request in count(start):
            yield self._parts(look, first, request)

    def _parts(self, look: int, first: int, request: int) -> Parts:
        mime, each, frames = f"image/{self._format}", self._each, self._frames_each
        numbers = range(first + request * each, first + (request + 1) * each)
        pictures = [self._picture(look, number, 0, 1) for number in numbers]
        pictures += [self._picture(look, first + request, frame, frames) for frame in range(frames)]
        return [data_part(mime, picture) for picture in pictures]

    def _picture(self, seed: int, number: int, frame: int, frames: int) -> bytes:
        width, height = self._width, self._height
        if self._content == "blank":
            return _blank(width, height, self._encode)
        if self._content == "noise":
            pixels = scenes.noise(width, height, number * max(frames, 1) + frame)
            return incompressible_png(pixels) if self._encode is None else self._encode(pixels)
        rows = scenes.strip_rows(height)
        upper = scenes.number_strip(width, rows, number)
        which = number % max(1, min(_SCENES, _SCENE_BYTES // (3 * width * height)) // frames)
        if self._encode is None:
            return join_parts(upper, _lower(width, height, (seed, which), (frame, frames)))
        return self._encode(
            np.concatenate([upper, _view(width, height, (seed, which), (frame, frames))[rows:]])
        )


Encode = Callable[[Pixels], bytes]


def _jpeg_encoder() -> Encode:
    try:
        pillow: Any = importlib.import_module("PIL.Image")
    except ImportError:
        raise UsageError(
            "--image-format jpeg needs pillow, which is not installed",
            "pip install 'inferometer[vision]', or use --image-format png",
        ) from None

    def encode(pixels: Pixels) -> bytes:
        file = io.BytesIO()
        pillow.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
        return file.getvalue()

    return encode


@lru_cache(maxsize=2)
def _blank(width: int, height: int, encode: Encode | None) -> bytes:
    pixels = scenes.blank(width, height)
    return encode(pixels) if encode else join_parts(pixels[:0], lower_part(pixels))


@lru_cache(maxsize=_KEPT)
def _lower(width: int, height: int, seed: tuple[int, int], frame: tuple[int, int]) -> Lower:
    """The compressed part of a scene below the number."""
    return lower_part(_view(width, height, seed, frame)[scenes.strip_rows(height) :])


def _view(width: int, height: int, seed: tuple[int, int], frame: tuple[int, int]) -> Pixels:
    """A scene, or one frame of a camera's way over it."""
    number, frames = frame
    if frames == 1:
        return _scene(width, height, seed)
    way = width // _PAN_SHARE
    left = way * number // (frames - 1)
    return np.ascontiguousarray(_scene(width + way, height, seed)[:, left : left + width])


@lru_cache(maxsize=_SCENES)
def _scene(width: int, height: int, seed: tuple[int, int]) -> Pixels:
    return scenes.scene(width, height, seed)
