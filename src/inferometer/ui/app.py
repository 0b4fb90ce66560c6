"""The pages and what they answer; ``guard`` stands before all of them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inferometer.errors import InferometerError
from inferometer.ui import exposition
from inferometer.ui.guard import Guard
from inferometer.ui.house import House, folder_of, house_of, no_run, page, trouble
from inferometer.ui.labels import label_lines, labels_of
from inferometer.ui.listing import listing, query_of
from inferometer.ui.live import running
from inferometer.ui.starting import new_run, started, stop
from inferometer.ui.store import Store, StoredRun
from inferometer.ui.templating import static_files
from inferometer.ui.watching import events, live

MOST_COMPARED = 8


def make_app(house: House) -> ASGIApp:
    """The application with its guard."""
    routes = [
        Route("/", _list),
        Route("/runs/{name}", _run),
        Route("/runs/{name}/live", live),
        Route("/runs/{name}/events", events),
        Route("/runs/{name}/labels", _label, methods=["POST"]),
        Route("/runs/{name}/files/{file}", _file),
        Route("/compare", _compare),
        Route("/new", new_run, methods=["GET", "POST"]),
        Route("/started", started),
        Route("/started/stop", stop, methods=["POST"]),
        Route("/api/runs", _api_list),
        Route("/api/runs/{name}", _api_run),
        Route("/api/runs/{name}/live", _api_live),
        Route("/metrics", _metrics),
        Route("/static/{stamp}/{name}", _static),
    ]
    handlers = {InferometerError: _trouble, 404: _nothing_here}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.house = house
    settings = house.settings
    return Guard(app, house.sessions, settings.host, settings.read_only)


async def _trouble(request: Request, error: Exception) -> Response:
    assert isinstance(error, InferometerError)
    return trouble(request, 409, error.message, error.next_step)


async def _nothing_here(request: Request, error: Exception) -> Response:
    return trouble(request, 404, f"there is no page {request.url.path}", "the list of runs is at /")


async def _list(request: Request) -> Response:
    store = house_of(request).store
    query = query_of(request.query_params)
    runs = await run_in_threadpool(store.runs)
    speed = await run_in_threadpool(store.measurements_of_speed)
    found = listing(runs, query)
    return page(
        request, "runs.html", query=query, found=found, total=len(runs), speed=speed, out=str(store.out)
    )


def _key(store: Store, names: Sequence[str]) -> tuple[object, ...]:
    """What a report is of, and when that last changed."""
    stamps = [(store.out / name / file) for name in names for file in ("run.json", "requests.parquet")]
    return (*names, *(path.stat().st_mtime_ns if path.exists() else 0 for path in stamps))


async def _run(request: Request) -> Response:
    house, folder = house_of(request), folder_of(request)
    if folder is None:
        return no_run(request)
    run = await run_in_threadpool(house.store.run, folder.name)
    assert run is not None
    if run.state == "open":
        return RedirectResponse(f"/runs/{folder.name}/live", 303)
    key = _key(house.store, [folder.name])
    report = await run_in_threadpool(house.kept_page, key, lambda: house.deeds.report(folder))
    return page(
        request,
        "run.html",
        run=run,
        report=report,
        files=house.store.files(folder.name),
        labels=label_lines(run),
    )


async def _compare(request: Request) -> Response:
    house = house_of(request)
    asked = request.query_params
    baseline, different = asked.get("first"), asked.get("different") == "1"
    names = sorted(set(asked.getlist("run")), key=lambda name: (name != baseline, name))  # else the oldest
    folders = [house.store.folder(name) for name in names]
    if len(names) < 2 or len(names) > MOST_COMPARED or None in folders:
        message = f"a comparison is of 2 to {MOST_COMPARED} runs that are here; {len(names)} were named"
        return trouble(request, 400, message, "tick them in the list")
    known = [folder for folder in folders if folder is not None]
    key = ("comparison", different, *_key(house.store, names))
    report = await run_in_threadpool(house.kept_page, key, lambda: house.deeds.comparison(known, different))
    query = urlencode([("run", name) for name in names])
    return page(request, "compare.html", report=report, names=names, query=query, different=different)


async def _label(request: Request) -> Response:
    house, folder = house_of(request), folder_of(request)
    if folder is None:
        return no_run(request)
    form = request.scope["form"]
    label, labels = labels_of(form.get("label", ""), form.get("labels", ""), form.get("note", ""))
    await run_in_threadpool(house.deeds.relabel, folder, label, labels)
    return RedirectResponse(f"/runs/{folder.name}", 303)


async def _file(request: Request) -> Response:
    path = house_of(request).store.file(request.path_params["name"], request.path_params["file"])
    if path is None:
        return trouble(request, 404, "no such file of this run", "its page lists those that there are")
    # As an attachment, and without any right to a page: what lies in a run folder may come from anywhere.
    return FileResponse(
        path,
        filename=f"{path.parent.name}-{path.name}",
        media_type="application/octet-stream",
        headers={"content-security-policy": "sandbox; default-src 'none'"},
    )


# ---- for programs


async def _api_list(request: Request) -> Response:
    """``GET /api/runs``: the list, with the same questions as the page; ``runs``, ``found``, ``page``, ``pages``."""
    runs: list[StoredRun] = await run_in_threadpool(house_of(request).store.runs)
    found = listing(runs, query_of(request.query_params))
    return _json({"runs": found.runs, "found": found.found, "page": found.page, "pages": found.pages})


async def _api_run(request: Request) -> Response:
    """``GET /api/runs/NAME``: its line of the list, and ``files`` by name with their bytes."""
    store = house_of(request).store
    run = await run_in_threadpool(store.run, request.path_params["name"])
    if run is None:
        return _json({"error": "no such run"}, 404)
    return _json({"run": run, "files": dict(store.files(run.name))})


async def _api_live(request: Request) -> Response:
    """``GET /api/runs/NAME/live``: a run in progress so far, see ``LiveRun``."""
    folder = folder_of(request)
    if folder is None:
        return _json({"error": "no such run"}, 404)
    run, _ = await run_in_threadpool(house_of(request).watches.of(folder).look)
    return _json(run)


async def _metrics(request: Request) -> Response:
    """``GET /metrics``: runs in progress, for Prometheus."""
    house = house_of(request)
    runs = await run_in_threadpool(house.store.runs)
    folders = [house.store.out / run.name for run in runs if run.state == "open"]
    text = exposition.render(await run_in_threadpool(running, house.watches, folders))
    return Response(text, media_type=exposition.CONTENT_TYPE)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _static(request: Request) -> Response:
    found = static_files().get(f"{request.path_params['stamp']}/{request.path_params['name']}")
    if found is None:
        return Response("no such file\n", 404, media_type="text/plain")
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(found.content, media_type=found.media_type, headers=kept)
