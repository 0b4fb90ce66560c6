"""A search as text: what was found, how surely, and the load points that it rests on."""

from __future__ import annotations

import math
import re
import textwrap
from typing import NamedTuple

from inferometer.metrics.capacity import Capacity, Probe, Reading
from inferometer.metrics.targets import KneeResult, MaxBatchResult, PeakResult
from inferometer.report.max_batch import max_batch_lines, round_lines
from inferometer.report.plots.terms import load_words
from inferometer.report.targets import knee_lines, peak_lines
from inferometer.report.text import ABSENT, count, number, quantity, table
from inferometer.report.words import Words

UNITS = {"request-rate": "req/s", "session-rate": "sessions/s", "max-concurrency": "in flight"}
NAMES = {"request-rate": "rate", "session-rate": "session rate", "max-concurrency": "concurrency"}
_CHANCE = 0.05  # of having seen no failure although more fail (for many requests the rule of three)
_SPLIT = 0.95  # share of the draws from which on another limit is not worth a word


class Told(NamedTuple):
    """What a search found, for a page.

    Attributes:
        lines: of its report.
        capacity: of a search for the largest load within limits; None of others.
    """

    lines: tuple[str, ...]
    capacity: Capacity | None = None


def told_of(found: Capacity | PeakResult | KneeResult | list[MaxBatchResult], variable: str) -> Told:
    """The result of any search, and of a capacity itself."""
    return Told(tuple(answer_lines(found, variable)), found if isinstance(found, Capacity) else None)


def answer_lines(
    found: Capacity | PeakResult | KneeResult | list[MaxBatchResult], variable: str, width: int = 100
) -> list[str]:
    """The result of any search."""
    if isinstance(found, Capacity):
        return capacity_lines(found, width)
    load = {"max-concurrency": "concurrency"}.get(variable, variable.replace("-", " "))
    if isinstance(found, PeakResult):
        return peak_lines(found, load)
    if isinstance(found, KneeResult):
        return knee_lines(found, load)
    return [*max_batch_lines(found), *(line for each in found for line in ("", *round_lines(each)))]


def capacity_words(found: Capacity) -> Words:
    """The largest load within the limits, in both languages."""
    if found.status == "none":
        return Words("not at any load", "任何负载都不满足")
    if found.load is None:
        return Words("not known", "未知")
    unit = "" if found.variable == "max-concurrency" else f" {UNITS[found.variable]}"
    load = load_words(f"{NAMES[found.variable]} {_value(found, found.load)}{unit}")
    if found.status in ("at least", "client"):
        return Words(f"at least {load.en}", f"至少{load.zh}")
    return Words(f"{load.en}, unsure", f"{load.zh}，不确定") if found.status == "unsure" else load


def capacity_interval(found: Capacity) -> Words:
    """How surely it is known, and which limit is crossed first."""
    told, chinese = ["as the search found"], ["由搜索得出"]
    if found.low is not None and found.high is not None:
        ends = _value(found, found.low), _value(found, found.high)
        told.append(f"95 % interval {ends[0]} to {ends[1]}")
        chinese.append(f"95 % 区间 {ends[0]} 至 {ends[1]}")
    if found.limited_by is not None:
        told.append(f"limited by {found.limited_by}")
        chinese.append(f"受限于 {found.limited_by}")
    return Words(", ".join(told), "，".join(chinese))


def capacity_lines(found: Capacity, width: int = 100) -> list[str]:
    """The answer in a sentence, why it is not surer, and a row for each load point.

    Args:
        found: the result.
        width: columns to wrap sentences at; the table keeps its own width.
    """
    lines = [_headline(found)]
    for text in _remarks(found):
        lines += textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")
    return [*lines, "", *(f"  {line}" for line in _evidence(found))]


def probe_line(probe: Probe, variable: str) -> str:
    """One load point while the search goes on."""
    told = [_reading(reading) for reading in probe.readings]
    words = [f"probe {probe.index}", f"{_load(probe.load, variable)}: {probe.outcome}{_why(probe)}", *told]
    return "  ".join(words)


def _load(load: float, variable: str) -> str:
    unit = "" if variable == "max-concurrency" else f" {UNITS[variable]}"
    return f"{NAMES[variable]} {load:,g}{unit}"


def _headline(found: Capacity) -> str:
    unit, name = UNITS[found.variable], NAMES[found.variable]
    limited = "" if found.limited_by is None else f", limited by {_limit(found, found.limited_by)}"
    if found.status == "none":
        return f"no {name} meets the limits{limited}"
    if found.load is None:
        return f"no {name} is known to meet the limits"
    shown = _value(found, found.load)
    if found.status in ("at least", "client"):
        return f"max {name} at least {shown} {unit}"
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f" (95 % CI {_value(found, found.low)} to {_value(found, found.high)})"
    sure = "unsure: " if found.status == "unsure" else ""
    return f"{sure}max {name} {shown} {unit}{interval}{limited}"


def _value(found: Capacity, load: float) -> str:
    return f"{load:,.0f}" if found.variable == "max-concurrency" else _rate(load)


def _rate(per_s: float) -> str:
    """``12.4``, ``1,234``: three significant digits, or all before the point."""
    return f"{per_s:,.{max(2 - math.floor(math.log10(per_s)), 0)}f}" if per_s > 0 else "0"


def _limit(found: Capacity, slo: str) -> str:
    """What is limited, without its limit; with it where the same is limited twice."""
    names = {
        each.slo: re.split("[<>]", each.slo)[0].strip() for probe in found.probes for each in probe.readings
    }
    name = names.get(slo, slo)
    return name if list(names.values()).count(name) == 1 else slo


def _remarks(found: Capacity) -> list[str]:
    told = [found.why] if found.why else []
    told += _shown(found)
    if found.limited_share is not None and found.limited_share < _SPLIT:
        told.append(
            f"{_limit(found, str(found.limited_by))} is crossed first in {found.limited_share:.0%} of repetitions "
            "within the noise, another limit in the others"
        )
    if found.carried_per_s is not None and found.variable != "max-concurrency":
        told.append(
            f"more came in than the server carried at some load points: it completed {_rate(found.carried_per_s)} req/s"
        )
    invalid = sum(1 for probe in found.probes if probe.outcome == "client")
    if invalid:
        say = "load point says" if invalid == 1 else "load points say"
        told.append(f"{invalid} {say} nothing about the server: the client was the limit")
    return told


def _shown(found: Capacity) -> list[str]:
    """Of a limit on failures what so many requests show, where that is less than the limit says."""
    if found.load is None:
        return []
    told = []
    seen = [reading for probe in found.probes if probe.load <= found.load for reading in probe.readings]
    for slo in dict.fromkeys(reading.slo for reading in seen if reading.slo.startswith("failed")):
        of_limit = [reading for reading in seen if reading.slo == slo]
        count_, failed = sum(each.values for each in of_limit), sum(each.beyond or 0 for each in of_limit)
        bound = 1.0 - _CHANCE ** (1.0 / count_) if count_ else 1.0
        if failed == 0 and bound > of_limit[0].limit:
            told.append(
                f"{slo}: none of {count_:,} requests failed at loads up to there, which by itself shows only that no "
                f"more than {100 * bound:.2g} % fail (95 %)"
            )
    return told


def _evidence(found: Capacity) -> list[str]:
    slos = list(dict.fromkeys(reading.slo for probe in found.probes for reading in probe.readings))
    header = [UNITS[found.variable], "point", "requests", *slos, "req/s done", "says"]
    rows = []
    for probe in sorted(found.probes, key=lambda probe: (probe.load, probe.repeat)):
        readings = {reading.slo: reading for reading in probe.readings}
        cells = [_cell(readings.get(slo)) for slo in slos]
        done = number(probe.request_throughput_per_s)
        rows.append(
            [
                f"{probe.load:,g}",
                str(probe.index),
                count(probe.requests),
                *cells,
                done,
                probe.outcome + _why(probe),
            ]
        )
    return table(header, rows, ">" * (len(header) - 1) + "<")


def _why(probe: Probe) -> str:
    return f" ({probe.why})" if probe.why else ""


def _cell(reading: Reading | None) -> str:
    """What was measured, with its interval; where that is not known, how many were beyond the limit."""
    if reading is None or reading.measured is None:
        return ABSENT
    if reading.low is not None and reading.high is not None and reading.enough:
        low, high = _number(reading, reading.low), _number(reading, reading.high)
        return f"{_number(reading, reading.measured)} ({low} to {high})"
    if reading.beyond is not None:
        return f"{count(reading.beyond)} of {count(reading.values)} beyond"
    return _number(reading, reading.measured)


def _number(reading: Reading, value: float) -> str:
    return f"{100 * value:.3g} %" if reading.unit == "share" else number(value)


def _reading(reading: Reading) -> str:
    if reading.measured is None:
        return f"{reading.slo}: no value"
    if not reading.enough and reading.beyond is not None:
        return f"{reading.slo}: {count(reading.beyond)} of {count(reading.values)} beyond"
    return f"{reading.slo}: {quantity(reading.measured, reading.unit)}"
