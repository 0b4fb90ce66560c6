"""What a reader found in other tools' files, before it is a run folder; and what it has taken of an object."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import msgspec

from inferometer.record.imported import ImportedPoint, ImportedStat
from inferometer.record.types import Status

_NUMBER = re.compile(r"^\s*([-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s].*)?$")


_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "http_status", "turn")
_MOST = 10**12
_LARGEST_WHOLE = 2**63 - 1  # that files of ours hold as whole numbers
_LARGEST = 10**300
_LONGEST_S = 1e8  # three years


class FoundRequest(msgspec.Struct, kw_only=True):
    """One request as another tool recorded it; what it did not record is None.

    Attributes:
        start_s: when it was sent, on any axis that all requests of the load point share.
        ttft_s, e2el_s: from the send to the first and to the last output, seconds.
        end_s: from the send to the end of the exchange, where that differs from the last output.
        gaps_s: between consecutive chunks after the first; None = chunks are not listed.
    """

    start_s: float | None = None
    ttft_s: float | None = None
    ttfat_s: float | None = None
    e2el_s: float | None = None
    end_s: float | None = None
    gaps_s: Sequence[float] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    status: Status = "ok"
    http_status: int | None = None
    error: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    session: str | None = None
    turn: int = 0


@dataclass
class FoundPoint:
    """One load point.

    Attributes:
        load: what of ``inferometer.spec.LoadPoint`` is known of it.
        reported: what the tool stated; its ``point`` is set when the run is written.
        requests: one by one, where the files list them.
        series: time series as (name, source, at_s, value).
    """

    load: dict[str, Any]
    reported: ImportedPoint
    requests: list[FoundRequest] = field(default_factory=list)
    series: list[tuple[str, str, float, float]] = field(default_factory=list)


@dataclass
class Found:
    """A run.

    Attributes:
        tool, version, format: see ``record.imported.Imported``.
        model: its name; "unknown" where the files do not say.
        created_utc: when it was measured, ISO 8601; None = not told.
        simulated: whether the file itself says that no server was measured.
    """

    tool: str
    format: str
    points: list[FoundPoint]
    version: str | None = None
    model: str = "unknown"
    created_utc: str | None = None
    simulated: bool = False
    notes: list[str] = field(default_factory=list)
    stated: dict[str, Any] = field(default_factory=dict)


class Taken:
    """An object of a file, of which a reader takes what has a word of ours; what is left is ``rest``.

    That way nothing is lost: a number is either taken, and then stands in ``values`` or ``stats`` by our key and in
    our unit, or it stays under the tool's own name.

    Args:
        content: the object; it is not changed.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._left = dict(content)
        self.values: dict[str, float] = {}
        self.stats: dict[str, ImportedStat] = {}

    def peek(self, *names: str) -> Any:
        """The first of these that is there and no null; it stays."""
        return next((self._left[name] for name in names if self._left.get(name) is not None), None)

    def take(self, *names: str) -> Any:
        """The first of these that is there and no null; it is gone afterwards."""
        found = next((name for name in names if self._left.get(name) is not None), None)
        return None if found is None else self._left.pop(found)

    def number(self, *names: str, scale: float = 1.0) -> float | None:
        """The first of these that is a number, times ``scale``; what is none stays."""
        for name in names:
            value = number_of(self._left.get(name))
            if value is not None:
                del self._left[name]
                return value * scale
        return None

    def whole(self, *names: str) -> int | None:
        """The first of these that is a whole number; what is none stays."""
        for name in names:
            value = number_of(self._left.get(name))
            if value is not None and value.is_integer():
                del self._left[name]
                return int(value)
        return None

    def text(self, *names: str) -> str | None:
        """The first of these that is a text and not empty; it stays."""
        return next(
            (self._left[n] for n in names if isinstance(self._left.get(n), str) and self._left[n]), None
        )

    def value(self, key: str, *names: str, scale: float = 1.0) -> float | None:
        """Take a number into ``values`` under our key."""
        found = self.number(*names, scale=scale)
        if found is not None:
            self.values[key] = found
        return found

    def stat(self, key: str, names: Mapping[str, str], *, scale: float = 1.0, **more: Any) -> None:
        """Take the statistics of one metric into ``stats`` under our key; nothing when none is there.

        Args:
            key: ours (``ttft_ms``).
            names: of the object's fields, by statistic: "mean", "std", "min", "max", or a percentile ("99").
            scale: from its unit to ours.
            more: of ``ImportedStat``: count, definition.
        """
        found = {place: self.number(name, scale=scale) for place, name in names.items()}
        stat = stat_of({place: value for place, value in found.items() if value is not None}, **more)
        if stat is not None:
            self.stats[key] = stat

    def keep(self, name: str, rest: dict[str, Any]) -> None:
        """Put back what is left of an object of which a part was taken; nothing when nothing is."""
        self._left.pop(name, None)
        if rest:
            self._left[name] = rest

    def rest(self, *without: str) -> dict[str, Any]:
        """What was not taken, as JSON can hold it; ``without`` these names."""
        return {name: plain(value) for name, value in self._left.items() if name not in without}


def stat_of(found: Mapping[str, float], **more: Any) -> ImportedStat | None:
    """Statistics by place ("mean", "std", "min", "max", or a percentile); None when there are none."""
    if not found:
        return None
    named = {place: found[place] for place in ("mean", "std", "min", "max") if place in found}
    percentiles = {place: value for place, value in found.items() if place not in named}
    return msgspec.structs.replace(ImportedStat(percentiles=percentiles, **more), **named)


def number_of(value: Any) -> float | None:
    """A finite number; also one written as text, with thousands commas; None for everything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    return quantity_of(value)[0] if isinstance(value, str) and quantity_of(value)[1] == "" else None


def int_of(value: Any) -> int | None:
    """A number without what stands behind its point; None for what is no number."""
    number = number_of(value)
    return None if number is None else int(number)


def quantity_of(text: str) -> tuple[float | None, str]:
    """Number and unit of one cell: ``"81778.9 ms"`` -> (81778.9, "ms"); (None, text) when it begins with no number."""
    found = _NUMBER.match(text)
    number = None if found is None else float(found[1].replace(",", ""))
    if found is None or number is None or not math.isfinite(number):
        return None, text.strip()
    return number, (found[2] or "").strip()


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numbers that are none ("NaN", "Infinity") as text, unknown types as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_WHOLE:
        return float(value) if abs(value) < _LARGEST else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def is_marked(found: Found) -> bool:
    """Whether a file says of itself that no server was measured, as our exports of simulated runs do in any format."""
    labels = {source for point in found.points for _, source, _, _ in point.series}
    stated = [point.reported.stated for point in found.points]
    return _marked([found.model, found.stated, stated]) or any('simulated="true"' in each for each in labels)


def _marked(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            (name == "simulated" and str(each).lower() in ("true", "yes", "1")) or _marked(each)
            for name, each in value.items()
        )
    if isinstance(value, list):
        return any(map(_marked, value))
    return isinstance(value, str) and (
        value == "simulated" or "(simulated)" in value or value.endswith("-simulated")
    )


def checked(point: FoundPoint) -> FoundPoint:
    """The load point, where all that stands in it is of its type and can be kept.

    Raises:
        ValueError: it is not; names the field.
    """
    requests = msgspec.convert(msgspec.to_builtins(point.requests), list[FoundRequest])
    for number, request in enumerate(requests):
        _check(f"request {number}", {name: getattr(request, name) for name in _COUNTS}, _MOST)
        times = {name: getattr(request, name) for name in ("ttft_s", "ttfat_s", "e2el_s", "end_s")}
        gaps = (
            {"gaps_s": max(request.gaps_s), "shortest of gaps_s": min(request.gaps_s)}
            if request.gaps_s
            else {}
        )
        _check(f"request {number}", {**times, **gaps}, _LONGEST_S)
    starts = [request.start_s for request in requests if request.start_s is not None]
    _check("send times", {"span": max(starts) - min(starts) if starts else None}, _LONGEST_S)
    reported = _without_zeros(msgspec.convert(msgspec.to_builtins(point.reported), ImportedPoint))
    _check("load", {n: v for n, v in point.load.items() if isinstance(v, (int, float))}, _MOST)
    _check("load point", {"completed": reported.completed, "failed": reported.failed}, _MOST)
    _check("load point", {"duration_s": reported.duration_s}, _LONGEST_S)
    return FoundPoint(point.load, reported, requests, point.series)


def _without_zeros(reported: ImportedPoint) -> ImportedPoint:
    """With latencies of 0 among what is only stated: tools write them where they measured none.

    Such as the TPOT of one token, and the gaps of an answer that was not streamed.
    """
    zeros = {key: stat for key, stat in reported.stats.items() if key.endswith("_ms") and _is_zero(stat)}
    if not zeros:
        return reported
    stats = {key: stat for key, stat in reported.stats.items() if key not in zeros}
    stated = {**reported.stated, "0, as nothing was measured": msgspec.to_builtins(zeros)}
    return msgspec.structs.replace(reported, stats=stats, stated=stated)


def _is_zero(stat: ImportedStat) -> bool:
    figures = (stat.mean, stat.min, stat.max, *stat.percentiles.values())
    return not any(figures) and any(figure == 0 for figure in figures)


def _check(what: str, values: Mapping[str, float | None], most: float) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{what}: {name} is {value:g}, which is not between 0 and {most:g}")


def load_of(**known: Any) -> dict[str, Any]:
    """A load as ``PointRecord.load`` holds it, of what is known; infinity is "inf"."""
    load = {
        "max_concurrency": None,
        "request_rate": None,
        "num_prompts": None,
        "input_len": None,
        "output_len": None,
    }
    rate = known.get("request_rate")
    if isinstance(rate, float) and math.isinf(rate):
        known["request_rate"] = "inf"
    return {**load, "burstiness": 1.0, **known}


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None when one is not known, or there is none."""
    listed = list(values)
    return None if not listed or None in listed else sum(value for value in listed if value is not None)


def utc_of(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601; None where that is no time."""
    try:
        return (
            None
            if seconds is None
            else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
        )
    except (ValueError, OverflowError, OSError):
        return None
