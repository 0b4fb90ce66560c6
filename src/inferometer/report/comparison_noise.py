"""What repeats of the same thing differ by, as console text and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from inferometer.metrics.comparing.effects import CONFIDENCE, LOUD, Noise, repeats_for
from inferometer.metrics.comparing.names import kind_of
from inferometer.metrics.comparing.noise import LoadNoise, Spread, threshold_from
from inferometer.report.sweep import titled
from inferometer.report.text import table

_HEADER = ("metric", "spread", "repeats", "one run a side", "5 a side", "repeats for 2 %")
_SIDE = 5  # repeats, as is asked for
_USUALLY = (
    "output_throughput", "request_throughput", "p50_ttft", "p99_ttft", "p50_tpot", "p99_tpot", "p50_e2el", "p99_e2el"
)  # fmt: skip


def noise_lines(found: Sequence[LoadNoise]) -> Iterator[str]:
    """A table per load: how far two sides of the same thing come to lie apart by chance."""
    if not found:
        return
    yield f"A/A  {found[0].model}" + ("  [simulated]" if found[0].simulated else "")
    for title, load in zip(titled([each.load for each in found]), found, strict=True):
        yield f"at {title}"
        yield from table(_HEADER, list(_rows(load)), "<>>>>>")
    yield (
        "spread: standard deviation of repeats / mean. one run a side, 5 a side: changes that two sides of the same "
        f"thing stay below in {CONFIDENCE:.0%} of the comparisons"
    )
    if loud := list(dict.fromkeys(name for load in found for name in _loud(load))):
        yield (
            f"above {LOUD:.0%} even with {_SIDE} a side: {', '.join(loud)}; --threshold auto never calls these same: "
            "measure longer or with more repeats, and learn again"
        )


def noise_json(found: Sequence[LoadNoise]) -> str:
    """The same for machines."""
    return msgspec.json.encode({"schema": "inferometer.noise/1", "loads": found}).decode()


def _rows(load: LoadNoise) -> Iterator[tuple[str, ...]]:
    for key, one in load.spreads.items():
        kind = kind_of(key)
        if kind is None or kind.name not in _USUALLY:
            continue
        needed = repeats_for(math.log1p(0.02), one.spread)
        yield (
            kind.title,
            f"{one.spread * 100:.2f} %",
            str(one.repeats),
            _apart(one, 1),
            _apart(one, _SIDE),
            ">100,000" if needed is None else f"{needed:,}",
        )


def _loud(load: LoadNoise) -> Iterator[str]:
    for key, one in load.spreads.items():
        kind = kind_of(key)
        if kind is not None and kind.name in _USUALLY and _threshold(one, _SIDE) > LOUD:
            yield kind.title


def _apart(one: Spread, repeats: int) -> str:
    return f"{_threshold(one, repeats) * 100:.1f} %"


def _threshold(one: Spread, repeats: int) -> float:
    return threshold_from(Noise(one.spread, one.repeats), repeats, repeats)
