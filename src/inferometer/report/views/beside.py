"""What stands under another tool's figures: how they differ from ours, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import PointData
from inferometer.metrics.throughput import total
from inferometer.metrics.views.comparison import Difference, Figure, differences, queueing_ms
from inferometer.metrics.views.statistics import mean
from inferometer.record.tables import PointTable
from inferometer.report.text import count, number
from inferometer.spec import load_title

_WORTH_TELLING = 0.01


def beside_lines(table: PointTable, figures: Sequence[Figure], width: int, heading: str) -> list[str]:
    """A list of the differences at one load point, and a line of the figures that are equal.

    Args:
        table: the load point.
        figures: of the tool.
        width: columns to wrap at.
        heading: of the list, without its colon.
    """
    data = PointData(table, "sent")  # where all tools count from
    found = differences(data, figures)
    told = [_told(difference) for difference in found if not difference.same]
    equal = [
        _named(difference.figure)
        for difference in found
        if difference.same and difference.our_value is not None
    ]
    if equal:
        told.append(f"equal to ours: {', '.join(equal)}")
    waited, ttft_ms = queueing_ms(data), mean(data.ttft_ms)
    if waited is not None and ttft_ms and waited > _WORTH_TELLING * ttft_ms:
        told.append(
            f"all latencies here count from the send; ours above too, but `inferometer report` counts from when a "
            f"request was due, {number(waited)} ms earlier in the mean"
        )
    told += [*_counted(data), *_left_out(table)]
    return [f"{heading}, {load_title(table.point.load, lengths=True)}:", *bullets(told, width)]


def bullets(texts: Sequence[str], width: int) -> list[str]:
    """Each text as a point of a list, wrapped."""
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text, width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
    ]


def _told(difference: Difference) -> str:
    figure, unit = difference.figure, difference.unit
    theirs = "n/a" if figure.value is None else f"{number(figure.value)} {unit}"
    ours = "n/a" if difference.our_value is None else f"{number(difference.our_value)} {unit}"
    return f"{_named(figure)} {theirs} here, {ours} ours: {figure.why}"


def _named(figure: Figure) -> str:
    """Its name, and ours where that is another one."""
    latency = figure.ours in ("TTFT", "TPOT", "ITL", "E2EL")
    return f"{figure.name} (our {figure.ours})" if latency and figure.name != figure.ours else figure.name


def _counted(data: PointData) -> list[str]:
    """How far two sides' counts of output tokens differ: tools that count for themselves see the other one."""
    server, client = total(data.column("output_tokens_server")), total(data.column("output_tokens_client"))
    if not server or client is None or abs(server - client) <= _WORTH_TELLING * server:
        return []
    return [
        f"output tokens: {number(server, 0)} by the server's count, {number(client, 0)} by the client's tokenizer"
    ]


def _left_out(table: PointTable) -> list[str]:
    """Requests that ended before their answer on purpose, which most tools do not know."""
    found = count_requests(table)
    if not found.given_up + found.cut_off:
        return []
    return [
        f"neither successes nor failures of ours: {count(found.given_up)} requests given up as asked, "
        f"{count(found.cut_off)} cut off at the end"
    ]
