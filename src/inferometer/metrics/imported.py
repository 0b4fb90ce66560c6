"""The numbers of a run that another tool measured: by our definitions where it lists its requests, else as it states.

Nothing is made up: what the files do not tell is absent. The verdict is WARN at best, as nobody can prove afterwards
that the client of the other tool kept up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from inferometer.metrics.client_health import client_health
from inferometer.metrics.counts import Counts, Tokens, count_requests, count_tokens
from inferometer.metrics.dictionary import METRICS
from inferometer.metrics.latency import PointData
from inferometer.metrics.metric import Metric
from inferometer.metrics.percentiles import Stat, percentile_name, samples_needed, stat
from inferometer.metrics.rows import Estimate, Row, measured_rows, rows_of
from inferometer.metrics.series import samples_of
from inferometer.metrics.summary import SCHEMA, PointSummary, RunSummary, stored_spec
from inferometer.metrics.throughput import window_s
from inferometer.metrics.verdict import Condition, Verdict, decide, worst
from inferometer.record.imported import Imported, ImportedPoint, ImportedStat
from inferometer.record.tables import PointTable, RunRecord, Telemetry
from inferometer.spec import Measure, load_title

# What a record of requests holds that another tool stamped. Lags, bytes and tails are about our own client.
_RECOMPUTED = (
    "ttft", "ttfat", "e2el", "tpot", "itl", "second_token_gap", "input_tokens", "output_tokens", "cached_tokens",
    "cached_share", "request_throughput", "input_throughput", "output_throughput", "total_throughput",
    "concurrency_mean", "concurrency_peak", "output_throughput_per_user",
)  # fmt: skip
_OF_ENDS = {"concurrency_mean", "concurrency_peak"}  # which take the end of failed requests, too
_MARK = re.compile(r"(?:^|[(;] ?)(INVALID: [^()]+)")  # as ``exchange.exporting`` marks what it writes
_AGREES = 0.01  # a recomputed figure that differs by less is the same one, rounded


def summarize_imported(run: RunRecord, imported: Imported) -> RunSummary:
    """The summary of an imported run; see the module.

    Raises:
        RunFolderError: the stored spec cannot be read.
    """
    measure = stored_spec(run.meta).measure
    points, checks = [], []
    for table in run.measured:
        told = imported.of_point(table.point.index) or ImportedPoint(point=table.point.index)
        data = PointData(table)
        point = _summary(data, told, measure)
        points.append(point)
        checks += list(_differences(point, told, imported.tool))
    own = decide([_measured_by_us(imported), *_invalid(run.meta.model, imported)])
    word = worst([own.word, *(point.verdict.word for point in points)])
    return RunSummary(
        schema=SCHEMA,
        run_id=run.meta.run_id,
        state=run.meta.state,
        simulated=run.meta.simulated,
        created_utc=run.meta.created_utc,
        model=run.meta.model,
        label=run.meta.label,
        labels=run.meta.labels,
        notes=[*run.meta.notes, *checks, *_as_stated(run, imported)],
        percentiles=_percentiles(points, measure),
        verdict=Verdict(word=word, conditions=own.conditions),
        points=points,
        rows=_rows(run, points, measure),
        sittings=run.meta.sittings,
        imported=imported,
    )


def has_requests(table: PointTable) -> bool:
    """Whether the other tool listed the requests of a load point."""
    return len(table.text("status")) > 0


def has_send_times(table: PointTable) -> bool:
    """Whether it also told when each was sent, without which nothing is known about rates and concurrency."""
    sent_ns = table.number("sent_ns")
    return has_requests(table) and not bool(np.isnan(sent_ns).any())


def _summary(data: PointData, told: ImportedPoint, measure: Measure) -> PointSummary:
    table = data.table
    listed = has_requests(table)
    values: dict[str, float | None] = {m.key: None for m in METRICS.values() if m.scope == "point"}
    values |= told.values
    stats = {key: _stated(key, found, told.completed) for key, found in told.stats.items()}
    counts = count_requests(table) if listed else _counts(told)
    if listed:
        values |= {key: found for key, found in _values(data).items() if found is not None}
        stats |= _stats(data, measure)
    return PointSummary(
        index=table.point.index,
        load=table.point.load,
        stop_reason=table.point.stop_reason,
        origin="sent",
        counts=counts,
        tokens=count_tokens(data) if listed else _NO_TOKENS,
        duration_s=window_s(data) or told.duration_s if listed else told.duration_s,
        values=values,
        stats=stats,
        stats_from_sent={},
        goodput=None,
        slo=[],
        client=client_health(table, Telemetry()),
        verdict=decide(_conditions(counts, told, stats, measure)),
    )


def _metrics() -> Iterator[Metric]:
    return (METRICS[name] for name in _RECOMPUTED)


def _values(data: PointData) -> dict[str, float | None]:
    if not has_send_times(data.table):
        return {}
    ends = not bool(np.isnan(data.table.number("end_ns")).any())
    found = {
        metric.key: metric.compute(data)
        for metric in _metrics()
        if metric.scope == "point" and (ends or metric.key not in _OF_ENDS)
    }
    return {key: None if value is None else float(value) for key, value in found.items()}


def _stats(data: PointData, measure: Measure) -> dict[str, Stat]:
    found = {}
    for metric in _metrics():
        if metric.scope != "point":
            summary = stat(np.asarray(metric.compute(data), dtype=np.float64), measure.percentiles)
            if summary is not None:
                found[metric.key] = summary
    return found


def _stated(key: str, found: ImportedStat, completed: int | None) -> Stat:
    """As the tool stated it, however few the values were; NaN, and a count of 0, where it does not tell."""
    pooled = key in ("itl_ms", "itl_token_ms")  # of as many values as there were gaps, and not of requests
    return Stat(
        count=found.count or (0 if pooled else completed or 0),
        mean=_or_nan(found.mean),
        std=_or_nan(found.std),
        min=_or_nan(found.min),
        max=_or_nan(found.max),
        percentiles={percentile_name(float(p)): value for p, value in found.percentiles.items()},
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _counts(told: ImportedPoint) -> Counts:
    ok, failed = told.completed or 0, told.failed or 0
    by_status = {name: number for name, number in (("ok", ok), ("failed", failed)) if number}
    return Counts(
        planned=ok + failed,
        records=ok + failed,
        ok=ok,
        failed=failed,
        cut_off=0,
        by_status=by_status,
        errors=[],
    )


_NO_TOKENS = Tokens(**dict.fromkeys(Tokens.__struct_fields__))


def _percentiles(points: Sequence[PointSummary], measure: Measure) -> list[float]:
    """Those of our definitions, and of stated statistics those that the tool chose."""
    stated = {
        float(name.removeprefix("p"))
        for point in points
        for key in ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")
        if key in point.stats
        for name, value in point.stats[key].percentiles.items()
        if value is not None
    }
    return sorted({*measure.percentiles, *stated})


def _rows(run: RunRecord, points: Sequence[PointSummary], measure: Measure) -> list[Row]:
    if run.measured and all(has_send_times(table) for table in run.measured):
        return measured_rows([samples_of(PointData(table)) for table in run.measured], measure.percentiles)
    known = {point.index: point for point in points}
    rows = rows_of([(point.index, point.load) for point in points])
    return [
        msgspec.structs.replace(row, estimates=_estimates([known[i] for i in row.points])) for row in rows
    ]


def _estimates(points: Sequence[PointSummary]) -> dict[str, Estimate]:
    """Means of what every repeat states; between them only, as nothing is known inside."""
    figures = [_figures(point) for point in points]
    common = [key for key in figures[0] if all(key in each for each in figures)]
    found = {}
    for key in common:
        own = [each[key] for each in figures]
        mean = sum(own) / len(own)
        spread = float(np.std(own, ddof=1) / mean) if len(own) > 1 and mean else None
        found[key] = Estimate(mean=mean, low=None, high=None, repeats=len(own), spread=spread)
    return found


def _figures(point: PointSummary) -> dict[str, float]:
    found = {key: value for key, value in point.values.items() if value is not None}
    for key, one in point.stats.items():
        places = {"mean": one.mean, **one.percentiles}
        found |= {f"{key}.{place}": v for place, v in places.items() if v is not None and not math.isnan(v)}
    return found


def _measured_by_us(imported: Imported) -> Condition:
    return Condition(
        name="measured by us",
        level="warn",
        asked=f"measured by inferometer, not by {imported.tool}",
        measured=None,
        limit=None,
        unit="",
        ok=False,
        next_step="planned send times, kernel receive times and the health of that client are not recorded, so that "
        "nothing proves its figures; inferometer run measures the same load with proof",
    )


def _invalid(model: str, imported: Imported) -> Iterator[Condition]:
    """What a run of ours was INVALID for, which its exports say wherever they have room for a text."""
    marks = [model, imported.stated, [point.stated for point in imported.points]]
    found = next(filter(None, map(_MARK.search, _texts(marks))), None)
    if found is not None:
        yield Condition(
            name="as it was exported",
            level="hard",
            asked="a run that its own conditions do not call INVALID",
            measured=None,
            limit=None,
            unit="",
            ok=False,
            next_step=f"the files say: {found[1]}; measure again",
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each))


def _conditions(
    counts: Counts, told: ImportedPoint, stats: Mapping[str, Stat], measure: Measure
) -> Iterator[Condition]:
    share = counts.failed_share
    known = told.failed is not None or counts.errors
    yield Condition(
        name="errors",
        level="hard",
        asked="failed share",
        measured=share if known else None,
        limit=measure.error_limit,
        unit="share",
        ok=share is not None and share <= measure.error_limit if known else None,
        next_step="find the cause of the most frequent error, or lower the load"
        if known
        else "the files do not say how many requests failed",
    )
    needs = {
        samples_needed(float(name.removeprefix("p"))): (name, found.count)
        for key, found in stats.items()
        if key in ("ttft_ms", "tpot_ms", "e2el_ms")
        for name, value in found.percentiles.items()
        if value is not None and found.count and 0 < float(name.removeprefix("p")) < 100
    }
    if needs and max(needs) > needs[max(needs)][1]:
        name, count = needs[max(needs)]
        yield Condition(
            name="samples",
            level="warn",
            asked=f"requests that the stated {name} takes",
            measured=count,
            limit=max(needs),
            unit="requests",
            ok=False,
            next_step=f"read {name} as one of the slowest requests, not as a percentile",
        )


def _differences(point: PointSummary, told: ImportedPoint, tool: str) -> Iterator[str]:
    """Where our recomputation from the listed requests is not what the tool states."""
    if not point.counts.records:
        return
    title = load_title(point.load)
    windows = 0  # rates differ alike where the time that they are over does
    for key, stated in told.values.items():
        ours = point.values.get(key)
        if ours is None or not _apart(ours, stated):
            continue
        windows += key.endswith("_throughput_per_s")
        if windows <= 1 or not key.endswith("_throughput_per_s"):
            yield _difference(title, key, (stated, ours), tool, told.definitions.get(key, ""))
    for key, found in told.stats.items():
        own = point.stats.get(key)
        places = {"mean": found.mean, **{percentile_name(float(p)): v for p, v in found.percentiles.items()}}
        for place, value in places.items():
            ours = None if own is None else own.mean if place == "mean" else own.percentiles.get(place)
            if value is not None and ours is not None and _apart(ours, value):
                yield _difference(title, f"{place} {key}", (value, ours), tool, found.definition)
                break  # the others follow from the same cause


def _as_stated(run: RunRecord, imported: Imported) -> Iterator[str]:
    """Whose the figures are, where requests are not listed."""
    tool, figures = imported.tool, any(point.values or point.stats for point in imported.points)
    if figures and not all(has_requests(table) for table in run.measured):
        yield f"{tool} lists no requests: figures are as it states them, percentiles of any number of requests"


def _apart(ours: float, stated: float) -> bool:
    return abs(ours - stated) > _AGREES * max(abs(ours), abs(stated))


def _difference(title: str, key: str, figures: tuple[float, float], tool: str, definition: str) -> str:
    stated, ours = figures
    why = f" ({tool} counts {definition})" if definition else ""
    return f"{title}: {key} is {stated:,.2f} as {tool} states it, {ours:,.2f} from its requests as we define it{why}"
