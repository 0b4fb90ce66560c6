"""Our own table: one row a load, latencies from the planned time, everything with its unit."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.percentiles import percentile_name
from inferometer.report.tables.cells import Make, Values, count_of, failed, mean_of, percentile_of
from inferometer.report.tables.measured import Measured
from inferometer.report.tables.model import Cell, Column, Style
from inferometer.spec import load_title

_LATENCIES: tuple[tuple[str, Values], ...] = (
    ("TTFT", lambda d: d.ttft_ms),
    ("TPOT", lambda d: d.tpot_ms),
    ("ITL", lambda d: d.itl_ms),
    ("E2EL", lambda d: d.e2el_ms),
)
_RATES = (
    ("request_throughput_per_s", "req/s", "req/s"),
    ("input_throughput_per_s", "in tok/s", "tok/s"),
    ("output_throughput_per_s", "out tok/s", "tok/s"),
    ("total_throughput_per_s", "total tok/s", "tok/s"),
)
_OPTIONAL = (
    ("steady_output_throughput_per_s", "steady out tok/s", "tok/s"),
    ("input_throughput_per_node_per_s", "in tok/s per node", "tok/s"),
    ("output_throughput_per_node_per_s", "out tok/s per node", "tok/s"),
    ("output_throughput_per_device_per_s", "out tok/s per device", "tok/s"),
    ("goodput_per_s", "goodput req/s", "req/s"),
    ("attainment", "SLO attainment", "share"),
    ("cached_share", "cached share", "share"),
    ("concurrency_mean", "in flight, mean", ""),
)

_ASKED = (
    ("max_concurrency", ""),
    ("request_rate", "req/s"),
    ("input_len", "tokens"),
    ("output_len", "tokens"),
    ("num_prompts", ""),
)


def _asked(name: str) -> Make:
    return lambda row: Cell(row.load.get(name))


def _value(key: str) -> Make:
    """A number of the summary, the mean over repeats; None when a repeat has it not."""

    def make(row: Measured) -> Cell:
        values = [point.values.get(key) for point in row.points]
        known = [value for value in values if value is not None]
        return Cell(sum(known) / len(known) if known and len(known) == len(values) else None)

    return make


def _spread(key: str, place: str) -> Make:
    """One side of the interval of a figure, or half its width; None where it is not known."""

    def make(row: Measured) -> Cell:
        estimate = row.row.estimates.get(key)
        return Cell(None if estimate is None else getattr(estimate, place))

    return make


def _rates(rows: Sequence[Measured]) -> list[Column]:
    """Rates; where loads were repeated with their 95 % intervals, in text as +- behind output throughput."""
    repeated = any(len(row.points) > 1 for row in rows)
    made = []
    for key, title, unit in _RATES:
        made.append(Column(title, _value(key), unit, name=key))
        if repeated and key == "output_throughput_per_s":
            made.append(Column("+- 95 %", _spread(key, "half_width"), unit, name=f"half_width_{key}"))
        if repeated:
            made += [
                Column(f"{title} {side}", _spread(key, side), unit, name=f"{side}_{key}", files_only=True)
                for side in ("low", "high")
            ]
    return made


def _latency(name: str, values: Values, percentiles: Sequence[float]) -> list[Column]:
    """Mean and percentiles of one latency, from the planned time."""
    key = f"{name.lower()}_ms"
    mean = _else_stated(mean_of(values, origin="planned"), f"{key}.mean")
    made = [Column(f"{name} mean ms", mean, "ms", name=f"mean_{key}", optional=True)]
    for p in percentiles:
        shown = percentile_name(p)
        found = _else_stated(percentile_of(values, p, origin="planned"), f"{key}.{shown}")
        made.append(Column(f"{name} {shown} ms", found, "ms", name=f"{shown}_{key}", optional=True))
    return made


def _else_stated(make: Make, key: str) -> Make:
    """What another tool stated, where its run was imported without the requests to compute it from."""

    def made(row: Measured) -> Cell:
        cell, stated = make(row), row.row.estimates.get(key)
        if cell.value is not None or row.run.imported is None or stated is None:
            return cell
        return Cell(stated.mean)

    return made


def _columns(sheet: str, rows: Sequence[Measured]) -> list[Column]:
    alike = len({(row.run.run_id, load_title(row.load)) for row in rows}) < len(rows)
    percentiles = sorted({p for row in rows for p in row.run.percentiles})
    return [
        Column("load", lambda row: Cell(load_title(row.load, lengths=alike)), name="load"),
        *(
            Column(name, _asked(name), unit, 0, "as asked", files_only=True, optional=True)
            for name, unit in _ASKED
        ),
        Column("repeats", _repeats, decimals=0, optional=True),
        Column("ok", count_of(lambda p: p.counts.ok), "", 0, "successful requests", "ok_requests"),
        Column("failed", failed, "", 0, "failed requests", "failed_requests", failures=True),
        *_rates(rows),
        *(column for name, values in _LATENCIES for column in _latency(name, values, percentiles)),
        *(
            Column(title, _value(key), unit, 4 if unit == "share" else 2, name=key, optional=True)
            for key, title, unit in _OPTIONAL
        ),
    ]


def _repeats(row: Measured) -> Cell:
    """How often the load was measured; nothing for once."""
    return Cell(len(row.points) if len(row.points) > 1 else None)


OURS = Style(
    name="ours",
    about="our own columns: rates, latencies from the planned time with the percentiles asked for",
    sheets=(("load_points", lambda row: True),),
    columns=_columns,
    notes=(
        "Latencies count from the planned time. What each number means: inferometer metrics explain NAME.",
    ),
    strict=True,
    grouped=True,
)
