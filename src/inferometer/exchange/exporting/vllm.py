"""Files of ``vllm bench serve``, and of two programs that live on them: PyTorch's benchmark database and InferenceX.

Read by ``vllm bench sweep plot`` and ``plot_pareto`` (``summary.json``), by dashboards that read flat objects, and by
``hud.pytorch.org`` and ``inferencex.com`` after their own conversions, which are made here.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from inferometer.errors import UsageError
from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import json_bytes, json_lines, safe
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.imported import ImportedPoint, ImportedStat
from inferometer.record.tables import PointTable

# What the PyTorch benchmark database holds one record of; everything else goes along as information.
_DATABASE_METRICS = tuple(
    f"{statistic}_{name}_ms" for name in ("ttft", "tpot", "itl") for statistic in ("mean", "median", "std", "p99")
)  # fmt: skip
# Sums over requests, which are 0 where none is listed, and are not known there.
_OF_REQUESTS = (
    "total_input_tokens",
    "total_output_tokens",
    "max_output_tokens_per_s",
    "max_concurrent_requests",
)
_ARRAYS = ("ttfts", "itls", "generated_texts", "errors")


def vllm_files(source: Source) -> list[Made]:
    """One flat object a load point, and ``summary.json`` with all of them."""
    results = vllm_results(source)
    names = unique_names(source.tables)
    single = [
        Made(PurePosixPath(f"{_file_name(result, name)}.json"), json_bytes(result))
        for result, name in zip(results, names, strict=True)
    ]
    return [*single, Made(PurePosixPath("summary.json"), json_bytes(results))]


def vllm_joined(source: Source, suffix: str) -> bytes:
    """One object, or one a line.

    Raises:
        UsageError: several load points do not fit into one ``.json``.
    """
    results = vllm_results(source)
    if suffix == ".jsonl":
        return json_lines(results)
    if len(results) > 1:
        raise UsageError(
            f"vLLM's .json holds one load point, and there are {len(results)}",
            "end the name in .jsonl, name a folder, or choose one with --points",
        )
    return json_bytes(results[0])


def pytorch_files(source: Source) -> list[Made]:
    """A list of records of the PyTorch OSS benchmark database, one a metric and load point."""
    return [Made(PurePosixPath("benchmark_results.json"), pytorch_joined(source, ".json"))]


def pytorch_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    records = [
        record
        for table, result in zip(source.tables, vllm_results(source, detailed=False), strict=True)
        for record in _database_records(source, table, result)
    ]
    return json_bytes(records)


def inferencex_files(source: Source) -> list[Made]:
    """``agg_*.json`` of InferenceX, one a load point; latencies in seconds, ``intvty`` = 1 / TPOT in tokens/s a user.

    Raises:
        UsageError: ``tp`` or ``hw`` were not told, or a load point has no concurrency.
    """
    names = unique_names(source.tables)
    results = vllm_results(source, detailed=False)
    return [
        Made(
            PurePosixPath(f"agg_{safe(f'{source.meta.model}-{name}')}.json"),
            json_bytes(_aggregate(source, r)),
        )
        for r, name in zip(results, names, strict=True)
    ]


def inferencex_joined(source: Source, suffix: str) -> bytes:
    """One load point as it is, several as a list."""
    del suffix
    found = [_aggregate(source, result) for result in vllm_results(source, detailed=False)]
    return json_bytes(found[0] if len(found) == 1 else found)


def vllm_results(source: Source, *, detailed: bool | None = None) -> list[dict[str, Any]]:
    """VLLM's flat result object of every chosen load point, with the marks of the run in it."""
    wanted = source.asked.detailed if detailed is None else detailed
    percentiles = tuple(source.summary.percentiles)
    found = []
    for table in source.tables:
        result = vllm_result(table, source.meta, percentiles=percentiles, detailed=wanted)
        found.append(_completed(source, table, result) | source.flags())
    return found


def _completed(source: Source, table: PointTable, result: dict[str, Any]) -> dict[str, Any]:
    """With what another tool stated, where the requests do not tell it: all of it when it listed none."""
    stated = None if source.run.imported is None else source.run.imported.of_point(table.point.index)
    if stated is None:
        return result
    told = _as_stated(stated)
    if source.stated(table) is not None:
        nothing = dict.fromkeys(key for key in result if key in _OF_REQUESTS)
        return {**result, **nothing, **told}
    return {**result, **{key: value for key, value in told.items() if result.get(key) is None}}


def _as_stated(stated: ImportedPoint) -> dict[str, Any]:
    """What another tool's summary says, under vLLM's names."""
    values = stated.values
    found: dict[str, Any] = {
        "duration": stated.duration_s,
        "completed": stated.completed,
        "failed": stated.failed,
        "request_throughput": values.get("request_throughput_per_s"),
        "output_throughput": values.get("output_throughput_per_s"),
        "total_token_throughput": values.get("total_throughput_per_s"),
        **_totals(stated),
    }
    for name in ("ttft", "tpot", "itl", "e2el"):
        stat = stated.stats.get(f"{name}_ms", ImportedStat())
        found |= {
            f"mean_{name}_ms": stat.mean,
            f"median_{name}_ms": stat.percentiles.get("50"),
            f"std_{name}_ms": stat.std,
            **{f"p{p}_{name}_ms": value for p, value in stat.percentiles.items()},
            f"p99_{name}_ms": stat.percentiles.get("99"),
        }
    return found


def _totals(stated: ImportedPoint) -> dict[str, int]:
    """Token totals, where the other tool states them under vLLM's name."""
    named = {key: stated.stated.get(key) for key in ("total_input_tokens", "total_output_tokens")}
    return {key: int(value) for key, value in named.items() if isinstance(value, int | float)}


def _file_name(result: dict[str, Any], load: str) -> str:
    """As vLLM names its files: backend, load, model and date."""
    model = str(result["model_id"]).split("/")[-1]
    first = result["label"] or result["backend"]
    return safe(f"{first}-{load}-{model}-{result['date']}")


def _database_records(source: Source, table: PointTable, result: dict[str, Any]) -> list[dict[str, Any]]:
    information = {
        key: value for key, value in result.items() if key not in (*_DATABASE_METRICS, *_ARRAYS)
    } | source.flags()
    told = {name: source.count(name) for name in ("tensor_parallel_size",)}
    arguments = {
        "backend": result["backend"],
        "model": source.meta.model,
        "request_rate": result["request_rate"],
        "max_concurrency": result["max_concurrency"],
        "num_prompts": result["num_prompts"],
        "random_input_len": table.point.load.get("input_len"),
        "random_output_len": table.point.load.get("output_len"),
        **{name: value for name, value in told.items() if value is not None},
    }
    return [
        {
            "benchmark": {"name": source.marked("Inferometer benchmark"), "extra_info": {"args": arguments}},
            "model": {"name": source.meta.model},
            "metric": {"name": name, "benchmark_values": [result[name]], "extra_info": information},
        }
        for name in (*_DATABASE_METRICS, "request_throughput", "output_throughput", "total_token_throughput")
        if result.get(name) is not None
    ]


def _aggregate(source: Source, result: dict[str, Any]) -> dict[str, Any]:
    devices = source.count("tp") or _devices(source)
    missing = [name for name, value in (("tp", devices), ("hw", source.setting("hw"))) if value is None]
    if missing:
        raise UsageError(
            f"InferenceX wants to know {' and '.join(missing)}: the accelerator (hw) and how many of them (tp)",
            "tell them: --set hw=h100 --set tp=8",
        )
    if result["max_concurrency"] is None:
        raise UsageError(
            "InferenceX lists results by concurrency, and a load point of this run has none",
            "choose load points with a concurrency: --points",
        )
    found: dict[str, Any] = {
        "hw": source.marked(str(source.setting("hw"))),
        "tp": devices,
        "ep": source.count("ep") or 1,
        "dp_attention": source.setting("dp_attention") or "false",
        "conc": int(result["max_concurrency"]),
        "model": source.meta.model,
        "framework": source.setting("framework"),
        "precision": source.setting("precision"),
        "tput_per_gpu": _share(result["total_token_throughput"], devices),
        "output_tput_per_gpu": _share(result["output_throughput"], devices),
    }
    for key, value in result.items():
        if key.endswith("_ms") and value is not None:
            found[key.removesuffix("_ms")] = value / 1e3
            if "tpot" in key and value > 0:
                found[key.removesuffix("_ms").replace("tpot", "intvty")] = 1e3 / value
    return found | source.flags()


def _devices(source: Source) -> int | None:
    """Devices that serve, as the run was told."""
    served = source.meta.spec.get("sweep", {}).get("devices_served")
    return served if isinstance(served, int) else None


def _share(value: float | None, parts: int | None) -> float | None:
    return None if value is None or not parts else value / parts
