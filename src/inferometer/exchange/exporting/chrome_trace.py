"""Chrome's trace format, which ui.perfetto.dev and chrome://tracing open: every request as slices, and counters.

``ts`` and ``dur`` are microseconds. A process (``pid``) is a load point on a node that sent; a thread (``tid``) is a
slot, in which no two requests overlap. A request is a slice with three below it: waiting for a permit, the prompt
until the first output, and the output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import json_bytes
from inferometer.metrics.curves import output_curve
from inferometer.metrics.lanes import lanes
from inferometer.metrics.latency import Floats, Ints, PointData
from inferometer.metrics.views.clocks import first_known
from inferometer.record.tables import PointTable

_NS_PER_US = 1e3
_RATE_BINS = 200
_PIDS_A_POINT = 1000  # more nodes than that send no load


def chrome_trace_files(source: Source) -> list[Made]:
    """One trace with all load points."""
    return [Made(PurePosixPath("trace.json"), chrome_trace_joined(source, ".json"))]


def chrome_trace_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    first_ns = min(table.point.epoch_ns or 0 for table in source.tables)
    events: list[dict[str, Any]] = []
    for table, name in zip(source.tables, unique_names(source.tables), strict=True):
        events += _point(source, table, name, float((table.point.epoch_ns or 0) - first_ns))
    content = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "tool": "inferometer",
            "version": source.meta.environment.get("inferometer"),
            "run": source.meta.run_id,
            "model": source.meta.model,
            **source.flags(),
        },
    }
    return json_bytes(content, indent=None)


def _point(source: Source, table: PointTable, name: str, offset_ns: float) -> Iterator[dict[str, Any]]:
    start_ns = first_known(table.number("planned_ns"), table.number("sent_ns"))
    end_ns = first_known(
        table.number("end_ns"), table.number("last_token_ns"), table.number("sent_ns"), start_ns
    )
    end_ns = np.maximum(end_ns, start_ns)
    drawn = np.flatnonzero(~np.isnan(start_ns))
    node, counts = _nodes(source, table), _tokens(table)
    first_pid = table.point.index * _PIDS_A_POINT
    for number in np.unique(node[drawn]).tolist():
        rows = drawn[node[drawn] == number]
        slots = lanes(start_ns[rows], end_ns[rows])
        pid = first_pid + int(number) + 1
        yield from _names(source, (pid, int(number)), name, slots)
        for row, slot in zip(rows.tolist(), slots.tolist(), strict=True):
            found = {name: int(values[row]) for name, values in counts.items() if not math.isnan(values[row])}
            yield from _request(table, row, (pid, slot + 1), offset_ns, found)
    yield from _counters(table, first_pid + 1, offset_ns)


def _nodes(source: Source, table: PointTable) -> Ints:
    """The number of the node that sent each request: 0 where there is one."""
    owner = {worker: place for place, node in enumerate(source.meta.nodes) for worker in node.workers}
    workers = table.number("worker").tolist()
    return np.asarray([owner.get(int(worker), 0) for worker in workers], dtype=np.int64)


def _names(source: Source, where: tuple[int, int], name: str, slots: Ints) -> Iterator[dict[str, Any]]:
    pid, number = where
    nodes = source.meta.nodes
    on = f" on {nodes[number].name}" if number < len(nodes) else ""
    titled = source.marked(f"{name}{on}")
    yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": titled}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": pid}}
    for slot in range(int(slots.max()) + 1 if len(slots) else 0):
        yield {
            "ph": "M",
            "name": "thread_name",
            "pid": pid,
            "tid": slot + 1,
            "args": {"name": f"slot {slot + 1}"},
        }


def _request(
    table: PointTable, row: int, where: tuple[int, int], offset_ns: float, tokens: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """The slice of a request, and those of its parts that are known."""
    moments = {
        name: float(table.number(f"{name}_ns")[row])
        for name in ("planned", "sent", "first_token", "last_token", "end")
    }
    known = [value for value in moments.values() if not math.isnan(value)]
    status = str(table.text("status")[row])
    index = int(table.number("index")[row])
    yield _slice(f"request {index}", status, where, (min(known) + offset_ns, max(known) + offset_ns)) | {
        "args": {"status": status, **tokens, **_texts(table, row)}
    }
    parts = (
        ("wait", "planned", "sent"),
        ("prefill", "sent", "first_token"),
        ("decode", "first_token", "last_token"),
    )
    for name, begin, end in parts:
        span = (moments[begin], moments[end])
        if not math.isnan(span[0] + span[1]) and span[1] > span[0]:
            yield _slice(name, name, where, (span[0] + offset_ns, span[1] + offset_ns))


def _slice(name: str, category: str, where: tuple[int, int], span_ns: tuple[float, float]) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": where[0],
        "tid": where[1],
        "ts": span_ns[0] / _NS_PER_US,
        "dur": (span_ns[1] - span_ns[0]) / _NS_PER_US,
    }


def _tokens(table: PointTable) -> dict[str, Floats]:
    """Tokens of each request: the server's count, else the client's."""
    return {
        name: first_known(table.number(f"{name}_server"), table.number(f"{name}_client"))
        for name in ("input_tokens", "output_tokens")
    }


def _texts(table: PointTable, row: int) -> dict[str, str]:
    named = {name: table.text(name)[row] for name in ("error", "session", "response_id")}
    return {name: text for name, text in named.items() if text}


def _counters(table: PointTable, pid: int, offset_ns: float) -> Iterator[dict[str, Any]]:
    """Requests in flight at every change, and output tokens per second in equal parts of the load point."""
    start_ns, end_ns = table.number("sent_ns"), table.number("end_ns")
    known = ~np.isnan(start_ns) & ~np.isnan(end_ns)
    moments = np.concatenate((start_ns[known], end_ns[known]))
    if not len(moments):
        return
    changes = np.concatenate((np.ones(int(known.sum())), -np.ones(int(known.sum()))))
    order = np.lexsort((changes, moments))
    levels = np.cumsum(changes[order])
    for at_ns, level in zip(moments[order].tolist(), levels.tolist(), strict=True):
        yield _counter("in flight", "requests", pid, (at_ns + offset_ns, level))
    curve = output_curve(PointData(table))
    if curve is not None and len(curve.at_ns):
        edges: Floats = np.linspace(float(moments.min()), float(moments.max()), _RATE_BINS + 1)
        rates = curve.rates(edges) if edges[-1] > edges[0] else np.zeros(0)
        for at_ns, rate in zip(edges[:-1].tolist(), rates.tolist(), strict=False):
            yield _counter("output", "tokens_per_s", pid, (at_ns + offset_ns, rate))


def _counter(name: str, series: str, pid: int, at: tuple[float, float]) -> dict[str, Any]:
    return {"ph": "C", "name": name, "pid": pid, "ts": at[0] / _NS_PER_US, "args": {series: at[1]}}
