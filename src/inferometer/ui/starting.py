"""The pages that start a run: the form, what was started, its end."""

from __future__ import annotations

import os
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from inferometer.errors import UsageError
from inferometer.ui.form import groups, judge, without_secrets
from inferometer.ui.house import house_of, page
from inferometer.ui.started import plan_of


async def new_run(request: Request) -> Response:
    """The form; sent with ``plan`` it is judged and planned, with ``start`` it is started."""
    if request.method != "POST":
        return page(request, "new.html", groups=groups(), given={}, problems={}, plan=None)
    fields, form = request.scope["fields"], request.scope["form"]
    judged = judge(form, os.environ)
    problems, plan = judged.problems, None
    if judged.command is not None and "start" in form:
        try:
            house_of(request).started.start(judged.command)
        except UsageError as error:
            problems = {"": [str(error)]}
        else:
            return RedirectResponse("/started", 303)
    elif judged.command is not None:
        plan = await run_in_threadpool(plan_of, judged.command)
    return _form_again(request, without_secrets(fields), problems, plan)


def _form_again(
    request: Request, given: Mapping[str, str], problems: Mapping[str, object], plan: tuple[bool, str] | None
) -> Response:
    status = 422 if problems or (plan is not None and not plan[0]) else 200
    return page(request, "new.html", status, groups=groups(), given=given, problems=problems, plan=plan)


async def started(request: Request) -> Response:
    """What became of the run that was started here: leads to it as soon as its folder is there."""
    house = house_of(request)
    progress = await run_in_threadpool(house.started.progress)
    if progress is not None and progress.folder is not None and house.store.folder(progress.folder.name):
        if progress.exit_code is None:
            return RedirectResponse(f"/runs/{progress.folder.name}/live", 303)
        return RedirectResponse(f"/runs/{progress.folder.name}", 303)
    answer = page(request, "started.html", progress=progress)
    if progress is not None and progress.exit_code is None:
        answer.headers["refresh"] = "1"
    return answer


async def stop(request: Request) -> Response:
    """Ask the run that was started here to stop: once gently, again at once."""
    house_of(request).started.stop()
    return RedirectResponse("/started", 303)
