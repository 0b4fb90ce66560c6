"""OpenMetrics text: a run as time series and histograms, as ``promtool tsdb create-blocks-from openmetrics`` loads it.

Counters and gauges have a sample at each of up to 300 moments of a load point; histograms one at its end, with the
buckets that the GenAI semantic conventions of OpenTelemetry advise. Telemetry is as it was sampled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.metrics.curves import output_curve
from inferometer.metrics.latency import NS_PER_S, Floats, PointData
from inferometer.metrics.views.clocks import epoch_ns
from inferometer.metrics.views.statistics import present
from inferometer.record.tables import PointTable

_MOST_MOMENTS = 300
_UNITS = ("bytes", "seconds", "ratio", "requests", "tokens")
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TPOT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_E2EL = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_HISTOGRAMS = {
    "time_to_first_token_seconds": ("ttft_ms", _TTFT, "First output less planned time."),
    "time_per_output_token_seconds": ("tpot_ms", _TPOT, "Mean gap between the output tokens of a request."),
    "end_to_end_latency_seconds": ("e2el_ms", _E2EL, "Last output less planned time."),
}


@dataclass
class _Family:
    """One metric family: its type and help, and its sample lines in order."""

    kind: str
    text: str
    lines: list[str] = field(default_factory=list)


def openmetrics_files(source: Source) -> list[Made]:
    """One text with all load points."""
    return [Made(PurePosixPath("metrics.txt"), openmetrics_joined(source, ".txt"))]


def openmetrics_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    families: dict[str, _Family] = {}
    about = {"model": source.meta.model, "label": source.meta.label, "run": source.meta.run_id}
    marks = {"simulated": str(source.meta.simulated).lower(), "verdict": source.summary.verdict.word}
    _family(families, "run", "info", "The run that all samples are of.").lines.append(
        f"inferometer_run_info{_labels({**about, **marks})} 1"
    )
    for table, name in zip(source.tables, unique_names(source.tables), strict=True):
        labels = {"run": source.meta.run_id, "point": str(table.point.index), "load": name}
        if source.meta.simulated:
            labels["simulated"] = "true"
        _requests(families, source, table, labels)
        _telemetry(families, source, table, labels)
        _histograms(families, source, table, labels)
    return ("\n".join([*_text(families), "# EOF"]) + "\n").encode()


def _family(families: dict[str, _Family], name: str, kind: str, text: str) -> _Family:
    return families.setdefault(name, _Family(kind, text))


def _text(families: dict[str, _Family]) -> Iterator[str]:
    for name, family in families.items():
        full = f"inferometer_{name}"
        yield f"# TYPE {full} {family.kind}"
        unit = name.rsplit("_", 1)[-1]
        if unit in _UNITS and "_" in name:
            yield f"# UNIT {full} {unit}"
        yield f"# HELP {full} {family.text}"
        yield from family.lines


def _labels(labels: dict[str, str]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items() if value) + "}"


def _at(source: Source, table: PointTable, relative_ns: float) -> str:
    """A moment of a load point in Unix seconds; from the load point's begin where no clock was compared."""
    moment_ns = (epoch_ns(table, source.meta) or 0) + round(relative_ns)
    return f"{moment_ns // 1_000_000_000}.{moment_ns % 1_000_000_000:09d}"


def _requests(
    families: dict[str, _Family], source: Source, table: PointTable, labels: dict[str, str]
) -> None:
    start_ns, end_ns = table.number("sent_ns"), table.number("end_ns")
    known = np.concatenate((start_ns, end_ns))
    known = known[~np.isnan(known)]
    if not len(known):
        return
    moments = _moments(float(known.min()), float(known.max()))
    status = table.text("status").astype(str)
    ended = _family(families, "requests", "counter", "Requests that had ended, by how.")
    for word in sorted(set(status)):
        ends = np.sort(end_ns[(status == word) & ~np.isnan(end_ns)])
        counts = np.searchsorted(ends, moments, side="right")
        ended.lines += _series(source, table, "requests_total", {**labels, "status": word}, (moments, counts))
    sent = np.searchsorted(np.sort(start_ns[~np.isnan(start_ns)]), moments, side="right")
    over = np.searchsorted(np.sort(end_ns[~np.isnan(end_ns) & ~np.isnan(start_ns)]), moments, side="right")
    flying = _family(families, "in_flight_requests", "gauge", "Requests that were under way.")
    flying.lines += _series(source, table, "in_flight_requests", labels, (moments, sent - over))
    curve = output_curve(PointData(table))
    if curve is not None and len(curve.at_ns):
        tokens = _family(families, "output_tokens", "counter", "Output tokens that had come.")
        came = curve.by(moments)
        tokens.lines += _series(source, table, "output_tokens_total", labels, (moments, came))


def _moments(first_ns: float, last_ns: float) -> Floats:
    """Whole seconds apart, and so many that there are no more than 300."""
    step_s = max(1, int(np.ceil((last_ns - first_ns) / NS_PER_S / _MOST_MOMENTS)))
    moments = np.arange(first_ns, last_ns, step_s * NS_PER_S)
    return np.asarray(np.append(moments, last_ns), dtype=np.float64)


def _series(
    source: Source,
    table: PointTable,
    name: str,
    labels: dict[str, str],
    samples: tuple[Floats, Iterable[float]],
) -> list[str]:
    head = f"inferometer_{name}{_labels(labels)}"
    moments, values = samples
    return [
        f"{head} {_number(float(value))} {_at(source, table, at_ns)}"
        for at_ns, value in zip(moments.tolist(), values, strict=True)
    ]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _telemetry(
    families: dict[str, _Family], source: Source, table: PointTable, labels: dict[str, str]
) -> None:
    telemetry, index = source.run.telemetry, table.point.index
    mine = telemetry.point == index
    pairs = sorted(set(zip(telemetry.name[mine], telemetry.source[mine], strict=True)))
    for name, origin in pairs:
        at_ns, values = telemetry.series(index, origin, name)
        rising = np.concatenate(([True], np.diff(at_ns) > 0))  # two samples of one moment are one
        moments = (at_ns - (table.point.epoch_ns or 0))[rising].astype(np.float64)
        family = f"telemetry_{_metric_name(name)}"
        found = _family(families, family, "gauge", f"{name}, as it was sampled.")
        found.lines += _series(source, table, family, {**labels, "source": origin}, (moments, values[rising]))


def _metric_name(name: str) -> str:
    """A name as OpenMetrics takes it, with its base unit written out: "loop_turn_max_s" ends in "_seconds"."""
    plain = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return (
        plain.removesuffix("_s") + "_seconds"
        if plain.endswith("_s") and not plain.endswith("_per_s")
        else plain
    )


def _histograms(
    families: dict[str, _Family], source: Source, table: PointTable, labels: dict[str, str]
) -> None:
    data = PointData(table)
    for name, (attribute, bounds, text) in _HISTOGRAMS.items():
        sample_s = present(getattr(data, attribute)) / 1e3
        if not len(sample_s):
            continue
        found = _family(families, name, "histogram", text)
        at = _at(source, table, float(np.nanmax(data.end_ns)))
        found.lines += _histogram(name, labels, (sample_s, bounds), at)


def _histogram(
    name: str, labels: dict[str, str], sample: tuple[Floats, Sequence[float]], at: str
) -> Iterator[str]:
    values, bounds = sample
    ordered = np.sort(values)
    full = f"inferometer_{name}"
    for bound in bounds:
        count = int(np.searchsorted(ordered, bound, side="right"))
        yield f"{full}_bucket{_labels({**labels, 'le': repr(bound)})} {count} {at}"
    yield f"{full}_bucket{_labels({**labels, 'le': '+Inf'})} {len(ordered)} {at}"
    yield f"{full}_count{_labels(labels)} {len(ordered)} {at}"
    yield f"{full}_sum{_labels(labels)} {float(ordered.sum())!r} {at}"
