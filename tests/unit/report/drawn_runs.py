"""Runs to be drawn: load points of requests whose figures can be worked out by hand, in ms."""

from __future__ import annotations

from typing import Any

from run_builder import Chunk, point, request, run

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.tables import PointTable, RunRecord
from inferometer.report.plots.model import Chart, Plot

TOKENS = 4


def load(concurrency: int | None = 1, **other: Any) -> dict[str, Any]:
    own = {"max_concurrency": concurrency, "request_rate": None, "burstiness": 1.0, "closed": True}
    return own | {"input_len": None, "output_len": None, "kind": "measure", "seed": 0} | other


def closed_loop(
    concurrency: int, ttft_ms: float, gap_ms: float, *, rounds: int = 25, index: int = 1, **other: Any
) -> PointTable:
    """``concurrency`` users at once, each ``rounds`` times: TTFT, then three gaps, then the next without a pause."""
    life = ttft_ms + (TOKENS - 1) * gap_ms
    requests, chunks = [], []
    for turn in range(rounds):
        for user in range(concurrency):
            number, t = turn * concurrency + user, turn * life
            requests.append(
                request(number, planned=t, sent=t, first_token=t + ttft_ms, first_answer=t + ttft_ms, point=index,
                        last_token=t + life, end=t + life, input_tokens_server=10, output_tokens_server=TOKENS,
                        output_tokens_target=TOKENS, cached_tokens=0, finish_reason="length")
            )  # fmt: skip
            chunks += [Chunk(number, t + ttft_ms + k * gap_ms, read=k) for k in range(TOKENS)]
    return point(requests, chunks, index=index, load=load(concurrency, **other))


def drawn(
    *tables: PointTable, spec: dict[str, Any] | None = None, **meta: Any
) -> tuple[RunRecord, RunSummary]:
    """The run and its summary."""
    record = run(*tables, spec=spec, **meta)
    return record, summarize(record)


def saturating(**other: Any) -> tuple[RunRecord, RunSummary]:
    """A service that carries 8 at no cost and then gets slower as the load grows: the knee is at 8."""
    loads = ((2, 20.0, 10.0), (4, 20.0, 10.0), (8, 22.0, 11.0), (16, 50.0, 25.0), (32, 110.0, 55.0))
    tables = [closed_loop(c, t, g, index=k + 1) for k, (c, t, g) in enumerate(loads)]
    return drawn(*tables, **other)


def chart(plots: tuple[Plot, ...], key: str) -> Chart:
    """The chart of that name."""
    found = next(plot for plot in plots if plot.key == key)
    assert isinstance(found, Chart)
    return found
