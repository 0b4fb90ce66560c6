"""What all pages share: settings, store, the run in progress, sessions; and how one of them is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from inferometer.clock import AnchoredClock
from inferometer.report.words import Language
from inferometer.ui.deeds import Deeds
from inferometer.ui.guard import session_of
from inferometer.ui.live import Watches
from inferometer.ui.sessions import Sessions
from inferometer.ui.started import Started
from inferometer.ui.store import Store
from inferometer.ui.templating import render

_REPORTS_KEPT = 8
_Made = TypeVar("_Made")


class Settings(NamedTuple):
    """How the pages are served.

    Attributes:
        out: directory of run folders.
        host, port: where.
        token: without which nobody comes in; None = everybody who reaches the port.
        read_only: whether nothing can be changed or started.
    """

    out: Path
    host: str
    port: int
    token: str | None
    read_only: bool


@dataclass
class House:
    """What all pages share.

    Attributes:
        closing: set when the server ends: streams end with it.
        making: held while a report is made.
        streams: pages that follow a run now.
        reports: those that were made a while ago, by what they are of and when that last changed.
    """

    settings: Settings
    deeds: Deeds
    store: Store
    watches: Watches
    started: Started
    sessions: Sessions
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    streams: int = 0
    reports: dict[tuple[object, ...], Any] = field(default_factory=dict)

    async def kept(self, key: tuple[object, ...], make: Callable[[], _Made]) -> _Made:
        """A report, made once for what it is of; one at a time, for a large run takes a large part of the memory."""
        async with self.making:
            if key not in self.reports:
                self.reports[key] = await run_in_threadpool(make)
            made: _Made = self.reports.pop(key)
            self.reports[key] = made  # the latest comes last
            while len(self.reports) > _REPORTS_KEPT:
                del self.reports[next(iter(self.reports))]
        return made


def make_house(settings: Settings, deeds: Deeds, clock: AnchoredClock) -> House:
    """Everything that the pages of one server share."""
    return House(
        settings=settings,
        deeds=deeds,
        store=Store(settings.out),
        watches=Watches(clock),
        started=Started(settings.out, clock),
        sessions=Sessions(settings.port, settings.token),
    )


def house_of(request: Request) -> House:
    """What the pages share."""
    house = request.app.state.house
    assert isinstance(house, House)
    return house


def language_of(request: Request) -> Language:
    """As the address says it, else as the browser would rather have it."""
    asked = request.query_params.get("lang")
    if asked in ("en", "zh"):
        return "zh" if asked == "zh" else "en"
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page with what every one of them needs."""
    house, session = house_of(request), session_of(request.scope)
    language = language_of(request)
    other = [(name, text) for name, text in request.query_params.multi_items() if name != "lang"]
    text = render(
        template,
        language,
        switched="?" + urlencode([*other, ("lang", "en" if language == "zh" else "zh")]),
        sign=house.sessions.sign(session),
        read_only=house.settings.read_only,
        busy=house.started.busy,
        path=request.url.path,
        **values,
    )
    new = request.scope.get("new_session")
    return HTMLResponse(text, status, {"set-cookie": house.sessions.set_cookie(new)} if new else None)


def trouble(request: Request, status: int, message: str, next_step: str = "") -> Response:
    """Why a page cannot be shown."""
    return page(request, "trouble.html", status, message=message, next_step=next_step)


def folder_of(request: Request) -> Path | None:
    """The run folder that an address names, if it is one of the store."""
    return house_of(request).store.folder(request.path_params["name"])


def no_run(request: Request) -> Response:
    """The answer where it is none."""
    return trouble(request, 404, f"no run {request.path_params['name']!r} here", "the list of runs is at /")
