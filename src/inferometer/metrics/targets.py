"""What a search for a peak, a knee or a batch size found: data for reports and files, worked out in the tuner."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "failed", "no evidence"]


class CurveProbe(msgspec.Struct, frozen=True, kw_only=True):
    """What one load point says about throughput and latency.

    Attributes:
        load: the value of the load that was varied.
        repeat: which measurement of this load, from 1 on.
        index: of the load point in its run.
        state: "failed": more requests failed than may; "no evidence": the load generator, and not the server, set the
            figures, or there are none.
        throughput: of the objective, per second; None without one.
        low, high: its interval inside the load point; None when it cannot be known.
        requests_per_s: successful requests per second.
        e2el_ms: mean E2EL (end-to-end latency) from the send.
        latency_ms: mean, from the planned time, of the latency that is weighed against throughput.
        failed_share: failed / ended requests.
        steady: whether throughput is that of the steady window; else of the whole load point.
        remark: why the state is not "ok", or what casts doubt on the figures.
    """

    load: float
    repeat: int
    index: int
    state: State
    throughput: float | None
    low: float | None = None
    high: float | None = None
    requests_per_s: float | None = None
    e2el_ms: float | None = None
    latency_ms: float | None = None
    failed_share: float | None = None
    steady: bool = False
    remark: str | None = None

    @property
    def evidence(self) -> bool:
        """Whether it says anything about the server."""
        return self.state != "no evidence"


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One load on the curve, its repeats put together.

    Attributes:
        throughput: mean over the repeats, per second; None where the load was not carried.
        low, high: where the mean lies with 95 %, from the spread between all repeats of the curve.
        latency_ms: mean over the repeats.
    """

    load: float
    repeats: int
    state: State
    throughput: float | None
    low: float | None
    high: float | None
    latency_ms: float | None


class PeakResult(msgspec.Struct, frozen=True, kw_only=True):
    """The peak of throughput over a load.

    Attributes:
        objective: "output-throughput", "total-throughput" or "request-throughput".
        unit: of ``throughput``: "tok/s" or "req/s".
        load: the smallest load whose throughput is within ``tolerance`` of the peak; None when no load was carried.
        throughput: there, with its 95 % interval.
        tolerance: share of the peak that counts as none.
        peak_load: the load with the highest throughput of all; it differs from ``load`` on a plateau.
        reached: whether throughput had stopped rising below the largest load that was allowed.
        decline: share of the peak that is lost at the worst load beyond it, where that is more than chance.
        least_load: no load below it can carry the peak, by Little's law.
        limited_by: what ends the rise, in words.
        sure: whether loads beyond were measured again and found no better; ``doubts`` say why not.
    """

    objective: str
    unit: str
    load: float | None
    throughput: float | None
    low: float | None
    high: float | None
    requests_per_s: float | None
    latency_ms: float | None
    tolerance: float
    peak_load: float | None
    peak_throughput: float | None
    reached: bool
    decline: float | None
    least_load: float | None
    limited_by: str
    sure: bool
    why: list[str]
    doubts: list[str]
    curve: list[CurvePoint]
    probes: list[CurveProbe]


class KneeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The load from which on more load costs more latency than it gains throughput (Kleinrock's power at its maximum).

    Attributes:
        load: the measured load of highest power (throughput / latency); None when there is none.
        low, high: the loads between which the knee lies, as far as noise and the steps between loads let it be known.
        power: throughput per second of latency, at ``load``.
        gain_below, gain_above: percent of throughput per percent of load, below and above the knee; with a fixed number
            in flight the knee is where it is 0.5.
        bend: whether power falls on both sides of ``load``.
    """

    objective: str
    unit: str
    latency: str
    load: float | None
    low: float | None
    high: float | None
    throughput: float | None
    latency_ms: float | None
    power: float | None
    gain_below: float | None
    gain_above: float | None
    bend: bool
    limited_by: str
    sure: bool
    why: list[str]
    doubts: list[str]
    curve: list[CurvePoint]
    probes: list[CurveProbe]


class BatchRound(msgspec.Struct, frozen=True, kw_only=True):
    """One batch size, measured once. Names of the figures are those of modeltest's ``performance_maxbs``.

    Attributes:
        batch: requests that were sent together.
        carried: whether the server decoded the whole batch at once, and without more failures than may be.
        met: whether it did and the limit holds; None when the load point is no evidence about the server.
        total_time_s: from the first send to the last end, of one round; the mean when there were several.
        prefill_all_ms: until the last of the batch had its first token: the largest TTFT.
        prefill_average_ms: mean TTFT.
        non_first_token_ms: time per output token after the first, the statistic that the limit is on.
        non_first_token_throughput: batch / non-first token time, tokens per second.
        e2e_throughput: batch x output tokens / total time, tokens per second.
        remark: why ``met`` is not True, or what casts doubt on it.
    """

    batch: int
    repeat: int
    index: int
    carried: bool
    met: bool | None
    total_time_s: float | None
    prefill_all_ms: float | None
    prefill_average_ms: float | None
    non_first_token_ms: float | None
    non_first_token_throughput: float | None
    e2e_throughput: float | None
    remark: str | None = None

    @property
    def evidence(self) -> bool:
        """Whether it says anything about the server."""
        return self.met is not None


class MaxBatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The largest batch of one case whose time per non-first token stays within the limit.

    Attributes:
        input_tokens, output_tokens: lengths of every request.
        low, high: batch sizes that were allowed, both included.
        limit_ms: on ``statistic``.
        batch: the answer; None when not even ``low`` met the limit.
        best: the figures at ``batch``, means over its repeats.
        at_least, at_most: the answers that the noise leaves open.
    """

    input_tokens: int
    output_tokens: int
    low: int
    high: int
    limit_ms: float
    statistic: str
    batch: int | None
    best: BatchRound | None
    at_least: int | None
    at_most: int | None
    limited_by: str
    sure: bool
    why: list[str]
    doubts: list[str]
    rounds: list[BatchRound]
