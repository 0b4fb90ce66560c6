"""The pages of a run in progress: as it stands, and a stream of what is new (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from inferometer.errors import InferometerError
from inferometer.report.page.columns import data_text
from inferometer.report.page.model import Picture
from inferometer.report.page.render import render_blocks
from inferometer.report.words import Language
from inferometer.ui.house import House, folder_of, house_of, language_of, no_run, page, trouble
from inferometer.ui.live import Course, LiveRun
from inferometer.ui.live_blocks import blocks_of, pictures_of

MOST_STREAMS = 64  # each is drawn for twice a second, beside a load that is measured
_LOOK_EVERY_S = 0.5
_SIGN_OF_LIFE_S = 10.0


async def live(request: Request) -> Response:
    """The run so far; leads to the report when it has ended."""
    house, folder = house_of(request), folder_of(request)
    if folder is None:
        return no_run(request)
    run, course = await run_in_threadpool(house.watches.of(folder).look)
    if run.state == "closed":
        house.watches.forget(folder)
        return RedirectResponse(f"/runs/{folder.name}", 303)
    own = await run_in_threadpool(house.started.progress)
    is_own = (
        own is not None and own.exit_code is None and own.folder is not None and own.folder.name == run.name
    )
    return page(
        request,
        "live.html",
        run=run,
        figures=blocks_of(run),
        pictures=_pictures(course),
        own=own if is_own else None,
    )


def _pictures(course: Course | None) -> tuple[Picture, ...]:
    return tuple(Picture(plot=plot) for plot in pictures_of(course))


async def events(request: Request) -> Response:
    """Events ``look`` with what changed, and ``end`` when there will be no more."""
    house, folder = house_of(request), folder_of(request)
    if folder is None:
        return no_run(request)
    if house.streams >= MOST_STREAMS:
        return trouble(request, 503, f"{MOST_STREAMS} pages look at runs in progress already", "close some")
    stream = _looks(house, folder, language_of(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _looks(house: House, folder: Path, language: Language) -> AsyncIterator[bytes]:
    house.streams += 1
    try:
        async for look in _until_the_end(house, folder, language):
            yield look
    finally:
        house.streams -= 1


async def _until_the_end(house: House, folder: Path, language: Language) -> AsyncIterator[bytes]:
    """What is new of a run, twice a second, until it has ended or the server does."""
    before, quiet_s = b"", 0.0
    while not house.closing.is_set():
        try:
            run, course = await run_in_threadpool(house.watches.of(folder).look)
        except InferometerError:  # it was removed
            break
        if run.state == "closed":
            break
        now = await run_in_threadpool(_event, run, course, language)
        quiet_s += _LOOK_EVERY_S
        if now != before:
            before, quiet_s = now, 0.0
            yield now
        elif quiet_s >= _SIGN_OF_LIFE_S:
            quiet_s = 0.0
            yield b": nothing new\n\n"
        await _pause(house.closing, _LOOK_EVERY_S)
    else:
        return
    house.watches.forget(folder)
    yield b"event: end\ndata: {}\n\n"


def _event(run: LiveRun, course: Course | None, language: Language) -> bytes:
    pictures = _pictures(course)
    data = {
        "figures": render_blocks(blocks_of(run), language),
        "plots": {picture.plot.key: data_text(picture.plot) for picture in pictures},
        "pictures": render_blocks(pictures, language),
        "n": 0 if course is None else course.count,
    }
    return b"event: look\ndata: " + msgspec.json.encode(data) + b"\n\n"


async def _pause(closing: asyncio.Event, seconds: float) -> None:
    """Sleep, or less when the server ends."""
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except asyncio.TimeoutError:
        return
