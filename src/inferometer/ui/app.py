"""The pages and what they answer; ``guard`` stands before all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from inferometer.errors import InferometerError, place_of
from inferometer.exchange.prometheus.exposition import answer
from inferometer.metrics.comparing.noise import NOISE_JSON
from inferometer.record.folder import RUN_JSON
from inferometer.ui.exposition import families_of
from inferometer.ui.guard import Guard
from inferometer.ui.house import House, folder_of, house_of, no_run, page, trouble
from inferometer.ui.labels import label_lines, labels_of
from inferometer.ui.listing import listing, query_of
from inferometer.ui.live import running, was_killed
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
    handlers = {InferometerError: _trouble, 404: _nothing_here, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.house = house
    settings = house.settings
    return Guard(app, house.sessions, settings.host, settings.read_only)


async def _trouble(request: Request, error: Exception) -> Response:
    assert isinstance(error, InferometerError)
    return trouble(request, 409, error.message, error.next_step)


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours: told with its place and without its values, which may be anything."""
    message = f"this is a fault of Inferometer itself: {place_of(error)}, for {request.url.path}"
    return trouble(request, 500, message, "report it; the other pages go on")


async def _nothing_here(request: Request, error: Exception) -> Response:
    return trouble(request, 404, f"there is no page {request.url.path}", "the list of runs is at /")


async def _list(request: Request) -> Response:
    store = house_of(request).store
    query = query_of(request.query_params)
    runs = await run_in_threadpool(store.runs)
    speed = await run_in_threadpool(store.measurements_of_speed)
    found = listing(runs, query)
    now_ns = house_of(request).watches.clock.realtime_ns()
    opened = [run.name for run in found.runs if run.state == "open"]
    return page(
        request,
        "runs.html",
        query=query,
        found=found,
        killed={name for name in opened if was_killed(store.out / name, now_ns)},
        total=len(runs),
        speed=speed,
        out=str(store.out),
    )


def _key(store: Store, names: Sequence[str]) -> tuple[object, ...]:
    """What a report is of, and when that last changed; the noise that was learned counts in comparisons."""
    paths = [store.out / name / file for name in names for file in (RUN_JSON, "requests.parquet")]
    return (*names, *(_changed_ns(path) for path in [*paths, store.out / NOISE_JSON]))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


async def _run(request: Request) -> Response:
    house, folder = house_of(request), folder_of(request)
    if folder is None:
        return no_run(request)
    run = await run_in_threadpool(house.store.run, folder.name)
    if run is None:  # it was removed meanwhile
        return no_run(request)
    if run.state == "open":
        return RedirectResponse(f"/runs/{folder.name}/live", 303)
    key = _key(house.store, [folder.name])
    report = await house.kept(key, lambda: house.deeds.report(folder))
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
    made = await house.kept(key, lambda: house.deeds.comparison(known, different))
    query = urlencode([("run", name) for name in names])
    return page(
        request,
        "compare.html",
        report=made.page,
        comparable=made.comparable,
        names=names,
        query=query,
        different=different,
    )


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
    families = families_of(await run_in_threadpool(running, house.watches, folders))
    content, kind = answer(families, request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": kind})


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _static(request: Request) -> Response:
    found = static_files().get(f"{request.path_params['stamp']}/{request.path_params['name']}")
    if found is None:
        return Response("no such file\n", 404, media_type="text/plain")
    kept = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(found.content, media_type=found.media_type, headers=kept)
