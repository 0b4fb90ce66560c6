"""Pictures and videos of the user's own: files, or links that the server fetches itself."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from inferometer.errors import DataError
from inferometer.spec import derive_seed
from inferometer.spec.data import Images
from inferometer.workload.files import read_text
from inferometer.workload.picture_files import BrokenPictureError, Picture, look_at, read_picture
from inferometer.workload.picture_parts import Parts, data_part, link_part
from inferometer.workload.request import PicturesInfo

_KEPT_BYTES = 128 << 20
_VIDEO_ENDINGS = (".mp4", ".mov", ".webm", ".mkv", ".m4v")


class FilePictures:
    """Picture and video files, read when they are sent; those that fit into 128 MiB are encoded once.

    All files are looked at beforehand, see ``picture_files.look_at``.

    Args:
        path: a file, or a directory with all that is in it; names that begin with a dot are left out.
        skip: leave out files that are no pictures, instead of failing.

    Raises:
        DataError: a file that cannot be sent, or none that can.
    """

    def __init__(self, images: Images, path: Path, *, skip: bool) -> None:
        self._images = images
        self._bad: list[str] = []
        self._pictures: list[Picture] = []
        for file in _files(path):
            self._look_at(file, skip=skip)
        if not self._pictures:
            first = f"; the first: {self._bad[0]}" if self._bad else ""
            raise DataError(
                f"--image-path {path} holds no picture that can be sent{first}", "name another path"
            )
        self._encoded: dict[Path, dict[str, object]] = {}
        self._kept = 0

    def _look_at(self, file: Path, *, skip: bool) -> None:
        try:
            status = file.stat()
            self._pictures.append(_looked_at(file, status.st_mtime_ns, status.st_size))
        except BrokenPictureError as error:
            if not skip:
                raise DataError(
                    f"picture {file}: {error}",
                    "repair or remove it, or leave such files out: --on-bad-row skip",
                ) from None
            self._bad.append(f"{file}: {error}")

    def info(self) -> PicturesInfo:
        """What is sent; the size in pixels where all have the same."""
        sizes = {(picture.width, picture.height) for picture in self._pictures}
        width, height = sizes.pop() if len(sizes) == 1 else (None, None)
        types = Counter(picture.mime.partition("/")[2] for picture in self._pictures)
        kind = ", ".join(f"{count} {name}" for name, count in types.most_common())
        return PicturesInfo(
            per_request=self._images.pictures,
            width=width,
            height=height,
            kind=f"files ({kind})",
            files=len(self._pictures),
        )

    def notes(self) -> list[str]:
        """Which file was left out, and what taking pictures in turn means."""
        first = [f"picture left out: {self._bad[0]}"] if self._bad else []
        return [*first, _turns(len(self._pictures), "pictures")]

    def skipped(self) -> dict[str, int]:
        """Files that were left out, by reason."""
        return {"broken_picture": len(self._bad)} if self._bad else {}

    def parts(self, seed: int, salt: str, start: int) -> Iterator[Parts]:
        """Pictures of one request after another, in turn, in an order that the seed decides."""
        for places in _in_turn(len(self._pictures), self._images.pictures, seed, start):
            yield [self._part(self._pictures[place]) for place in places]

    def _part(self, picture: Picture) -> dict[str, object]:
        part = self._encoded.get(picture.path)
        if part is None:
            part = data_part(picture.mime, read_picture(picture.path))
            if self._kept + picture.size <= _KEPT_BYTES:
                self._encoded[picture.path] = part
                self._kept += picture.size
        return part


class LinkedPictures:
    """URLs, one a line of a text file; they are not fetched here. Blank lines and lines with # are left out.

    Raises:
        DataError: a line that is no URL, or no line at all.
    """

    def __init__(self, images: Images, path: str, *, skip: bool) -> None:
        self._images = images
        self._bad: list[str] = []
        self._urls: list[str] = []
        lines = read_text(path).data.decode().splitlines()
        for number, line in enumerate((line.strip() for line in lines), start=1):
            if not line or line.startswith("#"):
                continue
            if _is_link(line):
                self._urls.append(line)
                continue
            what = f"{path}, line {number}: {line[:80]!r} is no URL"
            if not skip:
                raise DataError(what, "write http:// or https:// URLs, one a line, or --on-bad-row skip")
            self._bad.append(what)
        if not self._urls:
            raise DataError(f"--image-path {path} has no URL", "write http:// or https:// URLs, one a line")

    def info(self) -> PicturesInfo:
        """What is sent; how large the pictures are is not known."""
        return PicturesInfo(per_request=self._images.pictures, kind="links", files=len(self._urls))

    def notes(self) -> list[str]:
        """What links mean for a measurement."""
        first = [f"link left out: {self._bad[0]}"] if self._bad else []
        fetch = "the server fetches the pictures itself: the time that takes is part of TTFT"
        return [*first, fetch, _turns(len(self._urls), "links")]

    def skipped(self) -> dict[str, int]:
        """Lines that were left out, by reason."""
        return {"no_url": len(self._bad)} if self._bad else {}

    def parts(self, seed: int, salt: str, start: int) -> Iterator[Parts]:
        """Links of one request after another, in turn, in an order that the seed decides."""
        for places in _in_turn(len(self._urls), self._images.pictures, seed, start):
            yield [link_part(url, video=_is_video(url)) for url in (self._urls[place] for place in places)]


@cache
def _looked_at(file: Path, mtime_ns: int, size: int) -> Picture:
    """``look_at``, once for a file that stays as it is: a run opens its data set several times."""
    return look_at(file)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"--image-path {path} does not exist", "check the path")
        return [path]
    try:
        inside = sorted(path.rglob("*"))
    except OSError as error:
        raise DataError(f"directory {path} cannot be read: {error.strerror}", "check its rights") from None
    hidden = len(path.parts)
    return [
        file
        for file in inside
        if file.is_file() and not any(name.startswith(".") for name in file.parts[hidden:])
    ]


def _in_turn(total: int, count: int, seed: int, start: int) -> Iterator[Sequence[int]]:
    """Places of the pictures of one request after another, from request number ``start`` of the run on."""
    order = np.random.default_rng(derive_seed(seed, "pictures")).permutation(total).tolist()
    for first in itertools.count(start * count, count):
        yield [order[place % total] for place in range(first, first + count)]


def _turns(total: int, what: str) -> str:
    return f"{total} {what} taken in turn: a server that caches pictures encodes each only once"


def _is_link(line: str) -> bool:
    try:
        parts = urlsplit(line)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in line


def _is_video(url: str) -> bool:
    return urlsplit(url).path.lower().endswith(_VIDEO_ENDINGS)
