"""An experiment folder of ``genai-bench`` (0.0.5), as its ``excel`` and ``plot`` commands read it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from inferometer.errors import UsageError
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import json_bytes, safe, without_none
from inferometer.metrics.views.genai_bench import AGGREGATED, INDIVIDUAL, genai_bench_result, scenario_of
from inferometer.record.tables import PointTable

_VERSION = "0.0.5"


def genai_bench_files(source: Source) -> list[Made]:
    """``experiment_metadata.json``, and a file a load point; repeats of a load are experiments of their own.

    Raises:
        UsageError: a load point has no concurrency, which its results are listed by.
    """
    open_loop = [
        table.point.index for table in source.tables if table.point.load.get("max_concurrency") is None
    ]
    if open_loop:
        raise UsageError(
            f"genai-bench lists results by concurrency, and load point {open_loop[0]} has none",
            "choose load points with a concurrency with --points, or another format",
        )
    repeats = sorted({_repeat(table) for table in source.tables})
    return [
        made
        for repeat in repeats
        for made in _experiment(
            source,
            [table for table in source.tables if _repeat(table) == repeat],
            PurePosixPath(f"repeat_{repeat}") if len(repeats) > 1 else PurePosixPath(),
        )
    ]


def _repeat(table: PointTable) -> int:
    return int(table.point.load.get("repeat") or 1)


def _experiment(source: Source, tables: list[PointTable], folder: PurePosixPath) -> list[Made]:
    made = [Made(folder / "experiment_metadata.json", json_bytes(_metadata(source, tables)))]
    for table in tables:
        result = genai_bench_result(table)
        if not result[AGGREGATED]["num_completed_requests"]:
            continue  # its own runs end with an error then, and write none
        seconds = int(result[AGGREGATED]["run_duration"] or 0)
        scenario = safe(scenario_of(table).replace("(", "").replace(")", "").replace(",", "_"))
        name = f"{scenario}_text-to-text_num_concurrency_{table.point.load['max_concurrency']}_time_{seconds}s.json"
        content = {
            AGGREGATED: without_none(result[AGGREGATED]),
            INDIVIDUAL: result[INDIVIDUAL],
            **source.flags(),
        }
        made.append(Made(folder / name, json_bytes(content)))
    return made


def _metadata(source: Source, tables: list[PointTable]) -> dict[str, Any]:
    spec, meta = source.meta.spec, source.meta
    concurrency = [table.point.load["max_concurrency"] for table in tables]
    scenarios = [scenario_of(table) for table in tables]
    return {
        "cmd": source.marked("inferometer run"),
        "benchmark_version": _VERSION,
        "api_backend": "openai",
        "auth_config": {},
        "api_model_name": meta.model,
        "server_model_tokenizer": spec.get("workload", {}).get("tokenizer"),
        # Its sheets and plots show the model and nothing else that is free.
        "model": source.marked(meta.model),
        "task": "text-to-text",
        "num_concurrency": list(dict.fromkeys(concurrency)),
        "batch_size": [1],
        "iteration_type": "num_concurrency",
        "traffic_scenario": list(dict.fromkeys(scenarios)),
        "additional_request_params": {},
        "server_engine": source.setting("server_engine"),
        "server_version": source.setting("server_version"),
        "server_gpu_type": source.setting("hw"),
        "server_gpu_count": source.setting("tp"),
        "max_time_per_run_s": int(max((table.point.load.get("duration_s") or 0) for table in tables)),
        "max_requests_per_run": max(table.point.dispatched for table in tables),
        "experiment_folder_name": meta.run_id,
        "metrics_time_unit": "s",
        "dataset_path": spec.get("workload", {}).get("dataset_path"),
        **source.flags(),
    }
