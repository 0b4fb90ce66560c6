"""A run folder's load point as a calibration sees it."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.record.tables import PointTable
from inferometer.simulator.calibration.replay import Floats, Load, Times, open_load
from inferometer.simulator.calibration.requests import RunTimes

_NS_PER_S = 1e9


def run_times(table: PointTable, *, cached: bool = False) -> RunTimes:
    """The load of a measured load point, request by request, and its times.

    Requests arrive when they were sent, whatever the schedule was, so open and closed loops are the same here. Token
    counts are the server's where it gave them, else the client's, else the targets. A request that was sent but has
    no count of both kinds cannot be replayed and is left out; times that are missing stay missing.

    Args:
        table: the load point.
        cached: whether prompt tokens that the server found in its prefix cache are ready when the request comes; only
            the chunked scheduler is replayed with such.

    Raises:
        UsageError: no request can be replayed.
    """
    sent = table.number("sent_ns").astype(np.float64)
    inputs, outputs = _counts(table, "input"), _counts(table, "output")
    usable = np.flatnonzero(np.isfinite(sent) & (inputs >= 1) & (outputs >= 1))
    if not len(usable):
        raise UsageError(
            "no request of the load point has a time and counts of its input and output tokens",
            "calibrate from a run whose server reports usage, or give --tokenizer to the run",
        )
    order = usable[np.argsort(sent[usable], kind="stable")]
    arrival = (sent[order] - sent[order[0]]) / _NS_PER_S
    load = open_load(
        inputs[order].astype(int).tolist(), outputs[order].astype(int).tolist(), arrival.tolist()
    )
    if cached and "cached_tokens" in table.requests:
        load = _found_in_cache(load, table.number("cached_tokens").astype(np.float64)[order])

    def since(name: str) -> Floats:
        column: Floats = table.number(name).astype(np.float64)[order]
        seconds: Floats = (column - sent[order[0]]) / _NS_PER_S
        return seconds

    return RunTimes(load, Times(arrival, since("first_token_ns"), since("last_token_ns")))


def _found_in_cache(load: Load, tokens: Floats) -> Load:
    """The load whose prompts have so many tokens ready (NaN = none); the last of a prompt never is."""
    jobs = (
        msgspec.structs.replace(job, ready_tokens=min(int(found), job.prompt_tokens - 1))
        if found > 0
        else job
        for job, found in zip(load.jobs, tokens.tolist(), strict=True)
    )
    return Load(jobs=tuple(jobs), concurrency=load.concurrency)


def _counts(table: PointTable, kind: str) -> Floats:
    server, client, target = (
        table.number(f"{kind}_tokens_{source}").astype(np.float64)
        for source in ("server", "client", "target")
    )
    return np.where(server > 0, server, np.where(client > 0, client, target))
