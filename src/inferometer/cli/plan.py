"""What a run would do: merged values with their origins, load points, and how long they will take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.api.estimating import TimeEstimate
from inferometer.checks.duration import PointTime
from inferometer.metrics.pace import ASSUMED_OUTPUT_TOKENS, ASSUMED_TPOT_S, ASSUMED_TTFT_S
from inferometer.spec import LoadPoint, RunSpec, load_title, public_dict, resolve_ignore_eos
from inferometer.spec.options import SECRET_MARK, options

_ORIGIN_COLUMN = 58


def render_values(spec: RunSpec, origins: Mapping[str, str]) -> str:
    """The merged values as a run file: what was given as YAML, defaults and secrets as comments."""
    blocks = []
    for part, values in public_dict(spec).items():
        lines = [_value_line(part, name, value, origins) for name, value in values.items()]
        given = any(not line.startswith("  #") for line in lines)
        blocks += [f"{part}:" if given else f"# {part}:", *lines]
    return "\n".join(blocks)


def _value_line(part: str, name: str, value: Any, origins: Mapping[str, str]) -> str:
    option = options()[f"{part}.{name}"]
    origin = origins[option.dotted]
    hidden = option.secret and SECRET_MARK in str(value)
    mark = "# " if hidden or origin == "default" else ""
    text = SECRET_MARK if value == SECRET_MARK else json.dumps(value, ensure_ascii=False)
    return f"  {mark}{name}: {text}".ljust(_ORIGIN_COLUMN) + f"  # {origin}"


def render_plan(
    spec: RunSpec, origins: Mapping[str, str], points: Sequence[LoadPoint], estimate: TimeEstimate
) -> str:
    """The whole plan for ``--dry-run``.

    Args:
        spec: the merged values.
        origins: where each of them comes from.
        points: the load points in their order, warm-ups too.
        estimate: how long they will take.
    """
    measured = [point for point in points if point.kind == "measure"]
    lines = [render_values(spec, origins), "", "Load points"]
    titles = [
        load_title(point.to_dict())
        + (f", repeat {point.repeat}" if spec.sweep.repeat > 1 and point.kind == "measure" else "")
        for point in points
    ]
    width = max(map(len, [*titles, " " * 32]))
    for point, title, time in zip(points, titles, estimate.plan.points, strict=True):
        name = "warm-up" if point.kind == "warmup" else f"{point.index}"
        lines.append(f"  {name:<8}{title:<{width}}  {_bounds(spec, point):<40}  {_time_text(time)}".rstrip())
    counts = [point.num_prompts for point in measured]
    known = sum(count for count in counts if count is not None)
    what = "sessions" if spec.sessions.wanted else "requests"
    requests = f"{known} {what}" if known or None not in counts else ""
    if None in counts:
        whose = "the requests of the trace" if points[0].trace else f"as many {what} as the time limit allows"
        requests += f"{' and ' if known else ''}{whose}"
    lines += [
        "",
        f"{len(measured)} load point{'s' if len(measured) != 1 else ''}, {requests}; ignore_eos "
        f"{'on' if resolve_ignore_eos(spec) else 'off'}",
        *time_lines(estimate),
        f"would write a run folder in {spec.output.out}, {'with' if spec.output.html else 'without'} report.html",
        "nothing was sent: --dry-run",
    ]
    return "\n".join(lines)


def point_lines(spec: RunSpec, points: Sequence[LoadPoint]) -> list[str]:
    """Each load point with its number, its load and what bounds it.

    Args:
        spec: the merged values.
        points: the load points in their order, warm-ups too.
    """
    titles = [load_title(point.to_dict()) for point in points]
    width = max(map(len, titles), default=0)
    names = ["warm-up" if point.kind == "warmup" else f"{point.index}" for point in points]
    return [
        f"{name:<8}{title:<{width}}  {_bounds(spec, point)}".rstrip()
        for name, title, point in zip(names, titles, points, strict=True)
    ]


def time_lines(estimate: TimeEstimate) -> list[str]:
    """How long it will take, what that is made of, and what it follows from."""
    plan = estimate.plan
    total = (
        f"about {duration_text(plan.total_s)}"
        if math.isfinite(plan.total_s)
        else "as long as the trace lasts"
    )
    parts = [f"{duration_text(plan.pauses_s)} of it pauses"] if plan.pauses_s else []
    parts.append(f"{duration_text(plan.beside_s)} to start, prepare and store")
    if estimate.run is None:
        basis = (
            f"if at any load a first token takes {ASSUMED_TTFT_S:g} s and each further one "
            f"{ASSUMED_TPOT_S * 1000:g} ms ({ASSUMED_OUTPUT_TOKENS} tokens where the length is not known)"
        )
        return [f"{total} ({', '.join(parts)}), {basis}"]
    reach = estimate.pace.reach or 0.0
    lines = [f"{total} ({', '.join(parts)}), as fast as in run {estimate.run}"]
    beyond = [str(point.point) for point in plan.points if point.beyond and point.point > 0]
    if beyond:
        which = f"load point{'s' if len(beyond) > 1 else ''} {', '.join(beyond)}"
        if len(beyond) == sum(1 for point in plan.points if point.point > 0):
            which = "every load point"
        lines.append(
            f"that run had at most {reach:.0f} requests in flight: the time of {which} is extrapolated"
        )
    return lines


def _time_text(time: PointTime) -> str:
    if not math.isfinite(time.load_s):
        return ""
    pause = f"after {duration_text(time.pause_s)} pause " if time.pause_s else ""
    return f"{pause}~{duration_text(time.load_s)}"


def _bounds(spec: RunSpec, point: LoadPoint) -> str:
    words = [] if point.num_prompts is None else [f"{point.num_prompts} {_what(spec, point)}"]
    if point.duration_s is not None:
        words.append(f"at most {duration_text(point.duration_s)}")
    if spec.workload.dataset == "random":
        words.append(f"{point.input_len or 'drawn'} in / {point.output_len or 'drawn'} out{_around(spec)}")
    elif point.output_len is not None:
        words.append(f"{point.output_len} out")
    return ", ".join(words)


def _around(spec: RunSpec) -> str:
    """What ``--range-ratio`` makes of lengths."""
    ratio = spec.workload.range_ratio
    if ratio is None:
        return ""
    low, high = (1 - ratio, 1 + ratio) if spec.workload.range_ratio_as == "vllm" else (ratio, 1)
    return f", each times {low:g} to {high:g}"


def _what(spec: RunSpec, point: LoadPoint) -> str:
    """What a load point counts: the warm-up sends first turns only."""
    if not spec.sessions.wanted or point.kind == "warmup":
        return "requests"
    if spec.workload.dataset == "random":
        return f"sessions of {spec.sessions.turns} turns"
    return f"sessions of at most {spec.sessions.turns} turns" if spec.sessions.turns else "sessions"


def duration_text(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.2 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
