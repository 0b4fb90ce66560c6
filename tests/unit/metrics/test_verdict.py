"""Each condition once held and once broken; a run is what its worst condition says."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from run_builder import Chunk, point, request, run, steady_requests

from inferometer.metrics.generator import late_ms
from inferometer.metrics.summary import summarize, summarize_point
from inferometer.metrics.verdict import Condition, decide, worst
from inferometer.record.tables import Telemetry
from inferometer.record.types import ClientHealth, RequestRecord
from inferometer.spec import Measure, Sampling

FIXED = Sampling(ignore_eos=True)


def judged(
    requests: list[RequestRecord], chunks: list[Chunk], sampling: Sampling = FIXED, **fields: Any
) -> dict[str, Condition]:
    summary = summarize_point(point(requests, chunks, **fields), Measure(), sampling)
    return {condition.name: condition for condition in summary.verdict.conditions}


def changed(position: int, **fields: Any) -> tuple[list[RequestRecord], list[Chunk]]:
    """A faultless point of 1,000 requests in which one request is another."""
    requests, chunks = steady_requests(1000)
    old = requests[position]
    kept = {name: getattr(old, name) for name in old.__struct_fields__}
    requests[position] = RequestRecord(**(kept | fields))
    return requests, chunks


def health(**fields: Any) -> list[ClientHealth]:
    sound = {"receive_clock": "kernel", "cpu_s": 0.1, "wall_s": 1.0, "run_queue_wait_s": 0.0}
    return [ClientHealth(**(sound | fields))]


def unstamped(chunks: list[Chunk], count: int | None = None) -> list[Chunk]:
    """All chunks, or the first so many, without a kernel receive time."""
    return [
        chunk._replace(lag_ms=None) if count is None or i < count else chunk for i, chunk in enumerate(chunks)
    ]


def test_a_faultless_run_is_valid_and_every_condition_was_looked_at() -> None:
    summary = summarize_point(point(*steady_requests(1000)), Measure(), FIXED)
    assert summary.verdict.word == "VALID"
    assert not summary.verdict.unknown
    assert not summary.verdict.failed
    assert summary.stats_from_sent == {}


def test_a_missing_record_is_a_hard_failure_but_not_after_a_time_limit() -> None:
    requests, chunks = steady_requests(30)
    assert judged(requests, chunks, planned_requests=31)["records"].ok is False
    ended = judged(requests, chunks, planned_requests=31, stop_reason="data")["records"]
    assert (ended.ok, "--oversample" in ended.next_step) == (False, True)
    early = judged(requests, chunks, planned_requests=None, dispatched=30, stop_reason="data")["records"]
    assert (early.ok, early.limit, early.asked) == (False, None, "requests until the time is up")
    after_limit = judged(requests, chunks, planned_requests=31, dispatched=30, stop_reason="duration")
    assert after_limit["records"].ok is True


def test_a_trace_has_its_own_rate_and_none_where_all_of_it_is_due_at_once() -> None:
    requests, chunks = steady_requests(30)
    load = {"trace": True, "trace_speed": 2.0, "max_concurrency": None, "request_rate": None}
    reached = judged(requests, chunks, load=load)["achieved rate"]
    assert (reached.ok, reached.asked) == (True, "trace x2, within 1 % of the schedule's own rate")
    burst = [request(i, planned=0, sent=0.1 * i, end=9) for i in range(30)]
    assert "achieved rate" not in judged(burst, [], load=load)


def test_failures_above_the_limit_are_a_hard_failure() -> None:
    for failures, ok in ((1, True), (2, False)):
        requests, chunks = steady_requests(1000)
        for i in range(failures):
            requests[i] = request(i, planned=100.0 * i, sent=100.0 * i, end=100.0 * i + 5, status="timeout")
        assert judged(requests, chunks)["errors"].ok is ok
    assert judged([], [])["errors"].ok is False


def test_a_request_cut_off_by_the_time_limit_is_no_failure_but_a_warning() -> None:
    requests, chunks = steady_requests(50)
    requests.append(request(50, planned=5000, sent=5000, end=5010, status="cancelled"))
    stopped = judged(requests, chunks, stop_reason="duration")
    assert (stopped["errors"].ok, stopped["cut off"].ok) == (True, False)
    assert judged(requests, chunks)["errors"].ok is False, "nobody asked for that cancellation"


def test_a_turn_that_an_error_left_unsent_is_told_even_after_a_time_limit() -> None:
    """Beside it: one that was cut off, which nobody has to look into."""
    requests, chunks = steady_requests(50)
    requests.append(request(50, sent=5000, end=5001, status="http_error", error="no", turns_left=1))
    requests.append(request(51, turn=1, status="cancelled", error="not sent"))
    requests.append(request(52, sent=5000, end=5010, status="cancelled", error="the run ended"))
    counts = summarize_point(point(requests, chunks, stop_reason="duration"), Measure(), FIXED).counts
    assert (counts.ok, counts.failed, counts.cut_off) == (50, 2, 1)
    assert [(group.example, group.count) for group in counts.errors] == [("no", 1), ("not sent", 1)]


def test_late_sends_fail_but_not_the_wait_for_a_permit_nor_the_time_to_connect() -> None:
    requests, chunks = steady_requests(100)
    held = [
        request(r.index, planned=r.planned_ns / 1e6 - 50, queued=r.planned_ns / 1e6 - 40,
                connect_start=r.planned_ns / 1e6 - 40, connect_end=r.planned_ns / 1e6 - 1,
                sent=r.planned_ns / 1e6, first_token=r.first_token_ns / 1e6, last_token=r.last_token_ns / 1e6,
                end=r.end_ns / 1e6, output_tokens_server=3)
        for r in requests
    ]  # fmt: skip
    assert judged(held, chunks)["send lag"].measured == pytest.approx(1.0)
    assert judged(held, chunks)["send lag"].ok is True
    late = [request(i, planned=100.0 * i, sent=100.0 * i + 3, end=100.0 * i + 50) for i in range(100)]
    assert judged(late, [])["send lag"].ok is False


def test_a_burst_has_time_to_be_written_but_not_any_time() -> None:
    load = {"request_rate": "inf", "max_concurrency": None}
    for pace_ms, ok in ((0.09, True), (0.2, False)):
        burst = [request(i, planned=0, sent=pace_ms * i, end=500) for i in range(1000)]
        assert judged(burst, [], load=load)["send lag"].ok is ok


def test_one_short_stall_does_not_condemn_a_small_run() -> None:
    """Three of 64 are the p99 of 64, but say nothing of any percentile that is shown."""
    for stalled, ok in ((3, True), (12, False)):
        lag_ms = [8.0 if i < stalled else 0.1 for i in range(64)]
        small = [
            request(i, planned=100.0 * i, sent=100.0 * i + lag, end=100.0 * i + 50)
            for i, lag in enumerate(lag_ms)
        ]
        send_lag = judged(small, [])["send lag"]
        assert (send_lag.ok, send_lag.asked) == (ok, "p84 of the generator's own lateness")


def test_permits_that_come_free_together_are_a_burst_too() -> None:
    """Answers of equal length end in one step of the server, and all their successors are due at once."""
    for pace_ms, ok in ((0.09, True), (0.2, False)):
        rounds = [
            request(i, planned=600.0 * (i // 64), sent=600.0 * (i // 64) + pace_ms * (i % 64), end=600.0)
            for i in range(640)
        ]
        assert judged(rounds, [], load={"max_concurrency": 64})["send lag"].ok is ok


def test_workers_write_a_burst_at_the_same_time_and_are_allowed_for_their_own_part_of_it() -> None:
    burst = [request(i, planned=0, sent=0.15 * (i // 2), end=500, worker=i % 2) for i in range(1000)]
    assert late_ms(point(burst, workers=2)).max() == pytest.approx(0.15 * 499 - 0.1 * 499)
    of_one = [msgspec.structs.replace(each, worker=0) for each in burst]
    assert late_ms(point(of_one)).max() == 0.0, "one worker has 0.1 ms for each of 999 others"


def test_one_very_late_send_is_a_warning() -> None:
    conditions = judged(*changed(7, planned_ns=700_000_000 - 25_000_000))
    assert (conditions["send lag"].ok, conditions["latest send"].ok) == (True, False)


def open_loop(count: int, stretch: float, **load: Any) -> dict[str, Condition]:
    requests = [
        request(i, planned=10.0 * i, sent=10.0 * i * stretch, end=10.0 * i * stretch + 5)
        for i in range(count)
    ]
    return judged(requests, [], load={"request_rate": 100.0, "max_concurrency": None} | load)


def test_the_rate_has_to_be_achieved_within_one_percent() -> None:
    assert open_loop(1000, 1.005)["achieved rate"].ok is True
    broken = open_loop(1000, 1.02)["achieved rate"]
    assert broken.ok is False
    assert broken.measured == pytest.approx(100 / 1.02)
    assert broken.limit == pytest.approx(100)
    assert broken.next_step.startswith("2.0 % less than the schedule, the last send 200 ms behind: spread")
    assert "limit of 4" in open_loop(1000, 1.02, max_concurrency=4)["achieved rate"].next_step
    unsent = [request(i, planned=10.0 * i, sent=10.0 * i if i % 2 == 0 else None) for i in range(101)]
    missed = judged(unsent, [], load={"request_rate": 100.0, "max_concurrency": None})["achieved rate"]
    assert missed.ok is False
    assert missed.next_step.startswith("50.0 % less than the schedule, 50 never sent: spread")
    assert open_loop(5, 1.04)["achieved rate"].ok is True, "1.6 ms over five requests is no wrong rate"
    assert open_loop(1, 1.0)["achieved rate"].ok is None
    all_at_once = open_loop(50, 1.0, request_rate="inf")
    assert not {"achieved rate", "concurrency"} & set(all_at_once)


def closed_loop(idle_ms: float, rounds: int = 20, asked: int = 4) -> dict[str, Condition]:
    requests = [
        request(
            r * asked + c, planned=r * 100.0, sent=r * 100.0 + (idle_ms if r else 0.0), end=r * 100.0 + 100
        )
        for r in range(rounds)
        for c in range(asked)
    ]
    return judged(requests, [], load={"request_rate": None, "max_concurrency": asked})


def test_the_concurrency_has_to_be_held_on_the_plateau() -> None:
    assert closed_loop(idle_ms=1)["concurrency"].ok is True
    broken = closed_loop(idle_ms=10)["concurrency"]
    assert broken.ok is False
    assert broken.measured == pytest.approx(3.6, abs=0.01)
    unknown = closed_loop(idle_ms=1, rounds=1)["concurrency"]
    assert unknown.ok is None
    assert "--num-prompts 20" in unknown.next_step


def test_a_hard_condition_that_is_not_known_is_never_a_pass() -> None:
    requests, chunks = steady_requests(1000)
    summary = summarize_point(point(requests, unstamped(chunks), health=[]), Measure(), FIXED)
    conditions = summary.verdict.conditions
    assert {c.name for c in summary.verdict.unknown if c.level == "hard"} == {
        "receive lag",
        "client CPU",
        "clock",
    }
    assert decide(c for c in conditions if c.name != "workers").word == "WARN"
    assert [c.name for c in summary.verdict.failed] == ["workers"], "and nobody reported"


@pytest.mark.parametrize(
    ("fields", "name", "ok"),
    [
        ({"cpu_s": 0.86}, "client CPU", False),
        ({"clock_steps": 1}, "clock", False),
        ({"clock_error_ns": 100_000}, "clock error", True),
        ({"clock_error_ns": 100_001}, "clock error", False),
        ({"run_queue_wait_s": 0.05}, "client host busy", True),
        ({"run_queue_wait_s": 0.051}, "client host busy", False),
        ({"run_queue_wait_s": None}, "client host busy", None),
    ],
)
def test_the_client_has_to_be_fit(fields: dict[str, Any], name: str, ok: bool | None) -> None:
    assert judged(*steady_requests(30), health=health(**fields))[name].ok is ok


@pytest.mark.parametrize(("realtime", "told"), [(False, True), (True, False), (None, False)])
def test_a_real_time_priority_is_advised_where_workers_had_none(realtime: bool | None, told: bool) -> None:
    requests, chunks = changed(5, blurred_chunks=11, blur_max_ns=51_200_000)
    conditions = judged(requests, chunks, health=health(realtime=realtime, run_queue_wait_s=0.1))
    for name in ("chunk times", "client host busy"):
        assert conditions[name].ok is False
        assert ("ulimit -r 1" in conditions[name].next_step) is told


def test_a_worker_that_did_not_report_makes_the_point_invalid() -> None:
    requests, chunks = steady_requests(30)
    lost = judged(requests, chunks, workers=2)["workers"]
    assert (lost.level, lost.measured, lost.limit, lost.ok) == ("hard", 1, 2, False)
    assert judged(requests, chunks, workers=2, health=health() + health(worker=1))["workers"].ok is True


def test_the_worst_worker_counts() -> None:
    both = [*health(cpu_s=0.2, run_queue_wait_s=0.08), *health(worker=1, cpu_s=0.9, clock_error_ns=200_000)]
    conditions = judged(*steady_requests(30), workers=2, health=both)
    assert conditions["client CPU"].measured == 0.9
    assert conditions["client host busy"].measured == 0.08
    assert conditions["clock error"].measured == pytest.approx(0.2)


def test_chunk_times_of_late_reads_are_held_against_the_client() -> None:
    """3,000 chunks: ten that are blurred are the limit, as no percentile shown has fewer beyond it."""
    for chunks_of_one, blur_ns, ok in ((10, 500_001, True), (11, 500_001, False), (400, 500_000, True)):
        requests, chunks = changed(5, blurred_chunks=chunks_of_one, blur_max_ns=blur_ns)
        known = judged(requests, chunks)["chunk times"]
        assert (known.level, known.ok) == ("hard", ok)
    requests, chunks = changed(5, blurred_chunks=11, blur_max_ns=51_200_000)
    assert judged(requests, chunks)["chunk times"].measured == pytest.approx(11 / 3000)
    assert "held up for up to 51.2 ms" in judged(requests, chunks)["chunk times"].next_step
    assert judged(requests, chunks, health=health(receive_clock="user"))["chunk times"].ok is False
    assert "clock error" not in judged(requests, chunks, health=health(receive_clock="user"))


def test_a_run_of_a_version_that_did_not_look_for_blur_is_not_judged_by_it() -> None:
    table = point(*steady_requests(30))
    columns = dict(table.requests) | {
        "blurred_chunks": np.full(30, np.nan),
        "blur_max_ns": np.full(30, np.nan),
    }
    summary = summarize_point(replace(table, requests=columns), Measure(), FIXED)
    assert "chunk times" not in {condition.name for condition in summary.verdict.conditions}


def test_read_lag_without_kernel_times_is_judged_when_it_is_known() -> None:
    requests, chunks = steady_requests(30)
    slow = [chunk._replace(lag_ms=1.5) for chunk in chunks]
    assert judged(requests, slow, health=health(receive_clock="user"))["receive lag"].ok is False
    assert judged(requests, slow)["receive clock"].ok is True, "kernel times make the lag irrelevant"


@pytest.mark.parametrize(
    ("turn_s", "late_s", "ok"),
    [
        (0.0009, 0.0, True),
        (0.0009, 0.001, True),
        (0.5, 0.0, None),
        (0.0001, 0.05, None),  # stopped in its sleep
        (0.0001, None, None),
    ],
)
def test_short_turns_and_timely_wake_ups_stand_for_the_lag_of_reads(
    turn_s: float, late_s: float | None, ok: bool | None
) -> None:
    requests, chunks = steady_requests(30)
    user = health(receive_clock="user", loop_turn_max_s=turn_s, poll_late_max_s=late_s)
    assert judged(requests, unstamped(chunks), health=user)["receive lag"].ok is ok


def test_every_worker_has_to_know_how_late_it_woke() -> None:
    requests, chunks = steady_requests(30)
    one = health(receive_clock="user", poll_late_max_s=0.0002)
    both = one + health(receive_clock="user", worker=1, poll_late_max_s=0.0004)
    known = judged(requests, unstamped(chunks), workers=2, health=both)["receive lag"]
    assert (known.measured, known.ok) == (pytest.approx(0.4), True)
    silent = one + health(receive_clock="user", worker=1)
    assert judged(requests, unstamped(chunks), workers=2, health=silent)["receive lag"].ok is None


def test_a_kernel_that_stamps_only_some_chunks_is_no_kernel_clock() -> None:
    """3,000 chunks, of which three may lack their time."""
    requests, chunks = steady_requests(1000)
    assert judged(requests, unstamped(chunks, 3))["receive clock"].ok is True
    some = judged(requests, unstamped(chunks, 4))
    assert "receive clock" not in some
    assert (some["receive lag"].level, some["receive lag"].ok) == ("hard", None)
    assert some["receive lag"].asked == "p99, as only 99.87% of the chunks have a kernel receive time"
    quick = health(loop_turn_max_s=0.0004, poll_late_max_s=0.0)
    assert judged(requests, unstamped(chunks, 3000), health=quick)["receive lag"].ok is True
    slow = [chunk._replace(lag_ms=1.5) for chunk in chunks]
    assert judged(requests, unstamped(slow, 2000))["receive lag"].ok is False, "a third is late for certain"


def seconds_of(*cpu_share: float, worker: int = 0, span_s: float = 1.0) -> Telemetry:
    """One sample of a worker for each share; the last one of ``span_s``."""
    count = len(cpu_share)
    spans = [1.0] * (count - 1) + [span_s]
    return Telemetry(
        point=np.ones(2 * count, np.int64),
        at_ns=np.tile(np.arange(count), 2),
        source=np.array([f"client/{worker}"] * 2 * count, dtype=object),
        name=np.array(["cpu_share"] * count + ["span_s"] * count, dtype=object),
        value=np.array([*cpu_share, *spans]),
    )


@pytest.mark.parametrize(
    ("telemetry", "measured"),
    [
        (seconds_of(*[0.97] * 60, *[0.02] * 20), 0.97),  # a quiet end hides no busy minute
        (seconds_of(*[0.97] * 4, *[0.02] * 96), 0.02),  # nor do 4 s of 100 decide
        (seconds_of(*[0.97] * 4), 0.1),  # too few for a percentile: the mean
        (seconds_of(*[0.3] * 5, 0.99, span_s=0.02), 0.3),  # what was left of a second is no second
        (seconds_of(*[0.97] * 60, worker=3), 0.1),  # of a worker that is not of this point
        (Telemetry(), 0.1),
    ],
)
def test_the_busiest_seconds_of_a_worker_are_judged(telemetry: Telemetry, measured: float) -> None:
    table = point(*steady_requests(30))
    summary = summarize_point(table, Measure(), FIXED, telemetry)
    (cpu,) = (c for c in summary.verdict.conditions if c.name == "client CPU")
    assert (cpu.measured, cpu.ok) == (pytest.approx(measured), measured <= 0.85)
    assert summary.client.cpu_share == pytest.approx(0.1), "the strip shows the mean"


def test_an_answer_in_one_piece_was_not_streamed() -> None:
    requests, chunks = steady_requests(100)
    in_one = [chunk for chunk in chunks if chunk.read == 0]
    assert judged(requests, in_one)["streamed"].ok is False
    assert "streamed" not in judged(requests, in_one, sampling=Sampling(stream=False))
    whole = [chunk._replace(tokens=3) for chunk in in_one]
    assert judged(requests, whole)["streamed"].ok is True, "three tokens decoded in one step"


def test_the_output_length_has_to_be_the_fixed_one() -> None:
    requests, chunks = steady_requests(1000)
    short = [
        RequestRecord(**({n: getattr(r, n) for n in r.__struct_fields__} | {"output_tokens_server": 2}))
        for r in requests
    ]
    assert judged(short, chunks)["output length"].measured == pytest.approx(1 / 3)
    assert judged(short, chunks)["output length"].ok is False
    assert "output length" not in judged(short, chunks, sampling=Sampling(ignore_eos=False))
    assert "output length" in judged(short, chunks, sampling=Sampling(), dataset={"name": "random"})
    unknown = changed(3, output_tokens_server=None)
    assert judged(*unknown)["output length"].ok is None


def test_an_estimated_output_length_is_not_held_against_the_server() -> None:
    requests, chunks = steady_requests(100)
    fields = {"output_tokens_server": None, "output_tokens_client": 2}
    counted = [RequestRecord(**({n: getattr(r, n) for n in r.__struct_fields__} | fields)) for r in requests]
    for exact, ok in ((False, None), (True, False)):
        assert judged(counted, chunks, dataset={"tokenizer_exact": exact})["output length"].ok is ok


def test_warnings_on_what_was_measured() -> None:
    assert judged(*changed(0, output_tokens_server=None))["usage missing"].ok is False
    assert judged(*changed(0, finish_reason="stop"))["other finish reasons"].ok is False
    free = judged(*changed(0, finish_reason="stop"), sampling=Sampling(ignore_eos=False))
    assert free["other finish reasons"].ok is True
    assert judged(*changed(0, cached_tokens=80))["cached prompt tokens"].ok is True, "exactly 1 %"
    assert judged(*changed(0, cached_tokens=81))["cached prompt tokens"].ok is False
    assert judged(*steady_requests(5), repeated_prompts=1)["repeated prompts"].ok is True, "no cache answered"
    silent, chunks = steady_requests(5)
    silent = [
        RequestRecord(**({n: getattr(r, n) for n in r.__struct_fields__} | {"cached_tokens": None}))
        for r in silent
    ]
    assert judged(silent, chunks, repeated_prompts=1)["repeated prompts"].ok is False
    assert judged(silent, chunks, repeated_prompts=0)["repeated prompts"].ok is True
    assert judged(*steady_requests(999))["samples"].ok is False
    requests, chunks = steady_requests(10)
    joined = [chunk._replace(read=0) if chunk.read < 2 and chunk.request == 0 else chunk for chunk in chunks]
    assert judged(requests, joined)["coalesced chunks"].measured == pytest.approx(2 / 30)


def test_a_run_is_as_good_as_its_worst_point_and_a_run_of_nothing_is_invalid() -> None:
    good = point(*steady_requests(1000))
    few = point(*steady_requests(30), index=2)
    spec = {"sampling": {"ignore_eos": True}}
    assert summarize(run(good, spec=spec)).verdict.word == "VALID"
    assert summarize(run(good, few, spec=spec)).verdict.word == "WARN"
    assert summarize(run(good, spec=spec, state="interrupted")).verdict.word == "WARN"
    warm_up = point(*steady_requests(4), kind="warmup")
    assert summarize(run(warm_up, spec=spec)).verdict.word == "INVALID"
    assert worst([]) == "INVALID"
    assert decide([]).word == "VALID"
