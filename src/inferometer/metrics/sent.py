"""What went out: bytes of requests, and of the pictures in them; tokens that the server makes of a picture."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats, PointData


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """The pictures of one load point.

    Attributes:
        title: how many of which width and height go with a request, in a few words.
        width: pixels; None where they differ from picture to picture, or are not known.
        height: pixels, likewise.
        kind: what they are; None where the data set's own requests have them.
        number: pictures in all requests that were sent.
        picture_bytes: what they took of the requests, in Base64.
        sent_bytes: all requests that were sent, with their heads.
        tokens_each: the server's prompt tokens beyond those of the text, per picture; its chat template is among them.
            None where one side does not count.
    """

    title: str
    width: int | None
    height: int | None
    kind: str | None
    number: int
    picture_bytes: int
    sent_bytes: int
    tokens_each: float | None


def pictures_of(data: PointData) -> Pictures | None:
    """What is to be said of the pictures of a load point; None when it sent none."""
    table = data.table
    number, sent = table.number("images"), ~np.isnan(table.number("sent_ns"))
    total = int(np.nansum(number[sent]))
    if not total:
        return None
    told = table.point.dataset.get("pictures") or {}
    return Pictures(
        title=_title(told, float(np.nanmax(number[sent]))),
        width=told.get("width"),
        height=told.get("height"),
        kind=told.get("kind"),
        number=total,
        picture_bytes=int(np.nansum(table.number("image_bytes")[sent])),
        sent_bytes=int(np.nansum(table.number("bytes_out")[sent])),
        tokens_each=_tokens_each(data),
    )


def request_bytes(data: PointData) -> Floats:
    """Length of each request; NaN where it was not recorded."""
    size = data.column("bytes_out")
    return np.where(size > 0, size, np.nan)


def picture_bytes(data: PointData) -> Floats:
    """What the pictures of each request take of it; NaN for one without pictures."""
    return np.where(data.column("images") > 0, data.column("image_bytes"), np.nan)


def picture_tokens(data: PointData) -> Floats:
    """Prompt tokens beyond the text, per picture of each request; NaN without pictures or a count."""
    images = data.column("images")
    beyond = data.column("input_tokens_server") - data.column("input_tokens_client")
    result = np.full(len(images), np.nan)
    np.divide(beyond, images, out=result, where=images > 0)
    return result


def _tokens_each(data: PointData) -> float | None:
    each, images = picture_tokens(data), data.column("images")
    known = ~np.isnan(each)
    return float((each[known] * images[known]).sum() / images[known].sum()) if known.any() else None


def _title(told: dict[str, object], most: float) -> str:
    """``512x512 px``, ``2 x 512x512 px``, ``8 frames 512x512 px``, or ``2 pictures`` where sizes differ."""
    width, height = told.get("width"), told.get("height")
    size = f"{width}x{height} px" if width and height else ""
    pictures, frames = told.get("per_request", int(most)), told.get("frames", 0)
    many = f"{pictures} x {size}" if size else f"{pictures} pictures"
    one = size or "1 picture"
    parts = [one if pictures == 1 else many] if pictures else []
    return " + ".join([*parts, *([f"{frames} frames {size}"] if frames else [])])
