"""A run folder of an engine whose coefficients are known: what a client of it would have recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inferometer.clock import utc_now
from inferometer.record import PointRecord, RequestRecord, RunMeta
from inferometer.record.engine import EngineRecord
from inferometer.record.folder import create_folder, read_meta, write_meta
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.store import close_journal
from inferometer.record.types import ChunkColumns, ServerCounters
from inferometer.simulator.calibration.replay import Load, open_load, replay
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.latency.model import Coefficients

TRUTH = Coefficients(
    weights_s=6e-3,
    token_s=4e-5,
    step_s=3e-3,
    sequence_s=2e-5,
    kv_token_s=6e-8,
    attention_s=1e-9,
    arrival_s=5e-3,
    first_token_s=2e-3,
    prompt_step_s=1e-3,
)
LIMITS = EngineLimits(max_num_seqs=256, max_num_batched_tokens=2048, max_model_len=8192)
EPOCH_NS = 10**12


class Asked(NamedTuple):
    """One load point: a closed loop, or an open one at a rate."""

    concurrency: int | None = None
    rate: float | None = None
    requests: int = 60
    input_tokens: int = 400
    output_tokens: int = 80
    seed: int = 0


def load_of(asked: Asked) -> Load:
    random = np.random.default_rng(asked.seed)
    inputs = random.integers(asked.input_tokens // 4, asked.input_tokens * 2, asked.requests).tolist()
    outputs = random.integers(2, asked.output_tokens * 2, asked.requests).tolist()
    if asked.rate is not None:
        return open_load(
            inputs, outputs, np.cumsum(random.exponential(1 / asked.rate, asked.requests)).tolist()
        )
    jobs = (Job(prompt_tokens=given, output_tokens=made) for given, made in zip(inputs, outputs, strict=True))
    return Load(jobs=tuple(jobs), concurrency=asked.concurrency)


def write_run(
    out: Path,
    points: Sequence[Asked],
    *,
    truth: Coefficients = TRUTH,
    limits: EngineLimits = LIMITS,
    **meta: Any,
) -> Path:
    """A closed run folder; ``meta`` changes its ``run.json``, ``row`` its requests; ``series`` is told in metrics."""
    row, series = meta.pop("row", {}), meta.pop("series", {})
    folder = create_folder(out, utc_now(), meta.get("model", "m"), "")
    records = [_point(number, asked, series) for number, asked in enumerate(points, start=1)]
    known = {"run_id": folder.name, "simulated": False, "created_utc": "", "model": "m", "spec": {}}
    write_meta(folder, RunMeta(**{**known, "state": "running", "points": records, **meta}))
    journal = JournalWriter(folder / "journal" / "worker-0.seg")
    for record, asked in zip(records, points, strict=True):
        journal.append(PointStart(record))
        for request in _requests(record.index, load_of(asked), (truth, limits), row):
            journal.append(RequestFrame(request, ChunkColumns()))
        journal.append(PointEnd(record))
    journal.close()
    stored = read_meta(folder)
    stored.state = "complete"
    write_meta(folder, close_journal(folder, stored))
    return folder


def _point(number: int, asked: Asked, series: dict[str, float]) -> PointRecord:
    load = {"max_concurrency": asked.concurrency, "request_rate": asked.rate, "input_len": asked.input_tokens}
    counters = [ServerCounters(source="http://engine/metrics", values=series)] if series else []
    return PointRecord(
        index=number, kind="measure", load=load, epoch_ns=EPOCH_NS, end_ns=EPOCH_NS, counters_before=counters
    )


def _requests(
    point: int, load: Load, engine: tuple[Coefficients, EngineLimits], row: dict[str, Any]
) -> list[RequestRecord]:
    times = replay(load, engine[1], engine[0])
    columns = [
        [EPOCH_NS + round(second * 1e9) for second in column.tolist()]
        for column in (times.arrival_s, times.first_s, times.last_s)
    ]
    return [
        RequestRecord(
            **{
                "point": point,
                "index": index,
                "status": "ok",
                "streamed": True,
                "planned_ns": sent,
                "sent_ns": sent,
                "first_token_ns": first,
                "last_token_ns": last,
                "end_ns": last,
                "input_tokens_server": job.prompt_tokens,
                "output_tokens_server": job.output_tokens,
                **row,
            }
        )
        for index, (job, sent, first, last) in enumerate(zip(load.jobs, *columns, strict=True))
    ]


def launched(**facts: Any) -> EngineRecord:
    """The engine of a run that started it itself."""
    return EngineRecord(name="vllm", command="vllm serve m --max-num-seqs 64", facts=facts)
