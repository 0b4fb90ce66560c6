"""What a run would do: merged values with their origins, load points, and a guess at the time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.spec import LoadPoint, RunSpec, load_title, public_dict, resolve_ignore_eos
from inferometer.spec.options import SECRET_MARK, options
from inferometer.spec.session_rules import parse_think_time

ASSUMED_TTFT_S = 0.2
ASSUMED_TPOT_S = 0.02
ASSUMED_OUTPUT_TOKENS = 256
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
    spec: RunSpec, origins: Mapping[str, str], points: Sequence[LoadPoint], warmup: LoadPoint | None
) -> str:
    """The whole plan for ``--dry-run``."""
    lines = [render_values(spec, origins), "", "Load points"]
    for point in [*([warmup] if warmup else []), *points]:
        name = "warm-up" if point.kind == "warmup" else f"{point.index}"
        lines.append(f"  {name:<8}{load_title(point.to_dict()):<36}{_bounds(spec, point)}")
    counts = [point.num_prompts for point in points]
    known = sum(count for count in counts if count is not None)
    what = "sessions" if spec.sessions.wanted else "requests"
    requests = f"{known} {what}" if known or None not in counts else ""
    if None in counts:
        whose = "the requests of the trace" if points[0].trace else f"as many {what} as the time limit allows"
        requests += f"{' and ' if known else ''}{whose}"
    seconds = estimate_s(spec, [*([warmup] if warmup else []), *points])
    about = f"about {duration_text(seconds)}" if math.isfinite(seconds) else "as long as the trace lasts"
    lines += [
        "",
        f"{len(points)} load point{'s' if len(points) != 1 else ''}, {requests}; ignore_eos "
        f"{'on' if resolve_ignore_eos(spec) else 'off'}",
        f"{about}, if at any load a first token takes {ASSUMED_TTFT_S:g} s and each "
        f"further one {ASSUMED_TPOT_S * 1000:g} ms ({ASSUMED_OUTPUT_TOKENS} tokens where the length is not known)",
        "nothing was sent: --dry-run",
    ]
    return "\n".join(lines)


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


def estimate_s(spec: RunSpec, points: Sequence[LoadPoint]) -> float:
    """Seconds that the points will take under the stated assumption of a server that load does not slow."""
    total_s = 0.0
    for point in points:
        tokens = point.output_len or spec.sampling.max_tokens or ASSUMED_OUTPUT_TOKENS
        request_s = ASSUMED_TTFT_S + ASSUMED_TPOT_S * (tokens - 1)
        if spec.sessions.wanted and point.kind == "measure":
            later = max(0, spec.sessions.turns - 1)  # a file's own number is not known beforehand
            request_s += later * (request_s + parse_think_time(spec.sessions.think_time).mean_s)
        total_s += min(_sending_s(point, request_s), point.duration_s or math.inf) + request_s
    return total_s


def _sending_s(point: LoadPoint, request_s: float) -> float:
    """From the first to the last request of a point."""
    if point.num_prompts is None:
        return math.inf
    arrivals_s = 0.0 if point.request_rate is None else point.num_prompts / point.request_rate
    if point.max_concurrency is None:
        return arrivals_s
    turns = math.ceil(point.num_prompts / point.max_concurrency) - 1
    return max(arrivals_s, turns * request_s)


def duration_text(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3.2 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
