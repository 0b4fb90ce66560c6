"""Rules of pictures: who can be sent some, and which options would do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inferometer.spec.data import SIDE, Images
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem
from inferometer.spec.session_rules import WITHOUT_MESSAGES

MOST_PIXELS = 1 << 26  # of one request; making them takes some 25 bytes each
# Backends whose messages hold pictures, but written otherwise.
OTHER_PARTS = ("anthropic", "openai-responses", "dashscope")


def image_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in the pictures, or would be ignored."""
    images = spec.images
    yield from _useless(images)
    yield from _own(images)
    yield from _large(images)
    if not images.wanted:
        return
    backend = spec.endpoint.backend
    if backend in OTHER_PARTS:
        yield Problem(
            f"pictures are sent as the parts of OpenAI's chat, which --backend {backend} has in another form",
            "use --backend openai-chat, or send none",
        )
    if backend in WITHOUT_MESSAGES:
        yield Problem(
            f"pictures are parts of chat messages, which --backend {backend} does not send",
            "use --backend openai-chat, or send none",
        )
    if spec.workload.text == "token-ids":
        yield Problem(
            "--text token-ids sends a prompt of token ids, and pictures need a chat message",
            "use --text words",
        )


def _useless(images: Images) -> Iterator[Problem]:
    """Options beside an explicit ``--image-count 0``, or beside pictures that are not made."""
    given = [*([] if images.video_frames else images.made), *(["image_path"] if images.image_path else [])]
    if images.image_count == 0 and given:
        yield Problem(
            f"{_flag(given[0])} does nothing beside --image-count 0",
            f"drop {_flag(given[0])}, or send pictures",
        )
    if images.image_path is not None and images.made:
        flag = _flag(images.made[0])
        yield Problem(
            f"{flag} is for pictures that are made, and --image-path gives others",
            f"drop {flag}, or drop --image-path",
        )


def _large(images: Images) -> Iterator[Problem]:
    """Pictures that would fill the memory."""
    width, height = images.image_width or SIDE, images.image_height or SIDE
    pixels = (images.pictures + images.video_frames) * width * height
    if images.image_path is None and pixels > MOST_PIXELS:
        yield Problem(
            f"{images.pictures + images.video_frames} x {width} x {height} are {pixels:,} pixels a request, and "
            f"{MOST_PIXELS:,} can be made",
            "lower --image-width, --image-height, --image-count or --video-frames",
        )


def _own(images: Images) -> Iterator[Problem]:
    """Pictures that are not made."""
    path = images.image_path
    if path is None:
        if images.image_as == "link":
            yield Problem("--image-as link needs URLs", "give --image-path FILE with one URL a line")
        return
    if images.video_frames:
        yield Problem(
            "--video-frames makes the frames of a video, and --image-path gives pictures",
            "drop one of them; --image-path also takes MP4 files",
        )
    if not Path(path).exists():
        yield Problem(
            f"--image-path {path!r} does not exist", f"check the path; it is read from {Path.cwd()}"
        )
    elif images.image_as == "link" and Path(path).is_dir():
        yield Problem(
            f"--image-as link needs a file of URLs, and --image-path {path!r} is a directory",
            "name a text file with one URL a line, or use --image-as data",
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
