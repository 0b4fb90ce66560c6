"""Figures over the history of a case, as console text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferometer.metrics.comparing.trend import FEWEST_BEFORE, Trend, Visit
from inferometer.report.comparison import figure_title, value
from inferometer.report.sparklines import sparkline
from inferometer.report.sweep import titled
from inferometer.report.text import table

_HEADER = ("run", "created (UTC)", "value", "repeats", "z", "")


def trend_lines(trends: Sequence[Trend], *, everything: bool = False, unicode: bool = True) -> Iterator[str]:
    """A line of bars a figure and load, and the runs that are out of the ordinary; ``everything``: all runs."""
    loads: list[dict[str, object]] = []
    for trend in trends:
        loads += [] if trend.load in loads else [trend.load]
    titles = titled(loads)
    for trend in trends:
        title = titles[loads.index(trend.load)]
        yield f"{figure_title(trend.figure)} at {title}: {_words(trend)}"
        yield f"  {_bars(trend, unicode)}  {len(trend.visits)} run{'' if len(trend.visits) == 1 else 's'}"
        rows = [_row(each, trend) for each in trend.visits if everything or _told(each, trend)]
        yield from (f"  {line}" for line in table(_HEADER, rows, "<<>>><"))
        yield ""


def _bars(trend: Trend, unicode: bool) -> str:
    """Bars from just below the lowest value on, so that changes of a few percent can be seen."""
    values = [visit.value for visit in trend.visits]
    low, high = min(values), max(values)
    floor = low - max(high - low, 0.01 * high) / 4.0
    bars = sparkline([each - floor for each in values], unicode=unicode)
    least, most = value(low, trend.figure), value(high, trend.figure)
    return f"{bars}  {least}" if least == most else f"{bars}  {least} to {most}"


def _told(visit: Visit, trend: Trend) -> bool:
    out = visit.z is not None and abs(visit.z) > trend.limit
    return out or visit.new_level or visit is trend.visits[-1]


def _row(visit: Visit, trend: Trend) -> tuple[str, ...]:
    marks = []
    if visit.z is not None and abs(visit.z) > trend.limit:
        marks.append("out of the ordinary")
    if visit.new_level:
        marks.append("new level begins")
    z = "" if visit.z is None else f"{visit.z:+.1f}"
    shown = value(visit.value, trend.figure)
    return visit.run, visit.created_utc[:19], shown, str(visit.repeats), z, ", ".join(marks)


def _words(trend: Trend) -> str:
    if trend.word == "unknown":
        return f"the latest run cannot be judged: it takes {FEWEST_BEFORE} runs of its level before it"
    last = trend.visits[-1]
    return (
        f"{trend.word}: the latest run is {last.z:+.1f} standard deviations from the runs before it "
        f"(limit {trend.limit:g}, lookback {trend.lookback})"
    )
