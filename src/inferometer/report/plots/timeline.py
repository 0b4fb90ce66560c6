"""Requests over time, each on a lane of its own: what waited, what stalled, and what ended when."""

from __future__ import annotations

import numpy as np

from inferometer.metrics.concurrency import spans
from inferometer.metrics.lanes import lanes
from inferometer.metrics.latency import NS_PER_S, Bools, Floats, Ints
from inferometer.record.tables import PointTable
from inferometer.report.plots.model import Gantt
from inferometer.report.plots.place import Place
from inferometer.report.plots.sizes import evenly
from inferometer.report.plots.terms import REQUESTS, TIME, joined
from inferometer.report.words import Words

MOST_BARS = 20_000
_MOST_LANES = 256
_LABEL = 80  # characters of an error


def gantt(place: Place, most: int = MOST_BARS) -> Gantt | None:
    """The requests of a load point that were sent; None without any.

    Of more than ``most`` of them whole lanes are left out, down to 256, then time from the middle on.
    """
    table = place.table
    sent = np.flatnonzero(~np.isnan(table.number("sent_ns")))
    if not len(sent):
        return None
    start, end = spans(table)
    planned = table.number("planned_ns")[sent]
    lane = lanes(np.fmin(planned, start), end)
    kept, note = _thinned(lane, start, most)
    rows = sent[kept]
    ok = np.asarray(table.text("status")[rows] == "ok", dtype=bool)
    never = len(table.number("sent_ns")) - len(sent)
    unsent = Words(f"{never:,} requests were never sent.", f"{never:,} 个请求未发出。") if never else None
    return Gantt(
        key=place.key("timeline"),
        title=Words("What waited or stalled, and when?", "什么时候在等待或停顿？"),
        x=TIME,
        lane=lane[kept].astype(np.float64),
        index=table.number("index")[rows],
        planned=planned[kept] / NS_PER_S,
        sent=start[kept] / NS_PER_S,
        first=table.number("first_token_ns")[rows] / NS_PER_S,
        last=table.number("last_token_ns")[rows] / NS_PER_S,
        end=end[kept] / NS_PER_S,
        ok=ok.astype(np.float64),
        n=len(sent),
        of=REQUESTS,
        label=() if ok.all() else _labels(table, rows, ok),
        marks=place.window,
        note=joined(note, unsent),
        link=place.link,
    )


def _thinned(lane: Ints, start: Floats, most: int) -> tuple[Ints, Words | None]:
    """Which spans are drawn, and what a reader has to know of that."""
    count, number = len(lane), int(lane.max()) + 1
    if count <= most:
        return np.arange(count), None
    wanted = max(int(number * most / count), min(_MOST_LANES, number))
    drawn = evenly(number, min(wanted, number))
    kept = np.flatnonzero(np.isin(lane, drawn))
    told = [
        Words(
            f"{len(drawn):,} of {number:,} lanes are drawn", f"画出 {number:,} 条通道中的 {len(drawn):,} 条"
        )
    ]
    if len(kept) > most:
        begun = kept[np.argsort(start[kept], kind="stable")]
        first = (len(begun) - most) // 2
        kept = np.sort(begun[first : first + most])
        at_s = start[kept] / NS_PER_S
        span = f"{at_s.min():,.1f}-{at_s.max():,.1f} s"
        told.append(Words(f"requests sent at {span}", f"{span} 间发出的请求"))
    text = Words(", ".join(word.en for word in told), "，".join(word.zh for word in told))
    drawn_of = f"{len(kept):,} of {count:,}"
    return kept, Words(
        f"Thinned: {drawn_of} requests, {text.en}.", f"已抽稀：{len(kept):,} / {count:,} 个请求，{text.zh}。"
    )


def _labels(table: PointTable, rows: Ints, ok: Bools) -> tuple[str, ...]:
    status, error = table.text("status")[rows], table.text("error")[rows]
    return tuple(
        "ok" if good else f"{state}: {text[:_LABEL]}" if text else str(state)
        for good, state, text in zip(ok.tolist(), status, error, strict=True)
    )
