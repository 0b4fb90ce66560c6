"""InferenceX (InferenceMAX): ``agg_*.json``, what it makes of a vLLM result; latencies in seconds, rates per GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_KEYS = {"hw", "conc", "tput_per_gpu", "framework"}
_METRICS = {"ttft": "ttft_ms", "tpot": "tpot_ms", "itl": "itl_ms", "e2el": "e2el_ms"}
_PLACES = {
    "mean": "mean",
    "std": "std",
    "median": "50",
    "p90": "90",
    "p95": "95",
    "p99": "99",
    "p99.9": "99.9",
}


def sniff(source: Source) -> str | None:
    """One object, or a list of them."""
    contents = _contents(source)
    return "agg" if contents and all(set(each) >= _KEYS for each in contents) else None


def _contents(source: Source) -> list[dict[str, Any]]:
    content = source.content
    listed = content if isinstance(content, list) else [content]
    return [each for each in listed if isinstance(each, dict)]


def read(parts: Sequence[Part]) -> Found:
    """One load point an object."""
    contents = [content for part in parts for content in _contents(part.source)]
    return Found(
        tool="inferencex",
        format="InferenceX aggregate",
        points=[_point(content) for content in contents],
        model=str(contents[0].get("model") or "unknown"),
        simulated=contents[0].get("simulated") is True,
        notes=[
            "its rates are per GPU",
            "the file does not say how many requests there were, nor how many failed",
        ],
    )


def _point(content: dict[str, Any]) -> FoundPoint:
    taken = Taken(content)
    taken.value("total_throughput_per_device_per_s", "tput_per_gpu")
    taken.value("output_throughput_per_device_per_s", "output_tput_per_gpu")
    taken.value("input_throughput_per_device_per_s", "input_tput_per_gpu")
    for metric, key in _METRICS.items():
        taken.stat(key, {place: f"{name}_{metric}" for name, place in _PLACES.items()}, scale=1e3)
    reported = ImportedPoint(point=0, values=taken.values, stats=taken.stats, stated=taken.rest())
    load = load_of(
        max_concurrency=whole_or_none(content.get("conc")),
        input_len=whole_or_none(content.get("isl")),
        output_len=whole_or_none(content.get("osl")),
    )
    return FoundPoint(load, reported)


FORMAT = Format("inferencex", "an InferenceX aggregate", sniff, read)
