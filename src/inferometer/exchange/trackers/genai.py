"""Requests as histograms of OpenTelemetry's GenAI semantic conventions. Pure.

Source: docs/gen-ai/gen-ai-metrics.md of https://github.com/open-telemetry/semantic-conventions-genai (status:
development); names, units and bucket boundaries are its own. Its times begin when the client issues the request, which
is our ``sent``, not the planned time that our own headline counts from; its first chunk is, here as in our TTFT, the
first that carries output.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats, PointData, steps
from inferometer.record.tables import PointTable, RunRecord

_TIMES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))
_CHATS = ("anthropic", "openai-responses")


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one kind of request, in buckets.

    Attributes:
        name, unit, about: of the metric.
        attributes: what is common to the requests.
        bounds: upper bounds, each inside its bucket; ``counts`` has one more, for what lies above the last.
    """

    name: str
    unit: str
    about: str
    attributes: Mapping[str, str | int]
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    low: float
    high: float


def histograms(run: RunRecord, table: PointTable) -> list[Histogram]:
    """The requests of one load point; a metric without a value is left out."""
    data = PointData(table, "sent")
    common = attributes_of(run)
    gaps_ms = steps(data.output_chunks.collapsed()).gap_ms
    made = [
        _histogram(_DURATION, common, data.e2el_ms / 1e3),
        *_failures(table, common),
        _histogram(_FIRST, common, data.ttft_ms / 1e3),
        _histogram(_PER_CHUNK, common, gaps_ms / 1e3),
        _histogram(_USAGE, {**common, "gen_ai.token.type": "input"}, data.input_tokens),
        _histogram(_USAGE, {**common, "gen_ai.token.type": "output"}, data.output_tokens),
    ]
    return [histogram for histogram in made if histogram is not None]


def attributes_of(run: RunRecord) -> dict[str, str | int]:
    """Operation, provider, model, and where the server is."""
    endpoint = run.meta.spec.get("endpoint", {})
    backend = str(endpoint.get("backend") or "unknown")
    found: dict[str, str | int] = {
        "gen_ai.operation.name": _operation(backend),
        "gen_ai.provider.name": "openai" if backend.startswith("openai-") else backend,
        "gen_ai.request.model": run.meta.model,
    }
    url = urlsplit(str(endpoint.get("url") or ""))
    if url.hostname:
        found["server.address"] = url.hostname
        found["server.port"] = url.port or (443 if url.scheme == "https" else 80)
    return found


def _operation(backend: str) -> str:
    if backend.endswith("embeddings"):
        return "embeddings"
    return "chat" if "chat" in backend or backend in _CHATS else "text_completion"


_DURATION = ("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _TIMES_S)
_FIRST = (
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "Time to receive the first chunk.",
    _TIMES_S,
)
_PER_CHUNK = ("gen_ai.client.operation.time_per_output_chunk", "s", "Time per output chunk.", _TIMES_S)
_USAGE = ("gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS)


def _failures(table: PointTable, common: Mapping[str, str | int]) -> list[Histogram | None]:
    """Durations of the requests that failed, by status."""
    status, took_s = table.text("status"), (table.number("end_ns") - table.number("sent_ns")) / 1e9
    kinds = sorted({str(kind) for kind in status if kind not in (None, "ok")})
    return [_histogram(_DURATION, {**common, "error.type": kind}, took_s[status == kind]) for kind in kinds]


def _histogram(
    metric: tuple[str, str, str, tuple[float, ...]], attributes: Mapping[str, str | int], values: Floats
) -> Histogram | None:
    name, unit, about, bounds = metric
    present = values[~np.isnan(values)]
    if not len(present):
        return None
    buckets = np.bincount(np.searchsorted(bounds, present, side="left"), minlength=len(bounds) + 1)
    return Histogram(
        name=name,
        unit=unit,
        about=about,
        attributes=attributes,
        bounds=bounds,
        counts=tuple(int(count) for count in buckets),
        total=float(present.sum()),
        low=float(present.min()),
        high=float(present.max()),
    )
