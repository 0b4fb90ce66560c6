"""From a closed run to its numbers: derived, never stored as truth, computed anew whenever somebody asks."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from pydantic import ValidationError

from inferometer.errors import RunFolderError
from inferometer.metrics import conditions, slo
from inferometer.metrics.audit import Drift, input_drift
from inferometer.metrics.client_health import Client, client_health
from inferometer.metrics.counts import Counts, Tokens, count_requests, count_tokens
from inferometer.metrics.course import output_course
from inferometer.metrics.data_rows import DataRows, data_rows_of
from inferometer.metrics.dictionary import METRICS
from inferometer.metrics.engine_conditions import engine_conditions
from inferometer.metrics.evidence import Evidence
from inferometer.metrics.failures import Reading, read_failures
from inferometer.metrics.groups import Group, groups_of
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.nodes import Nodes, by_node, nodes_told
from inferometer.metrics.percentiles import Stat, stat
from inferometer.metrics.rows import Row, measured_rows, repeat_conditions
from inferometer.metrics.senders import Sender, sender_conditions, senders_of
from inferometer.metrics.sent import Pictures, pictures_of
from inferometer.metrics.series import samples_of
from inferometer.metrics.servers import ServerSummary, by_server
from inferometer.metrics.sittings import sitting_conditions
from inferometer.metrics.speculative import Speculative, speculative_of
from inferometer.metrics.spike import Spike, spike_of
from inferometer.metrics.steady import Steady, steady_of
from inferometer.metrics.throughput import window_s
from inferometer.metrics.verdict import Condition, Verdict, Word, decide, worst
from inferometer.metrics.views.vllm import DEFAULT_PERCENTILES, vllm_result
from inferometer.record.engine import EngineRecord
from inferometer.record.imported import Imported
from inferometer.record.prediction import Prediction
from inferometer.record.tables import PointTable, RunRecord, Telemetry
from inferometer.record.types import RunMeta, Sitting
from inferometer.spec import Measure, RunSpec, Sampling, resolve_ignore_eos

SCHEMA = "inferometer.summary/1"
_ORIGINS_DIFFER = 0.01


class PointSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one load point.

    Attributes:
        load: the load point as asked.
        origin: what latencies in ``stats`` are counted from.
        duration_s: last end - first send of the successful requests; None without any.
        values: metrics with one number, by key (``output_throughput_per_s``); None = does not exist.
        stats: metrics with a sample, by key (``ttft_ms``); a metric without a value is not in it.
        stats_from_sent: those latencies whose median or p99 changes by more than 1 % when counted from the
        send. slo: limits on the whole point.
        failures: what the failures mean, where a limit may explain them.
        servers: each of several servers by itself; empty when there is one.
        nodes: the same by host; None when there is one.
        groups: the same latencies for parts of the requests: "turn" where sessions were sent, "model" for a mix.
        pictures: what went out with the prompts; None for requests of text alone.
        rows: rows of the data set file that were not sent; None for generated data.
        input_drift: counts of prompt tokens that differ, by pair; empty when all agree.
        steady: rates and latencies while the load was held, or why there was no such time.
        course: output tokens per second in equal parts of its time, see ``metrics.course``; empty where not known.
        sitting: place in ``RunSummary.sittings`` of the one that measured it.
        spike: latencies before, during and after a spike, and the time to recover; None without one.
        speculative: drafts and how much of them was accepted; None where nothing tells of speculative decoding.
        vllm: the point as ``vllm bench serve`` would report it.
    """

    index: int
    load: dict[str, Any]
    stop_reason: str | None
    origin: Literal["planned", "sent"]
    counts: Counts
    tokens: Tokens
    duration_s: float | None
    values: dict[str, float | None]
    stats: dict[str, Stat]
    stats_from_sent: dict[str, Stat]
    goodput: slo.Goodput | None
    slo: list[slo.SloResult]
    client: Client
    verdict: Verdict
    failures: list[Reading] = []
    servers: list[ServerSummary] = []
    nodes: Nodes | None = None
    groups: dict[str, list[Group]] = {}
    pictures: Pictures | None = None
    rows: DataRows | None = None
    input_drift: list[Drift] = []
    steady: Steady | None = None
    spike: Spike | None = None
    speculative: Speculative | None = None
    course: list[float] = []
    sitting: int = 0
    vllm: dict[str, Any] | None = None


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a run: its measured load points and the worst of their verdicts; repeats of a load as one row.

    ``verdict.conditions`` holds the conditions on the run as a whole; each point has its own.
    """

    schema: str
    run_id: str
    state: str
    simulated: bool
    created_utc: str
    model: str
    label: str
    labels: dict[str, str]
    notes: list[str]
    percentiles: list[float]
    verdict: Verdict
    points: list[PointSummary]
    rows: list[Row] = []
    sittings: list[Sitting] = []  # notes of all but the latest, whose notes are the run's
    engine: EngineRecord | None = None  # the server, where the run started it itself
    senders: list[Sender] = []  # machines that sent the load, where others than this one did
    prediction: Prediction | None = (
        None  # what was simulated, and how sure its numbers are; None for a measured run
    )
    imported: Imported | None = None  # what another tool reported of its run; None for a run of ours


def summarize(run: RunRecord) -> RunSummary:
    """The summary of a closed run; warm-up points are left out.

    Raises:
        RunFolderError: the stored spec cannot be read.
        UsageError: the stored spec holds an SLO that cannot be read.
    """
    if run.imported is not None:
        from inferometer.metrics.imported import summarize_imported  # it makes what this module defines

        return summarize_imported(run, run.imported)
    spec = stored_spec(run.meta)
    sampling = spec.sampling.model_copy(update={"ignore_eos": resolve_ignore_eos(spec)})
    urls = (spec.endpoint.url, *spec.endpoint.more_url)
    served = (spec.sweep.nodes_served or nodes_told(urls), spec.sweep.devices_served)
    points, samples = [], []
    for table in run.measured:
        data = _data(table, spec.measure, served)
        points.append(
            msgspec.structs.replace(
                _summary(data, spec.measure, sampling, run.telemetry),
                servers=by_server(data, urls, spec.measure.percentiles),
                nodes=by_node(data, urls, spec.measure.percentiles),
                vllm=vllm_result(table, run.meta, percentiles=_percentiles_for_vllm(spec.measure)),
            )
        )
        samples.append(samples_of(data))
    rows = measured_rows(samples, spec.measure.percentiles, sort=spec.sweep.order != "given")
    own = decide(
        [
            *_run_conditions(run),
            *sitting_conditions(run.meta),
            *engine_conditions(run.meta),
            *sender_conditions(run.meta),
            *repeat_conditions(rows),
        ]
    )
    return RunSummary(
        schema=SCHEMA,
        run_id=run.meta.run_id,
        state=run.meta.state,
        simulated=run.meta.simulated,
        created_utc=run.meta.created_utc,
        model=run.meta.model,
        label=run.meta.label,
        labels=run.meta.labels,
        notes=run.meta.notes,
        percentiles=list(spec.measure.percentiles),
        verdict=Verdict(word=_worst_of(own, points), conditions=own.conditions),
        points=points,
        rows=rows,
        sittings=run.meta.sittings,
        engine=run.meta.engine,
        senders=senders_of(run.meta),
        prediction=run.prediction,
        imported=run.imported,
    )


def _percentiles_for_vllm(measure: Measure) -> tuple[float, ...]:
    """Those that were asked for; when none were, vLLM's own default, p99 alone."""
    return DEFAULT_PERCENTILES if measure.percentiles == Measure().percentiles else measure.percentiles


def summarize_point(
    table: PointTable,
    measure: Measure,
    sampling: Sampling | None = None,
    telemetry: Telemetry | None = None,
    served: tuple[int | None, int | None] = (None, None),
) -> PointSummary:
    """The numbers of one load point, latencies from the planned time.

    Args:
        table: the load point.
        measure: percentiles, limits and the error limit.
        sampling: what answers were asked to be like (streamed, of fixed length); defaults as in a spec.
        telemetry: what was sampled during the run.
        served: nodes and devices that serve; None = not told.

    Raises:
        UsageError: an SLO in ``measure`` cannot be read.
    """
    return _summary(_data(table, measure, served), measure, sampling or Sampling(), telemetry or Telemetry())


def _data(table: PointTable, measure: Measure, served: tuple[int | None, int | None]) -> PointData:
    return PointData(table, "planned", measure.slo, served, measure.steady_window)


def _summary(data: PointData, measure: Measure, sampling: Sampling, telemetry: Telemetry) -> PointSummary:
    table, counts, stats = data.table, count_requests(data.table), _stats(data, measure)
    evidence = Evidence(data, counts, stats, measure, sampling, telemetry)
    return PointSummary(
        index=table.point.index,
        sitting=table.point.sitting,
        load=table.point.load,
        stop_reason=table.point.stop_reason,
        origin=data.origin,
        counts=counts,
        tokens=count_tokens(data),
        duration_s=window_s(data),
        values={m.key: _number(m.compute(data)) for m in METRICS.values() if m.scope == "point"},
        stats=stats,
        stats_from_sent=_stats_that_differ(data, measure),
        goodput=slo.goodput(data),
        slo=slo.judge_point(data),
        client=client_health(table, telemetry),
        verdict=decide(conditions.judge(evidence)),
        groups=groups_of(data, measure.percentiles),
        failures=read_failures(table, sampling.stream),
        pictures=pictures_of(data),
        rows=data_rows_of(table),
        input_drift=input_drift(data),
        spike=spike_of(data, measure.percentiles),
        steady=steady_of(data),
        speculative=speculative_of(data),
        course=output_course(data),
    )


def stored_spec(meta: RunMeta) -> RunSpec:
    """The spec in ``run.json``, without its load: each point carries its own, with no lists left.

    Raises:
        RunFolderError: it does not follow the model of this version.
    """
    try:
        return RunSpec.model_validate({key: part for key, part in meta.spec.items() if key != "load"})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunFolderError(
            f"run {meta.run_id}: spec.{where} in run.json: {first['msg']}",
            "read the run with the version of inferometer that wrote it",
        ) from error


def _stats(data: PointData, measure: Measure) -> dict[str, Stat]:
    found = {}
    for metric in METRICS.values():
        if metric.scope != "point":
            summary = stat(_sample(metric.compute(data)), measure.percentiles)
            if summary is not None:
                found[metric.key] = summary
    return found


def _stats_that_differ(data: PointData, measure: Measure) -> dict[str, Stat]:
    from_sent = PointData(data.table, "sent")
    found = {}
    for name in ("ttft", "ttfat", "e2el"):
        headline, other = (_sample(METRICS[name].compute(d)) for d in (data, from_sent))
        summary = stat(other, measure.percentiles)
        if summary is not None and _differ(headline, other):
            found[METRICS[name].key] = summary
    return found


def _differ(first: Floats, second: Floats) -> bool:
    if np.isnan(first).all() or np.isnan(second).all():
        return False
    a, b = np.nanpercentile(first, (50, 99)), np.nanpercentile(second, (50, 99))
    return bool((np.abs(a - b) > _ORIGINS_DIFFER * np.abs(a)).any())


def _sample(values: Floats | float | None) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _number(value: Floats | float | None) -> float | None:
    return None if value is None else float(value)


def _run_conditions(run: RunRecord) -> list[Condition]:
    measured = len(run.measured)
    complete = {"complete": True, "recovered": False, "interrupted": False, "failed": False}.get(
        run.meta.state
    )
    return [
        Condition(
            name="measured points",
            level="hard",
            asked="at least one",
            measured=measured,
            limit=1,
            unit="points",
            ok=measured > 0,
            next_step="the run ended before anything was measured: see notes in run.json",
        ),
        Condition(
            name="complete",
            level="warn",
            asked="the run came to its end",
            measured=None,
            limit=None,
            unit="",
            ok=complete,
            next_step="; ".join(
                [
                    f"the run is {run.meta.state}: numbers cover only what was measured until then",
                    *run.meta.notes,
                ]
            ),
        ),
    ]


def _worst_of(own: Verdict, points: list[PointSummary]) -> Word:
    return worst([own.word, *(point.verdict.word for point in points)])
