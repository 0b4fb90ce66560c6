"""What the records say: each finding with its evidence, and silence where there is none."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
import numpy as np
from drawn_runs import closed_loop, drawn, load, saturating
from run_builder import Chunk, point, request

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.conditions import HARD, WARN
from inferometer.metrics.verdict import Condition
from inferometer.record.types import ServerCounters
from inferometer.report.condition_words import CONDITIONS
from inferometer.report.findings import Finding, findings
from inferometer.report.plots.build import pictures_of


def found(run: Any, summary: Any) -> dict[str, Finding]:
    listed = findings(summary, run)
    assert len({finding.key for finding in listed}) == len(listed)
    return {finding.key: finding for finding in listed}


def test_the_knee_and_what_lies_beyond_it() -> None:
    knee = found(*saturating())["knee"]
    assert knee.text.en.startswith("The knee is at concurrency 8")
    # 8 x 4 tokens / 55 ms, 32 x 4 / 275 ms
    assert "output throughput 581.8 -> 465.5 tok/s (-20.0 %)" in knee.evidence.en
    assert "输出吞吐" in knee.evidence.zh
    assert knee.picture == "throughput_over_concurrency"


def test_throughput_that_still_rises_is_no_knee() -> None:
    run, summary = drawn(*(closed_loop(c, 20.0, 10.0, index=c) for c in (2, 4, 8)))
    said = found(run, summary)
    assert "knee" not in said
    assert "+100.0 %" in said["still rising"].evidence.en


def test_which_limit_ends_the_loads_that_are_good() -> None:
    spec = {"measure": {"slo": ["p50_ttft<=30ms", "p50_tpot<=1s"]}}
    said = found(*saturating(spec=spec))["slo"]
    assert said.text.en == "All limits are met up to concurrency 8."
    assert said.evidence.en == "concurrency 16: p50_ttft<=30ms: 50 ms"
    assert (said.level, said.picture) == ("info", "ttft_over_concurrency")


def test_a_limit_that_no_load_meets_and_one_that_cannot_be_known() -> None:
    none = found(*saturating(spec={"measure": {"slo": ["p50_ttft<=1ms"]}}))["slo"]
    assert (none.level, none.text.en) == ("warn", "Not even the lightest load meets all limits.")
    unknown = found(*saturating(spec={"measure": {"slo": ["p99_ttft<=1s"]}}))["slo"]
    assert unknown.text.en == "Whether concurrency 2 meets the limits is not known."
    assert "needs 1,000 values, has 50" in unknown.evidence.en
    every = found(*saturating(spec={"measure": {"slo": ["p50_ttft<=1s"]}}))["slo"]
    assert every.text.en == "All limits are met up to the heaviest load, concurrency 32."


def test_failures_come_first_and_say_what_they_mean() -> None:
    requests = [
        request(i, planned=i * 10, sent=i * 10, end=i * 10 + 5, status="http_error", http_status=503, streamed=False)
        for i in range(30)
    ]  # fmt: skip
    run, summary = drawn(point(requests, load=load(1)))
    listed = findings(summary, run)
    assert listed[0].key == "failures:http_error:503"
    assert listed[0].evidence.en == "30 of 30 requests at concurrency 1"
    assert "HTTP 503" in listed[0].text.zh
    levels = [finding.level for finding in listed]
    assert levels == sorted(levels, key=("bad", "warn", "info").index)


def test_a_failed_condition_tells_measured_limit_and_next_step() -> None:
    run, summary = saturating()
    samples = found(run, summary)["condition:samples"]
    assert samples.level == "warn"
    assert (
        samples.text.en == "Too few requests for some of the shown percentiles at concurrency 2 and 4 more."
    )
    assert samples.text.zh.startswith("并发数 2：样本不足")
    assert samples.evidence.en.endswith("50 values, limit 1,000 values")
    assert samples.next_step is not None
    assert "--num-prompts 1000" in samples.next_step.en


def test_waiting_for_a_permit_is_no_work_of_the_server() -> None:
    requests, chunks = [], []
    for i in range(40):
        planned, sent = i * 10.0, i * 40.0
        requests.append(
            request(i, planned=planned, queued=sent, sent=sent, first_token=sent + 10, last_token=sent + 30,
                    end=sent + 30, output_tokens_server=2, input_tokens_server=3)
        )  # fmt: skip
        chunks += [Chunk(i, sent + 10, read=0), Chunk(i, sent + 30, read=1)]
    table = point(requests, chunks, load=load(1, request_rate=100.0, closed=False))
    said = found(*drawn(table))["waited"]
    # planned 0, 10, ... 390; sent 0, 40, ... 1560: mean 195 + 10 and 780 - 195 later
    assert "mean TTFT 595.0 ms from the planned time, 10.0 ms from the send" in said.evidence.en
    assert "the limit of 1 in flight" in said.text.en


def test_lateness_within_its_limit_is_no_finding() -> None:
    requests = [
        request(i, planned=i * 40.0, sent=i * 40.0 + 0.5, first_token=i * 40.0 + 10, last_token=i * 40.0 + 30,
                end=i * 40.0 + 30, output_tokens_server=2, input_tokens_server=3)
        for i in range(40)
    ]  # fmt: skip
    record, summary = drawn(point(requests, load=load(None, request_rate=25.0, closed=False)))
    assert "ttft_ms" in summary.points[0].stats_from_sent, "it is told in the tables"
    assert "waited" not in found(record, summary)


def test_a_condition_is_told_from_where_it_is_worst() -> None:
    record, summary = saturating()
    points = []
    for place, one in enumerate(summary.points):
        lag = Condition(name="send lag", level="hard", asked="p99", measured=3.0 + 5.0 * (place == 3), limit=2.0,
                        unit="ms", ok=False, next_step="x")  # fmt: skip
        verdict = msgspec.structs.replace(one.verdict, conditions=[lag])
        points.append(msgspec.structs.replace(one, verdict=verdict))
    said = found(record, msgspec.structs.replace(summary, points=points))["condition:send lag"]
    assert said.text.en == "The client sent late at concurrency 16 and 4 more."
    assert "8 ms" in said.evidence.en.replace(".00", "")
    assert said.picture == "client_send_lag-4"


def test_an_unknown_limit_hides_no_limit_that_is_broken_beyond() -> None:
    said = found(*saturating(spec={"measure": {"slo": ["p99_ttft<=1s", "p50_ttft<=60ms"]}}))["slo"]
    assert said.text.en == "Whether concurrency 2 meets the limits is not known."
    assert said.evidence.en.endswith("not met: concurrency 32: p50_ttft<=60ms: 110 ms")


def test_what_a_search_found_stands_above_the_loads_that_it_measured() -> None:
    record, summary = saturating(spec={"measure": {"slo": ["p50_ttft<=30ms"]}})
    capacity = Capacity(variable="max-concurrency", status="bracketed", load=11.0, low=9.0, high=13.0,
                        limited_by="p50_ttft<=30ms", why="the budget is spent")  # fmt: skip
    said = {each.key: each for each in findings(summary, record, capacity)}["slo"]
    assert (said.level, said.text.en) == ("info", "All limits are met up to concurrency 11.")
    assert "95 % interval 9 to 13" in said.evidence.en
    zones = [mark for plot in pictures_of(record, summary, capacity).overview
             if plot.key in ("ttft_over_concurrency", "throughput_over_concurrency")
             for mark in plot.marks if mark.zone and mark.axis == "x"]  # type: ignore[union-attr]  # fmt: skip
    assert [(mark.end, mark.name.zh) for mark in zones] == [(11.0, "满足 SLO，直到并发数 11")] * 2
    none = {
        e.key: e
        for e in findings(summary, record, Capacity(variable="request-rate", status="none", load=None))
    }
    assert (none["slo"].level, none["slo"].text.en) == (
        "warn",
        "Load that meets all limits: not at any load.",
    )


def test_more_than_the_service_carries_is_told_by_the_steady_window() -> None:
    requests, chunks, free = [], [], 0.0
    for i in range(300):
        due = i * 10.0
        free = max(due, free + 1e3 / 60.0)
        requests.append(request(i, planned=due, sent=due, first_token=free + 10, last_token=free + 50, end=free + 50,
                                output_tokens_server=2, input_tokens_server=3))  # fmt: skip
        chunks += [Chunk(i, free + 10, read=0), Chunk(i, free + 50, read=1)]
    said = found(*drawn(point(requests, chunks, load=load(None, request_rate=100.0, closed=False))))
    told = said["condition:steady window"].next_step
    assert told is not None
    assert "in flight grew until the end" in told.en
    assert "the service carried about 60" in told.en


def test_preemptions_are_what_the_engine_counted_meanwhile() -> None:
    series = 'vllm:num_preemptions_total{engine="0"}'
    table = closed_loop(2, 20.0, 10.0)
    table.point.counters_before = [ServerCounters(source="a", values={series: 5.0})]
    table.point.counters_after = [ServerCounters(source="a", values={series: 12.0})]
    said = found(*drawn(table))["preemptions"]
    assert said.evidence.en == "7 preemptions, 50 requests"
    table.point.counters_after = [ServerCounters(source="a", values={series: 1.0})]  # it was restarted
    assert "preemptions" not in found(*drawn(table))


def test_servers_that_differ_by_more_than_chance() -> None:
    table = closed_loop(2, 20.0, 10.0)
    user = np.arange(50) % 2
    slow = 15e6 * user * np.ones(50)
    table.requests["server"][:] = user
    for name in ("last_token_ns", "end_ns"):
        table.requests[name][:] += slow
    spec = {"endpoint": {"url": "http://a:1", "more_url": ["http://b:1"]}}
    said = found(*drawn(table, spec=spec))["uneven servers"]
    assert "mean TPOT 15.0 ms at http://b:1, 10.0 ms at http://a:1" in said.evidence.en


def test_cached_prompts_are_told_once() -> None:
    table = closed_loop(2, 20.0, 10.0)
    table.requests["cached_tokens"][:] = 5.0  # of 10
    unasked = found(*drawn(table))
    assert "condition:cached prompt tokens" in unasked
    assert "prefix cache" not in unasked
    table.point.dataset = {"expected_hit_share": 0.6}
    meant = found(*drawn(table))["prefix cache"]
    assert meant.evidence.en.startswith("50.0 % of the prompt tokens")
    assert "60.0 %" in meant.evidence.en


def test_pictures_that_findings_lead_to_are_there() -> None:
    run, summary = saturating(spec={"measure": {"slo": ["p50_ttft<=30ms"]}})
    pictures = pictures_of(run, summary)
    keys = {plot.key for plot in pictures.overview}
    keys |= {plot.key for place in pictures.points for plot in place.plots}
    assert {f.picture for f in findings(summary, run) if f.picture is not None} <= keys


def test_every_condition_of_a_load_point_has_words_in_both_languages() -> None:
    source = "".join(inspect.getsource(inspect.getmodule(judge)) for judge in (*HARD, *WARN))  # type: ignore[arg-type]
    names = set(re.findall(r'name="([^"]+)"', source)) | set(re.findall(r'_share\(\s*"([^"]+)"', source))
    assert len(names) > 20
    assert names <= set(CONDITIONS)


def test_a_slight_wait_before_the_send_is_no_warning() -> None:
    requests = [
        request(i, planned=i * 40.0, sent=i * 40.0 + 0.2, first_token=i * 40.0 + 10.7, last_token=i * 40.0 + 30,
                end=i * 40.0 + 30, output_tokens_server=2, input_tokens_server=3)
        for i in range(40)
    ]  # fmt: skip
    record, summary = drawn(point(requests, load=load(4, request_rate=25.0, closed=False)))
    told = found(record, summary).get("waited")
    assert told is None or told.level == "info"
