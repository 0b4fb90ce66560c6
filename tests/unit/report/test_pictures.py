"""Pictures of runs: values by hand, and only those that there is data for."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np
from drawn_runs import chart, closed_loop, drawn, load, saturating
from run_builder import point, request, run

from inferometer.metrics.latency import PointData
from inferometer.metrics.summary import summarize
from inferometer.record.imported import Imported, ImportedPoint, ImportedStat
from inferometer.record.prediction import PointPrediction, Predicted, Prediction
from inferometer.record.tables import PointTable, RunRecord, Telemetry
from inferometer.report.plots.build import pictures_of
from inferometer.report.plots.loads import knee_of, loads_of
from inferometer.report.plots.model import Chart, Gantt, Heat, Mark
from inferometer.report.plots.place import Place
from inferometer.report.plots.table import columns_of
from inferometer.report.plots.telemetry import quantity_of
from inferometer.report.plots.throughput import throughput_latency
from inferometer.report.plots.timeline import gantt
from inferometer.report.words import same


def keys(plots: tuple[object, ...]) -> list[str]:
    return [plot.key for plot in plots]  # type: ignore[attr-defined]


def mark(found: Chart, kind: str, axis: str) -> Mark:
    return next(each for each in found.marks if each.kind == kind and each.axis == axis)


def test_throughput_stands_against_latency_with_the_knee_where_power_is_highest() -> None:
    _record, summary = saturating()
    found = chart(throughput_latency([("", summary)]), "throughput_ttft")
    line = found.series[0]
    assert [label.en for label in line.labels] == [f"concurrency {c}" for c in (2, 4, 8, 16, 32)]
    assert line.labels[0].zh == "并发数 2"
    # 2 users with 4 tokens each 20 + 3 x 10 ms: 8 tokens each 50 ms
    assert np.allclose(line.x[:2], (160.0, 320.0))
    assert np.allclose(line.y, (20.0, 20.0, 22.0, 50.0, 110.0))
    assert found.n == sum(25 * c for c in (2, 4, 8, 16, 32))
    # output throughput / E2EL: 160/50, 320/50, 582/55, 512/125, 465/275: the third
    knee = mark(found, "knee", "x")
    assert (knee.name.en, knee.name.zh) == ("knee: concurrency 8", "拐点：并发数 8")
    assert math.isclose(knee.start or 0.0, 8 * 4 / 0.055)


def test_the_percentile_is_the_highest_that_all_loads_can_show() -> None:
    _record, summary = saturating()  # 50 requests at the lightest load: a p90 takes 100, p50 20
    found = chart(throughput_latency([("", summary)]), "throughput_ttft")
    assert found.y.name.en == "TTFT p50"
    assert found.note is not None
    assert "not all loads" in found.note.en


def test_loads_that_another_beats_in_both_are_not_on_the_front() -> None:
    _, summary = saturating()
    _, front = chart(throughput_latency([("", summary)]), "throughput_ttft").series
    # 2 brings less than 4 at the same 20 ms; 16 and 32 are slower than 8 and bring less
    assert ([label.en for label in front.labels], front.role) == (["concurrency 4", "concurrency 8"], "good")
    fast = drawn(closed_loop(16, 21.0, 10.0), label="fast")[1]
    both = chart(throughput_latency([("slow", summary), ("fast", fast)]), "throughput_ttft")
    slow_line, fast_line, front = both.series
    assert (slow_line.name.en, slow_line.role, fast_line.role) == ("slow", "main", "second")
    assert np.allclose(front.x, (320.0, 16 * 4 / 0.051))
    assert np.allclose(front.y, (20.0, 21.0))


def test_limits_and_the_load_up_to_which_they_are_met() -> None:
    spec = {"measure": {"slo": ["p50_ttft<=30ms", "tpot:20"]}}
    record, summary = saturating(spec=spec)
    overview = pictures_of(record, summary).overview
    ttft = chart(overview, "ttft_over_concurrency")
    assert mark(ttft, "limit", "y").start == 30.0
    met = mark(ttft, "good", "x")
    assert (met.end, met.zone, met.name.en) == (8.0, True, "SLO met up to concurrency 8")
    against = chart(overview, "throughput_ttft")
    assert mark(against, "good", "y").end == 30.0
    cdf = chart(overview, "tpot_cdf")
    assert (mark(cdf, "limit", "x").start, mark(cdf, "limit", "x").name.en) == (20.0, "SLO tpot:20")
    assert not [each for each in chart(overview, "itl_cdf").marks if each.kind == "limit"]


def test_repeats_give_intervals_and_predictions_theirs() -> None:
    tables = [closed_loop(4, ttft, 10.0, index=k, repeat=k) for k, ttft in ((1, 20.0), (2, 24.0), (3, 22.0))]
    _, summary = drawn(*tables)
    (line, *_) = chart(throughput_latency([("", summary)]), "throughput_ttft").series
    estimate = summary.rows[0].estimates["output_throughput_per_s"]
    assert line.x_low is not None
    assert line.x_low.tolist() == [estimate.low]

    _record, summary = saturating()
    number = Predicted(metric="ttft_ms", statistic="p50", value=20.0, low=15.0, high=27.0)
    prediction = Prediction(what="x", points=[PointPrediction(point=1, members=8, numbers=[number])])
    summary = type(summary)(
        **{f: getattr(summary, f) for f in summary.__struct_fields__} | {"prediction": prediction}
    )
    found = chart(throughput_latency([("", summary)]), "throughput_ttft")
    assert found.series[0].low is not None
    assert found.series[0].high is not None
    assert (found.series[0].low[0], found.series[0].high[0]) == (15.0, 27.0)
    assert found.note is not None
    assert "90 of 100" in found.note.en


def test_one_load_point_gives_all_that_it_can() -> None:
    record, summary = drawn(closed_loop(2, 20.0, 10.0))
    pictures = pictures_of(record, summary)
    assert keys(pictures.overview) == [
        "throughput_ttft", "throughput_tpot", "per_user", "ttft_cdf", "ttft_tail", "tpot_cdf", "tpot_tail",
        "itl_cdf", "itl_tail", "e2el_cdf", "e2el_tail",
    ]  # fmt: skip
    (place,) = pictures.points
    assert keys(place.plots)[:4] == ["timeline-1", "in_flight-1", "output_rate-1", "request_rate-1"]
    per_user = chart(pictures.overview, "per_user").series[0]
    assert np.allclose((per_user.x[0], per_user.y[0]), (100.0, 160.0))  # 1 / 10 ms; two users


def test_only_failures_give_the_pictures_of_failures() -> None:
    failed = [
        request(i, planned=i * 10, sent=i * 10, end=i * 10 + 5, status="http_error", http_status=503, error="busy",
                streamed=False)
        for i in range(40)
    ]  # fmt: skip
    record, summary = drawn(point(failed, load=load(1)))
    pictures = pictures_of(record, summary)
    assert pictures.overview == ()
    plots = pictures.points[0].plots
    rates = chart(plots, "request_rate-1")
    assert [series.role for series in rates.series] == ["main", "second", "bad"]
    timeline = plots[0]
    assert isinstance(timeline, Gantt)
    assert timeline.label[0] == "http_error: busy"
    assert timeline.ok.sum() == 0
    assert np.isnan(timeline.first).all()
    assert "output_rate-1" not in keys(plots)


def test_answers_without_a_stream_have_no_first_token() -> None:
    requests = [
        request(i, planned=i * 10, sent=i * 10, end=i * 10 + 10, streamed=False, output_tokens_server=4,
                input_tokens_server=3)
        for i in range(40)
    ]  # fmt: skip
    record, summary = drawn(point(requests, load=load(1)))
    pictures = pictures_of(record, summary)
    assert keys(pictures.overview) == ["throughput_e2el", "e2el_cdf", "e2el_tail"]
    assert (
        len(chart(pictures.points[0].plots, "in_flight-1").series) == 2
    )  # in flight, and asked: none that waits


def test_courses_count_what_was_there() -> None:
    record, summary = drawn(closed_loop(4, 20.0, 10.0, rounds=20))
    plots = pictures_of(record, summary).points[0].plots
    flight = chart(plots, "in_flight-1")
    held, waiting, asked = flight.series
    assert np.allclose(held.y, 4.0)
    assert np.allclose(asked.y, 4.0)
    assert (asked.role, flight.link) == ("asked", "time-1")
    assert math.isclose(float(waiting.y[:-1].mean()), 4 * 20.0 / 50.0)  # 20 of 50 ms
    rates = chart(plots, "request_rate-1").series[0]
    width = rates.x[1] - rates.x[0]
    assert math.isclose(float(rates.y[:-1].sum() * width), 80.0)
    tokens = chart(plots, "output_rate-1").series[0]
    assert math.isclose(float((tokens.y[:-1] * np.diff(tokens.x)).sum()), 320.0, rel_tol=0.02)


def test_a_timeline_of_too_many_requests_leaves_out_lanes_then_time_and_says_so() -> None:
    record, summary = drawn(closed_loop(40, 20.0, 10.0, rounds=50))  # 2,000 requests on 40 lanes
    place = Place(same("x"), PointData(record.tables[0]), summary.points[0], record.telemetry)
    whole = gantt(place)
    assert whole is not None
    assert (len(whole.lane), whole.note, whole.n) == (2000, None, 2000)
    few = gantt(place, most=500)  # all 40 lanes can be told apart, so time has to go
    assert few is not None
    assert (len(few.lane), len(set(few.lane.tolist())), few.n) == (500, 40, 2000)
    assert few.note is not None
    assert few.note.en.startswith(
        "Thinned: 500 of 2,000 requests, 40 of 40 lanes are drawn, requests sent at 0.9-"
    )
    assert (np.diff(np.sort(few.sent)) < 0.06).all()  # one stretch of time, without holes


def test_requests_that_wait_for_a_permit_have_lanes_of_their_own() -> None:
    # due at 0, 10, 20, 30; one at a time, 40 ms each: at 30 ms three wait beside the one that is answered
    requests = [
        request(i, planned=i * 10, queued=i * 40 if i else None, sent=i * 40, end=i * 40 + 40, streamed=False)
        for i in range(4)
    ]
    record, summary = drawn(point(requests, load=load(1, request_rate=100.0, closed=False)))
    timeline = gantt(Place(same("x"), PointData(record.tables[0]), summary.points[0], record.telemetry))
    assert timeline is not None
    assert timeline.lane.tolist() == [0, 1, 2, 3]
    assert timeline.planned.tolist() == [0.0, 0.01, 0.02, 0.03]


def test_lengths_that_differ_from_request_to_request_are_a_map_of_medians() -> None:
    rng = np.random.default_rng(3)
    table = closed_loop(20, 20.0, 10.0, rounds=40)
    inputs, outputs = rng.integers(10, 1000, 800).astype(float), rng.integers(4, 400, 800).astype(float)
    table.requests["input_tokens_server"][:] = inputs
    table.requests["output_tokens_server"][:] = outputs
    table.requests["first_token_ns"][:] = table.requests["sent_ns"] + inputs * 1e5
    record, summary = drawn(table)
    heat = next(plot for plot in pictures_of(record, summary).points[0].plots if plot.key == "lengths_ttft-1")
    assert isinstance(heat, Heat)
    assert heat.counts.sum() == 800
    for up in range(heat.values.shape[0]):
        for across in range(heat.values.shape[1]):
            inside = (inputs >= heat.x_edges[across]) & (outputs >= heat.y_edges[up])
            last = across == heat.values.shape[1] - 1, up == heat.values.shape[0] - 1
            inside &= (inputs < heat.x_edges[across + 1]) | (last[0] & (inputs == heat.x_edges[-1]))
            inside &= (outputs < heat.y_edges[up + 1]) | (last[1] & (outputs == heat.y_edges[-1]))
            assert heat.counts[up, across] == inside.sum()
            assert math.isclose(heat.values[up, across], float(np.median(inputs[inside])) / 10.0)


def test_a_run_of_another_tool_is_drawn_from_what_it_states() -> None:
    told = ImportedPoint(
        point=1, completed=500, values={"output_throughput_per_s": 100.0},
        stats={"ttft_ms": ImportedStat(mean=12.0, percentiles={"50": 10.0, "99": 30.0})},
    )  # fmt: skip
    record = run(point([], load=load(4), planned_requests=500, health=[]))
    record = RunRecord(
        record.path, record.meta, record.tables, imported=Imported(tool="x", format="y", points=[told])
    )
    pictures = pictures_of(record, summarize(record))
    line = chart(pictures.overview, "throughput_ttft").series[0]
    assert (line.x.tolist(), line.y.tolist()) == ([100.0], [30.0])
    cdf = chart(pictures.overview, "ttft_cdf")
    assert (cdf.series[0].x.tolist(), cdf.series[0].y.tolist()) == ([10.0, 30.0], [50.0, 99.0])
    assert cdf.note is not None
    assert "single requests are not known" in cdf.note.en
    assert pictures.points == ()


def test_a_sweep_of_lengths_is_a_map_at_each_load() -> None:
    tables = [
        closed_loop(2, 10.0 * x, 10.0, index=place, input_len=x, output_len=y)
        for place, (x, y) in enumerate([(1, 4), (1, 8), (2, 4), (2, 8)], start=1)
    ]
    record, summary = drawn(*tables)
    heat = next(plot for plot in pictures_of(record, summary).overview if plot.key == "lengths_ttft")
    assert isinstance(heat, Heat)
    assert heat.values.tolist() == [[10.0, 20.0], [10.0, 20.0]]  # rows along the output length
    assert heat.counts.tolist() == [[50.0, 50.0], [50.0, 50.0]]
    assert heat.x_edges[0] < 1 < heat.x_edges[1] < 2 < heat.x_edges[2]
    header, rows = columns_of(heat)
    assert header[4:] == ["ttft_p50_ms", "count"]
    assert len(rows) == 4


def test_what_was_sampled_beside_the_load_is_drawn_by_name_and_source() -> None:
    table = closed_loop(2, 20.0, 10.0)
    rows = [(f"device/{d}", "memory_used_bytes", k, 2.0**30 * (d + 1)) for d in (0, 1) for k in range(3)]
    rows += [("engine/0", "running_requests", k, 2.0) for k in range(3)] + [("client/0", "cpu_share", 0, 0.5)]
    telemetry = Telemetry(
        point=np.ones(len(rows), np.int64),
        at_ns=np.array([k * 10**9 for _, _, k, _ in rows]),
        source=np.array([source for source, *_ in rows], object),
        name=np.array([name for _, name, *_ in rows], object),
        value=np.array([value for *_, value in rows]),
    )
    record, summary = drawn(table)
    record = type(record)(record.path, record.meta, record.tables, telemetry)
    plots = pictures_of(record, summary).points[0].plots
    memory = chart(plots, "device_memory_used_bytes-1")
    assert [(each.name.en, each.y.tolist()) for each in memory.series] == [
        ("device/0", [1.0, 1.0, 1.0]), ("device/1", [2.0, 2.0, 2.0])
    ]  # fmt: skip
    assert (memory.y.unit, memory.n, memory.link) == ("GiB", 6, "time-1")
    assert chart(plots, "engine_count-1").series[0].name.en == "running requests (0)"
    assert chart(plots, "client_cpu-1").series[0].y.tolist() == [50.0]
    assert mark(chart(plots, "client_cpu-1"), "limit", "y").start == 85.0
    assert quantity_of("power_watts").unit == "W"


def test_the_interval_of_either_axis_has_columns_of_its_own() -> None:
    tables = [
        closed_loop(c, 20.0 + repeat, 10.0, index=2 * c + repeat, repeat=repeat + 1)
        for c in (2, 4)
        for repeat in (0, 1)
    ]
    overview = pictures_of(*drawn(*tables)).overview
    header, rows = columns_of(chart(overview, "throughput_over_concurrency"))
    tokens, requests = "output_throughput_tok_per_s", "request_throughput_req_per_s"
    assert header[3:] == [
        tokens,
        requests,
        *(f"{n}_{end}" for n in (tokens, requests) for end in ("low", "high")),
    ]
    known = {row[0]: [cell != "" for cell in row[3:]] for row in rows}
    assert known["output throughput"] == [True, False, True, True, False, False]
    assert known["request throughput"] == [False, True, False, False, True, True]


def test_a_wait_for_the_send_lies_on_no_other_request() -> None:
    late = [request(i, planned=i * 10.0, sent=i * 10.0 + 35.0 * (i % 2), first_token=i * 10.0 + 40, end=i * 10.0 + 45)
            for i in range(20)]  # fmt: skip
    record, summary = drawn(point(late, load=load(None, request_rate=100.0, closed=False)))
    timeline = pictures_of(record, summary).points[0].plots[0]
    assert isinstance(timeline, Gantt)
    spans = sorted(zip(timeline.lane, timeline.planned, timeline.end, strict=True))
    for (lane, _, end), (other, planned, _) in pairwise(spans):
        assert lane != other or planned >= end


def test_a_knee_takes_requests_enough_to_reach_the_loads_and_a_fall_that_is_no_chance() -> None:
    loads = ((1, 20.0, 10.0), (4, 19.0, 9.5), (16, 21.0, 10.5), (64, 40.0, 20.0))
    few = [
        closed_loop(1, t, g, index=k + 1, rounds=1, max_concurrency=c) for k, (c, t, g) in enumerate(loads)
    ]
    _, summary = drawn(*few)
    assert knee_of(loads_of(summary)) is None, "one request makes no 64 at once"
    lives = {
        c: math.sqrt(c) * (0.995 if c == 2 else 1.0) for c in (1, 2, 4)
    }  # equal power, but for 1 % of it
    flat = [closed_loop(c, 20.0 * life, 10.0 * life, index=c) for c, life in lives.items()]
    assert knee_of(loads_of(drawn(*flat)[1])) is None


def test_columns_have_units_and_empty_cells_where_nothing_is() -> None:
    record, summary = saturating()
    overview = pictures_of(record, summary).overview
    header, rows = columns_of(chart(overview, "throughput_over_concurrency"))
    assert header[:3] == ["series", "label", "concurrency"]
    assert header == [
        "series",
        "label",
        "concurrency",
        "output_throughput_tok_per_s",
        "request_throughput_req_per_s",
        *header[5:],
    ]
    assert rows[0][:5] == ["output throughput", "concurrency 2", 2.0, rows[0][3], ""]
    timeline = pictures_of(record, summary).points[0].plots[0]
    header, rows = columns_of(timeline)
    assert header == ["request", "lane", "planned_s", "sent_s", "first_s", "last_s", "end_s", "ok", "status"]
    assert rows[0] == [0.0, 0.0, 0.0, 0.0, 0.02, 0.05, 0.05, 1.0, "ok"]


def test_half_a_million_chunks_cost_little_memory_and_thin_out() -> None:
    count, each = 5000, 100
    rng = np.random.default_rng(1)
    start = np.sort(rng.uniform(0.0, 3e11, count))
    arrived = (start + rng.lognormal(19.0, 0.5, count))[:, None] + np.arange(each) * 2e7
    base = point(
        [request(0, planned=0, sent=0, end=1, first_token=1, last_token=1, output_tokens_server=each)]
    )
    columns = {name: np.repeat(values, count) for name, values in base.requests.items()}
    columns |= {
        "index": np.arange(float(count)),
        "planned_ns": start,
        "sent_ns": start,
        "end_ns": arrived[:, -1],
    }
    columns |= {"first_token_ns": arrived[:, 0], "last_token_ns": arrived[:, -1]}
    columns |= {"input_tokens_server": rng.integers(10, 4000, count).astype(float)}
    chunks = {name: np.zeros(count * each) for name in ("chars", "kind", "lag_ns")} | {
        "request": np.repeat(np.arange(float(count)), each), "recv_ns": arrived.ravel(),
        "tokens": np.ones(count * each), "read": np.tile(np.arange(float(each)), count),
    }  # fmt: skip
    base.point.load = load(None, request_rate=16.0, closed=False)
    record, summary = drawn(PointTable(base.point, columns, chunks))
    tracemalloc.start()
    pictures = pictures_of(record, summary)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500 * 2**20
    itl = chart(pictures.overview, "itl_cdf")
    assert itl.n == count * (each - 1)
    assert all(len(series.x) <= 401 for series in itl.series)
    scatter = chart(pictures.overview, "ttft_over_input")
    assert sum(len(series.x) for series in scatter.series[:-1]) <= 2000


def test_runs_with_and_without_a_stream_meet_in_the_time_to_the_end() -> None:
    whole = [
        request(
            i, planned=i * 50.0, sent=i * 50.0, end=i * 50.0 + 50.0, streamed=False, output_tokens_server=4
        )
        for i in range(50)
    ]
    _, at_once = drawn(point(whole, load=load(1)), label="whole")
    _, streamed = drawn(closed_loop(2, 20.0, 10.0))
    both = throughput_latency([("streamed", streamed), ("whole", at_once)])
    assert keys(both) == ["throughput_ttft", "throughput_tpot", "throughput_e2el", "per_user"]
    assert {"streamed", "whole"} <= {each.name.en for each in chart(both, "throughput_e2el").series}
