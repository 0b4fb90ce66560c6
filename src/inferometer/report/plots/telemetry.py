"""What was sampled beside the load: devices, hosts and engines, on the time axis of the requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import NS_PER_S, Bools
from inferometer.report.plots.model import Axis, Chart, Role, Series
from inferometer.report.plots.place import Place
from inferometer.report.plots.sizes import extremes
from inferometer.report.plots.terms import SAMPLES, TIME
from inferometer.report.words import Words, same

CLIENT, ENGINE = "client/", "engine/"
_ROLES: tuple[Role, ...] = ("main", "second", "third")
# Ending of a name, unit to show, factor to it; the first that fits.
_UNITS = (
    ("_bytes_per_s", "MB/s", 1e-6),
    ("_tokens_per_s", "tok/s", 1.0),
    ("_requests_per_s", "req/s", 1.0),
    ("_per_s", "1/s", 1.0),
    ("_share", "%", 100.0),
    ("_percent", "%", 1.0),
    ("_bytes", "GiB", 2.0**-30),
    ("_watts", "W", 1.0),
    ("_w", "W", 1.0),
    ("_joules", "J", 1.0),
    ("_celsius", "°C", 1.0),
    ("_c", "°C", 1.0),
    ("_mhz", "MHz", 1.0),
    ("_tokens", "tokens", 1.0),
    ("_ms", "ms", 1.0),
    ("_s", "s", 1.0),
)


class Quantity(NamedTuple):
    """What a series counts.

    Attributes:
        what: its name without the unit, in words.
        unit: to be shown.
        factor: from what was recorded.
    """

    what: str
    unit: str
    factor: float


def quantity_of(name: str) -> Quantity:
    """The unit at the end of a name ("memory_used_bytes"); a plain number where there is none."""
    for ending, unit, factor in _UNITS:
        if name.endswith(ending):
            return Quantity(name.removesuffix(ending).replace("_", " "), unit, factor)
    return Quantity(name.replace("_", " "), "", 1.0)


def telemetry_charts(place: Place) -> tuple[Chart, ...]:
    """What was sampled during a load point of anything but the load generator, which has pictures of its own.

    One chart a name, one line a source; of engines one chart a unit, for what runs, waits and fills the cache is read
    together.
    """
    telemetry = place.telemetry
    own = np.asarray(telemetry.point == place.index, dtype=bool)
    if not own.any():
        return ()
    pairs = sorted(set(zip(telemetry.source[own].tolist(), telemetry.name[own].tolist(), strict=True)))
    return tuple(_charts(place, own, [pair for pair in pairs if not pair[0].startswith(CLIENT)]))


def _charts(place: Place, own: Bools, pairs: Sequence[tuple[str, str]]) -> Iterator[Chart]:
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, name in pairs:
        room = source.partition("/")[0]
        what = quantity_of(name).unit if source.startswith(ENGINE) else name
        groups.setdefault((room, what), []).append((source, name))
    for (room, what), members in sorted(groups.items()):
        together = f"{room}/" == ENGINE
        quantity = quantity_of(members[0][1])
        series = [_series(place, own, pair, together=together, place_in=k) for k, pair in enumerate(members)]
        shown = Words("engine", "引擎") if together else same(quantity.what)
        stem = f"{room}_{what or 'count'}".replace("/", "_per_").replace("%", "percent").replace("°", "")
        yield Chart(
            key=place.key(stem),
            title=Words(f"What did the {room} do? ({shown.en})", f"{room} 的状态（{shown.zh}）"),
            x=TIME,
            y=Axis(shown, quantity.unit),
            series=tuple(series),
            marks=place.window,
            n=sum(each.n or 0 for each in series),
            of=SAMPLES,
            note=Words(
                "Long lines: smallest and largest value of each part.", "较长的曲线：每段保留最小值与最大值。"
            )
            if any((each.n or 0) > len(each.x) for each in series)
            else None,
            link=place.link,
        )


def _series(place: Place, own: Bools, pair: tuple[str, str], *, together: bool, place_in: int) -> Series:
    source, name = pair
    telemetry = place.telemetry
    rows = own & np.asarray((telemetry.source == source) & (telemetry.name == name), dtype=bool)
    quantity = quantity_of(name)
    at_s = (telemetry.at_ns[rows] - (place.table.point.epoch_ns or 0)) / NS_PER_S
    values = telemetry.value[rows] * quantity.factor
    kept = extremes(values)
    told = f"{quantity.what} ({source.removeprefix(ENGINE)})" if together else source
    return Series(
        name=same(told),
        x=at_s[kept],
        y=values[kept],
        draw="line",
        role=_ROLES[place_in] if place_in < len(_ROLES) else "quiet",
        n=int(rows.sum()),
    )
