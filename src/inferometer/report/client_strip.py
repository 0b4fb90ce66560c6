"""The client-health strip of a report: whether the load generator can be trusted, one row a worker."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.client_health import Client, Lag, WorkerHealth
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.verdict import Condition, Word
from inferometer.report.text import count, number, paint, table

_UNKNOWN = "-"
_LEVELS = " .:-=+*#"
_HEADER = (
    "worker",
    "CPU %",
    "wait %",
    "send lag ms",
    "receive lag ms",
    "turn ms",
    "backlog",
    "switch/s",
    "RSS",
)
# Conditions that a column is the evidence of, and those that belong to the heading.
_OF_CPU = ("client CPU",)
_OF_WAIT = ("client host busy",)
_OF_SENDS = ("send lag", "latest send")
_OF_READS = ("receive lag", "chunk times")
_OF_CLOCK = ("clock", "clock error")
_OF_WORKERS = ("workers",)
_OWN = (*_OF_CPU, *_OF_WAIT, *_OF_SENDS, *_OF_READS, *_OF_CLOCK, *_OF_WORKERS)


def most_strained(points: Sequence[PointSummary]) -> int | None:
    """Place of the load point on which the client did worst: failed conditions first, then CPU; None without any."""
    places = [place for place, point in enumerate(points) if point.client.workers]

    def strain(place: int) -> tuple[int, float]:
        broken = _broken(points[place])
        hard = any(condition.level == "hard" for condition in broken)
        return 2 if hard else bool(broken), points[place].client.cpu_share or 0.0

    return max(places, key=strain, default=None)


def client_strip(point: PointSummary, heading: str, title: str = "", *, colour: bool = False) -> list[str]:
    """The strip of one load point: a heading, a row a worker, and how to read it.

    Args:
        point: the load point; its client has at least one worker.
        heading: what the strip is called.
        title: which load point it is, where there are several.
        colour: ANSI colour for a heading whose conditions do not all hold.
    """
    client, broken = point.client, _broken(point)
    names = {condition.name for condition in broken}
    first = f"{heading}: {_heading(client, names)}{f', at {title}' if title else ''}"
    if broken:
        word: Word = "INVALID" if any(condition.level == "hard" for condition in broken) else "WARN"
        first = paint(first, word, colour)
    rows = table(_HEADER, _rows(client.each, names), "<>>>>>>>>")
    legend = f"lags p50/p99/max, turn p99/max; M = MiB; {_UNKNOWN} not known"
    lines = [first, *(f"  {row}" for row in rows), f"  {legend}{'; ! does not hold' if broken else ''}"]
    busiest = max(client.each, key=lambda worker: worker.cpu_share or 0.0)
    if len(busiest.cpu_over_time) > 1:
        whose = f" of worker {busiest.worker}" if len(client.each) > 1 else ""
        lines.append(f"  CPU{whose} over time, 0 to 100 %: |{bars(busiest.cpu_over_time)}|")
    return lines


def bars(shares: Sequence[float]) -> str:
    """A character a value, of eight that grow darker from 0 to 1."""
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[max(0, min(top, round(share * top)))] for share in shares)


def _broken(point: PointSummary) -> list[Condition]:
    return [condition for condition in point.verdict.failed if condition.name in _OWN]


def _heading(client: Client, broken: set[str]) -> str:
    workers = f"{client.workers} worker{'s' if client.workers != 1 else ''}"
    if client.workers != client.workers_asked:
        workers = f"{client.workers} of {client.workers_asked} workers"
    realtime = bool(client.each) and all(worker.realtime for worker in client.each)
    parts = [
        _marked(workers, _OF_WORKERS, broken) + (" at real-time priority" if realtime else ""),
        f"{client.receive_clock or 'unknown'} receive times",
    ]
    if client.clock_error_ms is not None:
        parts.append(_marked(f"clock error {number(client.clock_error_ms * 1e3, 1)} us", _OF_CLOCK, broken))
    return ", ".join(parts)


def _rows(workers: Sequence[WorkerHealth], broken: set[str]) -> list[list[str]]:
    cpu, wait = [w.cpu_share for w in workers], [w.run_queue_wait_share for w in workers]
    sends, reads = [w.send_lag_ms for w in workers], [w.receive_lag_ms for w in workers]
    columns = [
        [str(w.worker) if w.cpu is None else f"{w.worker} cpu{w.cpu}" for w in workers],
        _column([_percent(share) for share in cpu], cpu, bool(broken.intersection(_OF_CPU))),
        _column([_percent(share) for share in wait], wait, bool(broken.intersection(_OF_WAIT))),
        _column(
            [_lag(lag) for lag in sends], [lag.max for lag in sends], bool(broken.intersection(_OF_SENDS))
        ),
        _column(
            [_lag(lag) for lag in reads], [lag.max for lag in reads], bool(broken.intersection(_OF_READS))
        ),
        [f"{_ms(w.loop_turn_p99_ms)}/{_ms(w.loop_turn_max_ms)}" for w in workers],
        [f"{number(w.backlog_peak_bytes / 2**20, 1)}M {number(w.backlog_peak_age_s)}s" for w in workers],
        [_UNKNOWN if (n := w.context_switches_per_s) is None else count(n) for w in workers],
        [_UNKNOWN if (n := w.rss_peak_bytes) is None else f"{count(n / 2**20)}M" for w in workers],
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(texts: list[str], values: Sequence[float | None], broken: bool) -> list[str]:
    """The cells of a column; where its condition does not hold, the worst of them is marked."""
    if broken:
        worst = max(range(len(values)), key=lambda place: values[place] or 0.0)
        texts[worst] += "!"
    return texts


def _marked(text: str, names: tuple[str, ...], broken: set[str]) -> str:
    return f"{text}!" if broken.intersection(names) else text


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else number(share * 100, 1)


def _lag(lag: Lag) -> str:
    return "/".join(_ms(value) for value in (lag.p50, lag.p99, lag.max))


def _ms(value: float | None) -> str:
    """Some three digits: 0.05, 1.20, 12.3, 123."""
    if value is None:
        return _UNKNOWN
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"
