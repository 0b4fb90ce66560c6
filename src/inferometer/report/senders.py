"""The machines that sent the load together, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.senders import Sender
from inferometer.report.text import number, table

_HEADER = ("node", "workers", "cores", "clock ahead ms", "changed ms", "known to ms", "")


def sender_lines(senders: Sequence[Sender]) -> list[str]:
    """A row a machine, and how to read it; empty where one machine sent all."""
    if not senders:
        return []
    rows = table(_HEADER, [_row(sender) for sender in senders], "<<>>>><")
    legend = (
        "clock ahead: of ours, at first; changed: most between two comparisons; known to: half a round trip"
    )
    return [*(f"  {row}".rstrip() for row in rows), f"  {legend}"]


def _numbers(workers: Sequence[int]) -> str:
    return (
        ", ".join(map(str, workers)) if len(workers) <= 4 else f"{workers[0]}, {workers[1]} .. {workers[-1]}"
    )


def _row(sender: Sender) -> list[str]:
    return [
        f"{sender.name} {sender.address}",
        _numbers(sender.workers),
        "-" if sender.cores is None else str(sender.cores),
        *(
            "-" if value is None else number(value, 3)
            for value in (sender.offset_ms, sender.drift_ms, sender.bound_ms)
        ),
        "" if sender.lost is None else "lost",
    ]
