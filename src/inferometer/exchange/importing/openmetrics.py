"""OpenMetrics and Prometheus text: what a server counted, as time series beside a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, load_of, number_of, utc_of
from inferometer.exchange.importing.source import Source
from inferometer.record.imported import ImportedPoint

_SAMPLE = re.compile(
    r"^([a-zA-Z_:][\w:]*)(?:\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?\s+(\S+)(?:\s+(\S+))?(?:\s+#.*)?$"
)
_MODEL = re.compile(r'(?:^|,)\s*model(?:_name)?="((?:[^"\\]|\\.)*)"')
_MILLISECONDS = 1e11  # Prometheus stamps in ms, OpenMetrics in seconds: no second of these years is so large


def sniff(source: Source) -> str | None:
    """Text with ``# TYPE`` lines."""
    return "text" if re.search(r"^# (TYPE|HELP|UNIT) \S+", source.head, re.MULTILINE) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point, without requests: its samples are telemetry."""
    samples = [sample for part in parts for sample in _samples(part.source)]
    if not samples:
        raise parts[0].source.broken("no sample in it", "was the file cut?")
    times = [at_s for _, _, at_s, _ in samples if at_s is not None]
    first_s, last_s = (min(times), max(times)) if times else (0.0, 0.0)
    series = [
        (name, labels, 0.0 if at_s is None else at_s - first_s, value)
        for name, labels, at_s, value in samples
    ]
    models = list(dict.fromkeys(found[1] for _, labels, _, _ in samples if (found := _MODEL.search(labels))))
    whole = all(part.source.text.rstrip().endswith("# EOF") for part in parts)
    notes = [] if whole else ["no # EOF at the end: plain Prometheus text, or a file that was cut"]
    names = sorted({name for name, _, _, _ in samples})
    reported = ImportedPoint(
        point=0,
        duration_s=last_s - first_s if times else None,
        stated={"samples": len(samples), "series": names},
    )
    return Found(
        tool="openmetrics",
        format="OpenMetrics text",
        points=[FoundPoint(load_of(), reported, series=series)],
        model=models[0] if models else "unknown",
        created_utc=utc_of(first_s) if times else None,
        notes=[*notes, "time series of a server: no request was recorded"],
    )


def _samples(source: Source) -> Iterator[tuple[str, str, float | None, float]]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _SAMPLE.match(line.strip())
        if found is None:
            raise source.broken(
                f"line {number} is no sample: {line[:60]!r}", "NAME{labels} VALUE [TIME] is expected"
            )
        value = number_of(found[3])
        if value is None:
            continue  # NaN and infinite: a gauge without a value
        at_s = number_of(found[4]) if found[4] else None
        if at_s is not None and at_s > _MILLISECONDS:
            at_s /= 1e3
        yield found[1], found[2] or "", at_s, value


FORMAT = Format("openmetrics", "OpenMetrics text", sniff, read)
