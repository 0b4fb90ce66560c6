"""Formats that are the rows of a view: SGLang's JSONL, LMDeploy's CSV, AISBench's and MindIE's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import csv_bytes, json_bytes, json_lines, safe
from inferometer.metrics.latency import PointData
from inferometer.metrics.throughput import throughput, total
from inferometer.metrics.views import aisbench, mindie
from inferometer.metrics.views.clocks import End, Frames, timings, wall_s
from inferometer.metrics.views.lmdeploy import CSV_COLUMNS, lmdeploy_result
from inferometer.metrics.views.sglang import sglang_result
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.tables import PointTable

_OLD_COLUMNS = (
    "batch", "num_prompts", "RPS", "RPM", "FTL(ave)(s)", "FTL(min)(s)", "FTL(max)(s)", "throughput(out tok/s)",
    "throughput(total tok/s)",
)  # fmt: skip


def sglang_files(source: Source) -> list[Made]:
    """One object a line, as ``bench_serving`` appends them."""
    backend = safe(str(source.meta.spec.get("endpoint", {}).get("backend", "run")))
    return [
        Made(PurePosixPath(f"{backend}_{safe(source.meta.run_id)}.jsonl"), sglang_joined(source, ".jsonl"))
    ]


def sglang_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    return json_lines(_sglang(source, table) for table in source.tables)


def _sglang(source: Source, table: PointTable) -> dict[str, Any]:
    result = sglang_result(table, source.meta)
    if source.marks:
        result["tag"] = source.marked(source.meta.label).strip()
    if source.asked.detailed:
        arrays = vllm_result(table, source.meta, detailed=True)
        ttfts = timings(table, Frames.TEXT, End.STREAM)
        result |= {name: arrays[name] for name in ("input_lens", "output_lens", "generated_texts", "errors")}
        result |= _latency_arrays(
            ttfts.data, ttfts.ttft_ms.tolist(), ttfts.gap_row.tolist(), ttfts.gaps_ms.tolist()
        )
    return result | source.flags()


def _latency_arrays(
    data: PointData, ttft_ms: list[float], row: list[float], gaps_ms: list[float]
) -> dict[str, Any]:
    """TTFT and gaps of every request in seconds; a failed request has 0 and no gap, as there."""
    by_request: list[list[float]] = [[] for _ in ttft_ms]
    for place, gap_ms in zip(row, gaps_ms, strict=True):
        by_request[int(place)].append(gap_ms / 1e3)
    successful = iter(zip(ttft_ms, by_request, strict=True))
    pairs = [next(successful) if ok else (0.0, []) for ok in data.ok.tolist()]
    return {"ttfts": [ttft / 1e3 for ttft, _ in pairs], "itls": [gaps for _, gaps in pairs]}


def lmdeploy_files(source: Source) -> list[Made]:
    """``profile_restful_api.py``'s CSV: one row a load point."""
    return [Made(PurePosixPath("results.csv"), lmdeploy_joined(source, ".csv"))]


def lmdeploy_joined(source: Source, suffix: str) -> bytes:
    """The same as one file."""
    del suffix
    rows = []
    for table in source.tables:
        result = lmdeploy_result(table, source.meta)
        result["backend"] = source.marked(str(result["backend"]))
        rows.append([_three(result[name]) for name in CSV_COLUMNS])
    return csv_bytes([CSV_COLUMNS, *rows], source.asked.encoding)


def lmdeploy_old_files(source: Source) -> list[Made]:
    """The CSV of its versions up to October 2024: one row a load point."""
    return [Made(PurePosixPath("results.csv"), lmdeploy_old_joined(source, ".csv"))]


def lmdeploy_old_joined(source: Source, suffix: str) -> bytes:
    """The same as one file. A mark stands in a column of its own behind the others: all of them are numbers."""
    del suffix
    marks = ["; ".join(source.marks)] if source.marks else []
    header = [*_OLD_COLUMNS, *(["remark"] if marks else [])]
    rows = [[*map(_three, _old_row(table)), *marks] for table in source.tables]
    return csv_bytes([header, *rows], source.asked.encoding)


def _old_row(table: PointTable) -> list[Any]:
    """Load, requests, rates and first token latency in seconds: from the send to the first content."""
    requests = timings(table, Frames.CONTENT, End.STREAM)
    data, duration_s = requests.data, wall_s(requests)
    completed = int(data.ok.sum())
    per_s = throughput(completed, duration_s)
    first_s = requests.ttft_ms[~(requests.ttft_ms != requests.ttft_ms)] / 1e3
    inputs, outputs = total(data.input_tokens), total(data.output_tokens)
    both = None if inputs is None or outputs is None else inputs + outputs
    some = len(first_s) > 0
    return [
        table.point.load.get("max_concurrency"),
        completed,
        per_s,
        None if per_s is None else per_s * 60,
        float(first_s.mean()) if some else None,
        float(first_s.min()) if some else None,
        float(first_s.max()) if some else None,
        throughput(outputs, duration_s),
        throughput(both, duration_s),
    ]


def _three(value: Any) -> Any:
    return f"{value:.3f}" if isinstance(value, float) else value


def aisbench_files(source: Source) -> list[Made]:
    """``performances/MODEL/DATASET.csv`` and ``.json`` of every load point, in a folder of its own."""
    made: list[Made] = []
    dataset = safe(str(source.meta.spec.get("workload", {}).get("dataset") or "dataset"))
    for table, name in zip(source.tables, unique_names(source.tables), strict=True):
        result = aisbench.aisbench_result(table, source.meta)
        folder = PurePosixPath(safe(name), "performances", safe(source.marked(source.meta.model)))
        made += [
            Made(folder / f"{dataset}.csv", _aisbench_table(result[aisbench.METRICS], source)),
            Made(folder / f"{dataset}.json", json_bytes(_aisbench_common(result[aisbench.COMMON], source))),
        ]
    return made


def _aisbench_table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], source: Source) -> bytes:
    columns = list(next(iter(next(iter(metrics.values())).values())))
    rows = [
        [name, stage, *(found[column] for column in columns)]
        for name, stages in metrics.items()
        for stage, found in stages.items()
    ]
    return csv_bytes([["Performance Parameters", "Stage", *columns], *rows], source.asked.encoding)


def _aisbench_common(common: Mapping[str, Mapping[str, Any]], source: Source) -> dict[str, Any]:
    """With the marks as common metrics of the stage total, whose cells are texts anyway."""
    return {**common, **({"Remark": {"total": "; ".join(source.marks)}} if source.marks else {})}


def mindie_files(source: Source) -> list[Made]:
    """``result_perf_*.csv``, whose rows have no label, and ``result_common_*.csv`` of every load point.

    A mark stands behind the model's name.
    """
    made: list[Made] = []
    several = len(source.tables) > 1
    stamp = safe(source.meta.created_utc.replace("-", "").replace(":", "")[:15])
    for table, name in zip(source.tables, unique_names(source.tables), strict=True):
        result = mindie.mindie_result(table, source.meta)
        performance, common = result[mindie.PERFORMANCE], result[mindie.COMMON]
        common = common | {"ModelName": source.marked(source.meta.model)}
        rows = [list(performance), *([cells[c] for cells in performance.values()] for c in mindie.COLUMNS)]
        folder = PurePosixPath(safe(name)) if several else PurePosixPath()
        encoding = source.asked.encoding
        made += [
            Made(folder / f"result_perf_{stamp}.csv", csv_bytes(rows, encoding)),
            Made(
                folder / f"result_common_{stamp}.csv",
                csv_bytes([list(common), list(common.values())], encoding),
            ),
        ]
    return made
