"""OpenTelemetry over OTLP/HTTP: requests as GenAI histograms, our own figures as gauges, at the times they are of."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inferometer.client.redact import error_text
from inferometer.exchange.trackers.genai import Histogram, attributes_of, histograms
from inferometer.exchange.trackers.logged import Logged, LoggedPoint
from inferometer.exchange.trackers.tracker import TrackerError, library, told
from inferometer.record.tables import PointTable, RunRecord
from inferometer.spec.url import shown_url
from inferometer.version import __version__

_DEFAULT = "http://localhost:4318/v1/metrics"  # the exporter's own
_TIMEOUT_S = 5.0  # the exporter's 10 s are long for somebody who waits for the end of a run


class OtlpTracker:
    """As ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS`` ... say, which its exporter reads."""

    about = "OpenTelemetry metrics by the GenAI conventions over OTLP/HTTP (OTEL_EXPORTER_OTLP_ENDPOINT)"
    options: Mapping[str, str] = {
        "endpoint": "URL of the collector; without a path it is /v1/metrics",
        "service": "service.name",
    }

    def check(self) -> None:
        """See ``Tracker``."""
        library("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otel")

    def send(self, run: RunRecord, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
        """See ``Tracker``; files have no place in it."""
        given = _with_path(options.get("endpoint"))
        module = library("opentelemetry.exporter.otlp.proto.http.metric_exporter", "otel")
        with told("otlp", "check OTEL_EXPORTER_OTLP_ENDPOINT"), _overheard() as said:
            exporter = module.OTLPMetricExporter(endpoint=given, timeout=_timeout_s())
            try:
                data = _metrics(run, logged, options.get("service"))
                result = exporter.export(data)
            finally:
                exporter.shutdown()
        where = shown_url(given or _asked_endpoint())
        if result.name != "SUCCESS":
            why = error_text(said.getvalue()) or "no reason was given"
            raise TrackerError(
                f"the collector at {where} did not take the metrics: {why}",
                "set OTEL_EXPORTER_OTLP_ENDPOINT to a collector that speaks OTLP over HTTP",
            )
        return f"otlp  {where}  service {_service(options.get('service'))}  run {logged.name}"


def _with_path(endpoint: str | None) -> str | None:
    """As ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes it: the address of a collector alone will do."""
    alone = bool(endpoint) and urlsplit(endpoint).path in ("", "/")
    return f"{str(endpoint).rstrip('/')}/v1/metrics" if alone else endpoint


def _timeout_s() -> float | None:
    """With all of the exporter's own attempts; None = as its environment variables say."""
    asked = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}TIMEOUT") for name in ("METRICS_", ""))
    return None if asked else _TIMEOUT_S


def _asked_endpoint() -> str:
    metrics, base = (os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("METRICS_", ""))
    return metrics or (f"{base.rstrip('/')}/v1/metrics" if base else _DEFAULT)


def _service(asked: str | None) -> str:
    return asked or os.environ.get("OTEL_SERVICE_NAME") or "inferometer"


@contextmanager
def _overheard() -> Iterator[io.StringIO]:
    """What the exporter says of a failure: it logs, and tells its caller nothing else."""
    said, logger = io.StringIO(), logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    handler, propagates = logging.StreamHandler(said), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _metrics(run: RunRecord, logged: Logged, service: str | None) -> Any:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    attributes = {"service.name": _service(service), "inferometer.run_id": logged.name}
    attributes |= {f"inferometer.{key}": text for key, text in logged.tags.items()}
    resource, scope = Resource.create(attributes), InstrumentationScope("inferometer", __version__)
    by_index = {point.point: point for point in logged.points}
    found = [*_histograms(run, by_index), *_gauges(run, logged)]
    scoped = ScopeMetrics(scope=scope, metrics=found, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scoped], schema_url="")])


def _histograms(run: RunRecord, points: Mapping[int, LoggedPoint]) -> list[Any]:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        HistogramDataPoint,
        Metric,
    )
    from opentelemetry.sdk.metrics.export import Histogram as Histograms

    kinds: dict[str, tuple[Histogram, list[Any]]] = {}
    for table in run.measured:
        point = points[table.point.index]
        start_ns, end_ns = _times_ns(table, point)
        for one in histograms(run, table):
            data = HistogramDataPoint(
                attributes={**one.attributes, **_of_point(point)},
                start_time_unix_nano=start_ns,
                time_unix_nano=end_ns,
                count=sum(one.counts),
                sum=one.total,
                bucket_counts=one.counts,
                explicit_bounds=one.bounds,
                min=one.low,
                max=one.high,
            )
            kinds.setdefault(one.name, (one, []))[1].append(data)
    delta = AggregationTemporality.DELTA  # each load point is a time of its own
    return [Metric(one.name, one.about, one.unit, Histograms(data, delta)) for one, data in kinds.values()]


def _gauges(run: RunRecord, logged: Logged) -> list[Any]:
    from opentelemetry.sdk.metrics.export import Gauge, Metric, NumberDataPoint

    tables = {table.point.index: table for table in run.measured}
    common = attributes_of(run)
    kinds: dict[str, list[Any]] = {}
    for point in logged.points:
        start_ns, end_ns = _times_ns(tables[point.point], point)
        for key, value in point.values.items():
            attributes = {**common, **_of_point(point)}
            kinds.setdefault(key, []).append(NumberDataPoint(attributes, start_ns, end_ns, value))
    return [
        Metric(f"inferometer.{key}", f"inferometer metrics explain {key.partition('.')[0]}", "", Gauge(data))
        for key, data in kinds.items()
    ]


def _of_point(point: LoggedPoint) -> dict[str, str | int]:
    return {
        "inferometer.point": point.point,
        "inferometer.load": point.title,
        "inferometer.point_verdict": point.verdict,
    }


def _times_ns(table: PointTable, point: LoggedPoint) -> tuple[int, int]:
    """Beginning and end since 1970; 0, which OTLP takes for "not known", where the run does not tell."""
    record = table.point
    if point.at_unix_ms is None or record.epoch_ns is None or record.end_ns is None:
        return 0, 0
    end_ns = point.at_unix_ms * 1_000_000
    return end_ns - (record.end_ns - record.epoch_ns), end_ns
