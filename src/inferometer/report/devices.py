"""Device sheets as text: figures and where they are from."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from inferometer.report.text import number, table
from inferometer.simulator.latency.devices import Device

_HEADER = ("device", "memory GiB", "memory GB/s", "link GB/s", "TFLOPS", "title")


def device_lines(sheets: Mapping[str, Device], width: int = 100) -> list[str]:
    """A row a device, then the source of each figure.

    Args:
        sheets: by name.
        width: columns to wrap sources at.
    """
    rows = [
        [
            name,
            number(sheet.memory_gib, 1),
            number(sheet.memory_gb_per_s, 0),
            "-" if sheet.link_gb_per_s is None else number(sheet.link_gb_per_s, 0),
            " ".join(f"{kind} {peak:,g}" for kind, peak in sheet.tflops.items()),
            sheet.title,
        ]
        for name, sheet in sheets.items()
    ]
    lines = [*table(_HEADER, rows, "<>>><<"), "", "Sources"]
    for name, sheet in sheets.items():
        lines.append(f"  {name}  (also: {', '.join(sheet.also)})" if sheet.also else f"  {name}")
        for field, source in sheet.sources.items():
            lines += textwrap.wrap(
                f"{field}: {source}", width, initial_indent=" " * 4, subsequent_indent=" " * 6
            )
        lines.append(
            f"    reached of the peaks: memory {sheet.memory_efficiency:g}, compute {sheet.compute_efficiency:g} "
            "(starting points, no facts)"
        )
    return lines
