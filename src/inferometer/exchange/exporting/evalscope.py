"""The output folder of ``evalscope perf`` (1.14): what its report and its web page load.

A folder a load point, named by it as EvalScope's loader wants it; ``benchmark_data.db`` with the requests when details
are asked for. Its columns of pickled messages stay empty.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import finite, json_bytes, safe, without_none
from inferometer.metrics.latency import NS_PER_S
from inferometer.metrics.views.clocks import End, Frames, epoch_s, timings
from inferometer.metrics.views.evalscope import PERCENTILES, SUMMARY, evalscope_result
from inferometer.record.tables import PointTable

_TABLE = """CREATE TABLE result(request TEXT, start_time REAL, inter_token_latencies TEXT, success INTEGER,
response_messages TEXT, completed_time REAL, latency REAL, first_chunk_latency REAL, prompt_tokens INTEGER,
completion_tokens INTEGER, max_gpu_memory_cost REAL, time_per_output_token REAL, request_id TEXT, is_stream INTEGER)"""
_ROW = """INSERT INTO result(start_time, inter_token_latencies, success, completed_time, latency, first_chunk_latency,
prompt_tokens, completion_tokens, time_per_output_token, request_id, is_stream) VALUES (?,?,?,?,?,?,?,?,?,?,?)"""


def evalscope_files(source: Source) -> list[Made]:
    """``parallel_N_number_M`` or ``rate_R_number_M`` for each load point; later repeats lie below ``repeat_2`` etc."""
    made: list[Made] = []
    seen: dict[str, int] = {}
    for table in source.tables:
        result = evalscope_result(table, source.meta)
        name = _folder(table, result[SUMMARY]["Total Requests"])
        seen[name] = seen.get(name, 0) + 1
        above = PurePosixPath(f"repeat_{seen[name]}") if seen[name] > 1 else PurePosixPath()
        folder = above / safe(source.marked(source.meta.model)) / name
        made += [
            # Its reader takes a missing figure for 0, and none for an error.
            Made(folder / SUMMARY, json_bytes(without_none(result[SUMMARY]) | source.flags())),
            Made(folder / PERCENTILES, json_bytes([without_none(row) for row in result[PERCENTILES]])),
            Made(folder / "benchmark_args.json", json_bytes(_arguments(source, table, result[SUMMARY]))),
        ]
        if source.asked.detailed:
            made.append(Made(folder / "benchmark_data.db", _database(source, table)))
    return made


def _folder(table: PointTable, number: int) -> str:
    load = table.point.load
    rate = load.get("request_rate")
    if rate in (None, "inf"):
        return f"parallel_{load.get('max_concurrency') or 0}_number_{number}"
    return f"rate_{float(rate)}_number_{number}"


def _arguments(source: Source, table: PointTable, summary: dict[str, Any]) -> dict[str, Any]:
    load, spec = table.point.load, source.meta.spec
    rate = load.get("request_rate")
    return {
        "model": source.meta.model,
        "model_id": source.meta.model,
        "api": "openai",
        "url": spec.get("endpoint", {}).get("url") or None,
        "parallel": load.get("max_concurrency") or -1,
        "rate": -1 if rate in (None, "inf") else rate,
        "number": summary["Total Requests"],
        "dataset": spec.get("workload", {}).get("dataset"),
        "dataset_path": spec.get("workload", {}).get("dataset_path"),
        "min_prompt_length": load.get("input_len"),
        "max_prompt_length": load.get("input_len"),
        "max_tokens": load.get("output_len"),
        "stream": spec.get("sampling", {}).get("stream"),
        "seed": load.get("seed"),
        "name": source.meta.label or None,
        "measured_with": f"inferometer {source.meta.environment.get('inferometer', '')}".strip(),
        **source.flags(),
    }


def _database(source: Source, table: PointTable) -> bytes:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(_TABLE)
        connection.executemany(_ROW, _rows(source, table))
        connection.commit()
        return _image(connection)
    finally:
        connection.close()


def _image(connection: sqlite3.Connection) -> bytes:
    """The bytes of the file that a database in memory would be."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "benchmark_data.db")
        copy = sqlite3.connect(path)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        return path.read_bytes()


def _rows(source: Source, table: PointTable) -> list[tuple[Any, ...]]:
    """One row a request that ended, in seconds."""
    requests = timings(table, Frames.OUTPUT, End.EVENT)
    begin_s = epoch_s(table, source.meta) or 0.0
    gaps: list[list[float]] = [[] for _ in requests.ttft_ms]
    for row, gap_ms in zip(requests.gap_row.tolist(), requests.gaps_ms.tolist(), strict=True):
        gaps[int(row)].append(gap_ms / 1e3)
    data, place, rows = requests.data, -1, []
    sent_s, end_s = table.number("sent_ns") / NS_PER_S, table.number("end_ns") / NS_PER_S
    for row, ended in enumerate(requests.ended.tolist()):
        ok = bool(data.ok[row])
        place += ok
        if not ended:
            continue
        start = finite(begin_s + float(sent_s[row]))
        common = (start, json.dumps(gaps[place] if ok else []), int(ok))
        tail = (str(int(table.number("index")[row])), int(table.number("streamed")[row] == 1.0))
        if not ok:
            rows.append((*common, finite(begin_s + float(end_s[row])), None, None, None, None, None, *tail))
            continue
        latency_s = finite(float(requests.e2el_ms[place]) / 1e3)
        rows.append(
            (
                *common,
                None if start is None or latency_s is None else start + latency_s,
                latency_s,
                finite(float(requests.ttft_ms[place]) / 1e3),
                finite(float(data.input_tokens[place])),
                finite(float(data.output_tokens[place])),
                finite(float(requests.tpot_ms[place]) / 1e3),
                *tail,
            )
        )
    return rows
