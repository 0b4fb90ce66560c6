"""A run as other tools would report it: their definitions, their layout, and how they differ from ours."""

from __future__ import annotations

from typing import Any

from inferometer.errors import UsageError
from inferometer.record.tables import RunRecord
from inferometer.record.types import RunMeta
from inferometer.registry import Registry
from inferometer.report.imported import check_requests
from inferometer.report.views import aiperf, aisbench, evalscope, guidellm, lmdeploy, mindie, sglang, vllm
from inferometer.report.views.beside import beside_lines, bullets
from inferometer.report.views.view import View

_DEFAULT_WIDTH = 100
_VIEWS = {
    "vllm": vllm.VIEW,
    "sglang": sglang.VIEW,
    "evalscope": evalscope.VIEW,
    "guidellm": guidellm.VIEW,
    "aiperf": aiperf.VIEW,
    "aisbench": aisbench.VIEW,
    "mindie": mindie.VIEW,
    "lmdeploy": lmdeploy.VIEW,
}
VIEWS: tuple[str, ...] = tuple(_VIEWS)
_KNOWN = Registry("view", dict.fromkeys(VIEWS, "inferometer.report.views:_VIEWS"))


def render_view(record: RunRecord, name: str, width: int = _DEFAULT_WIDTH) -> str:
    """The run as the tool ``name`` prints one, and under it how its figures differ from ours.

    Args:
        record: a closed run.
        name: one of ``VIEWS``.
        width: columns to wrap sentences at; tables keep their own width.

    Raises:
        UsageError: there is no such view, or no load point was measured.
    """
    view = view_named(name)
    results = view_json(record, name)
    parts = [
        *_marks(record.meta),
        view.layout(results, record.meta.simulated),
        *(
            "\n".join(beside_lines(table, view.figures(result), width, f"{view.title}, beside our figures"))
            for table, result in zip(record.measured, results, strict=True)
        ),
        "\n".join([f"How {view.title} counts:", *bullets(view.notes, width)]),
    ]
    return "\n\n".join(parts)


def view_json(record: RunRecord, name: str) -> list[dict[str, Any]]:
    """The result objects of the tool ``name``, one per measured load point.

    None stands for what is not recorded. Objects of simulated runs have one more key, ``simulated``.

    Raises:
        UsageError: there is no such view, no load point was measured, or an imported run lacks its requests.
    """
    view = view_named(name)
    if not record.measured:
        raise UsageError(
            f"{record.path} has no measured load point to show as {name}", "see: inferometer report RUN"
        )
    check_requests(record, f"--as {name}")
    mark = {"simulated": True} if record.meta.simulated else {}
    return [view.result(table, record.meta) | mark for table in record.measured]


def view_named(name: str) -> View:
    """The view of ``--as NAME``.

    Raises:
        UsageError: there is none; the message suggests the nearest one.
    """
    found: View = _KNOWN.get(name)[name]
    return found


def _marks(meta: RunMeta) -> list[str]:
    """What nobody may overlook before the figures of another tool, which would not say it."""
    marks = ["simulated: no real server was measured"] if meta.simulated else []
    word = (meta.verdict or {}).get("word")
    if word == "INVALID":
        failed = ", ".join((meta.verdict or {}).get("failed", ()))
        marks.append(f"INVALID: {failed}; see: inferometer report RUN")
    return marks
