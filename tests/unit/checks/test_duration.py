"""How long a plan takes: worked out by hand for servers whose latency is known."""

import math

import msgspec
import pytest

from inferometer.checks.duration import Countdown, Overhead, overhead_of, plan_time
from inferometer.loadgen.pauses import pausing
from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.metrics.pace import Pace, Seen
from inferometer.record.types import PointRecord, RunMeta, Sitting
from inferometer.spec import (
    Endpoint,
    Load,
    RunSpec,
    Sessions,
    Shape,
    Sweep,
    Workload,
    load_points,
    with_warmups,
)

NONE = Overhead(0.0, 0.0, 0.0)
# 100 tokens: 1 s alone, and 0.1 s more with each further request in flight: never more than 10 a second.
LINE = Pace(Seen(c, 0.1 + 0.01 * (c - 1), (0.9 + 0.09 * (c - 1)) / 99, 0.0, 50.0, 100.0) for c in (1.0, 11.0))


def plan(pace=LINE, load=None, warmup=0, **parts):
    parts.setdefault("workload", Workload(input_len=50, output_len=100))
    load = {"warmup": warmup, **(load or {})}
    spec = RunSpec(endpoint=Endpoint(url="http://h"), load=Load(**load), **parts)
    return plan_time(spec, with_warmups(spec, load_points(spec)), pace, NONE)


def seconds(pace=LINE, **load):
    return plan(pace, load).total_s


def test_without_a_run_a_server_that_load_does_not_slow_is_assumed():
    request_s = 0.2 + 99 * 0.02
    assert seconds(Pace(), max_concurrency=1, num_prompts=10) == pytest.approx(10 * request_s)
    assert seconds(Pace(), request_rate=2, num_prompts=100, burstiness="inf") == pytest.approx(
        49.5 + request_s
    )
    assert seconds(Pace(), max_concurrency=1, duration_s=60) == pytest.approx(60 + request_s)
    assert seconds(Pace(), request_rate="inf") == pytest.approx(request_s)


def test_a_closed_loop_takes_turns_at_the_pace_of_its_concurrency():
    assert seconds(max_concurrency=1, num_prompts=10) == pytest.approx(10.0)
    assert seconds(max_concurrency=6, num_prompts=60) == pytest.approx(10 * 1.5), "interpolated"
    assert seconds(max_concurrency=21, num_prompts=210) == pytest.approx(10 * 3.0), (
        "extrapolated along the line"
    )
    assert seconds(max_concurrency=50, num_prompts=5) == pytest.approx(1.4), (
        "never more in flight than requests"
    )


def test_an_open_loop_lasts_until_its_last_arrival_and_drains():
    # Little's law: c = 5 (1 + 0.1 (c - 1)) has c = 9, so a request takes 1.8 s.
    assert seconds(request_rate=5, num_prompts=101, burstiness="inf") == pytest.approx(20 + 1.8, abs=0.01)
    drained = plan(load={"request_rate": 5, "duration_s": 20, "burstiness": "inf"})
    assert drained.total_s == pytest.approx(20 + 1.8, abs=0.01)
    cut = plan(load={"request_rate": 5, "duration_s": 20, "burstiness": "inf"}, shape=Shape(drain="cut"))
    assert cut.total_s == pytest.approx(20.0)


def test_a_rate_beyond_the_capacity_takes_as_long_as_the_server_needs():
    assert seconds(request_rate=40, num_prompts=1000, burstiness="inf") == pytest.approx(1000 / 10, rel=0.001)
    # At most 11 in flight: 11 / 2 s = 5.5 a second.
    capped = seconds(request_rate=40, num_prompts=1100, max_concurrency=11)
    assert capped == pytest.approx(200.0, rel=0.001)
    assert seconds(request_rate="inf", num_prompts=1000) == pytest.approx(100.9), (
        "1,000 in flight take 100.9 s each"
    )


def test_longer_answers_and_prompts_take_longer():
    longer = plan(
        load={"max_concurrency": 1, "num_prompts": 10}, workload=Workload(input_len=500, output_len=199)
    )
    assert longer.total_s == pytest.approx(10 * (1.0 + 1.8))


def test_lengths_that_were_measured_are_believed_before_others():
    pace = Pace([*LINE.seen, Seen(1.0, 3.0, 0.05, 0.0, 5000.0, 100.0)])
    long = plan(
        pace, {"max_concurrency": 1, "num_prompts": 10}, workload=Workload(input_len=5000, output_len=100)
    )
    assert long.total_s == pytest.approx(10 * (3.0 + 99 * 0.05))
    assert seconds(pace, max_concurrency=6, num_prompts=60) == pytest.approx(15.0)


def test_pauses_repeats_warm_ups_waves_and_sessions_count():
    load = {"max_concurrency": [1, 11], "num_prompts": [10, 110]}
    rounds = plan(load=load, warmup=4, sweep=Sweep(repeat=3, pause_s=60))
    assert [point.pause_s for point in rounds.points] == [0, 0, 60, 60, 60, 60, 60]
    assert rounds.total_s == pytest.approx(4 + 3 * (10 + 20) + 5 * 60)
    each = plan(load=load, warmup=4, sweep=Sweep(warmup_each=True, pause_s=60))
    assert [(point.point, point.pause_s) for point in each.points] == [(-1, 0), (1, 0), (-2, 60), (2, 0)]
    waves = plan(load={"max_concurrency": 11, "num_prompts": 111}, shape=Shape(waves=True))
    assert waves.total_s == pytest.approx(11 * 2.0)
    talk = Sessions(turns=3, think_time="2s")
    assert plan(load={"max_concurrency": 1, "num_prompts": 10}, sessions=talk).total_s == pytest.approx(
        10 * (3 + 4)
    )


def test_a_ramp_of_concurrency_takes_longer():
    ramp = Shape(ramp="linear", ramp_from=1, ramp_time_s=10)
    took = plan(load={"max_concurrency": 11, "num_prompts": 110}, shape=ramp).total_s
    assert took == pytest.approx(50 / 11 + 20 + 2.0, rel=0.01), (
        "what the ramp lacks is made up for, and the last answers drain"
    )


def test_what_was_never_measured_is_named():
    points = plan(load={"max_concurrency": [4, 64], "num_prompts": [4, 64]}).points
    assert [point.beyond for point in points] == [False, True]
    one = Pace(LINE.seen[:1])
    flat, full = 10 * 1.0, 10 * 16.0
    assert flat < seconds(one, max_concurrency=16, num_prompts=160) < full


def test_a_trace_lasts_as_long_as_it_lasts(tmp_path):
    file = tmp_path / "trace.jsonl"
    file.touch()
    trace = Workload(dataset="mooncake", dataset_path=str(file))
    assert math.isinf(plan(workload=trace).total_s)


def record(index, epoch_s, end_s, paused_s=None):
    return PointRecord(
        index=index,
        kind="measure",
        load={},
        epoch_ns=int(epoch_s * 1e9),
        end_ns=int(end_s * 1e9),
        paused_s=paused_s,
    )


def test_what_a_run_spends_beside_its_load_is_taken_from_its_clock():
    points = [record(1, 12, 20), record(2, 20.5, 30), record(3, 40.5, 50, 10.0)]
    anchors = [{"monotonic_ns": 10_000_000_000}, {"monotonic_ns": 53_000_000_000}]
    meta = RunMeta(
        run_id="x", state="complete", simulated=False, created_utc="", model="m", spec={}, points=points,
        sittings=[Sitting(began_utc="", anchors=anchors)],
    )  # fmt: skip
    assert overhead_of(meta) == Overhead(1.5, 0.5, 3.0)
    assert overhead_of(msgspec.structs.replace(meta, sittings=[])) == Overhead()
    assert overhead_of(msgspec.structs.replace(meta, state="interrupted")) == Overhead(), (
        "it ended in a pause"
    )
    assert overhead_of(msgspec.structs.replace(meta, sittings=meta.sittings * 2)) == Overhead()


class Told(NullObserver):
    left_s = None

    def on_progress(self, progress):
        self.left_s = progress.run_left_s


def progress(point, done, planned, elapsed_s):
    return Progress(
        point=point, points_total=3, kind="measure", title="", planned=planned, done=done, failed=0, in_flight=1,
        output_tokens=0, elapsed_s=elapsed_s, limit_s=None,
    )  # fmt: skip


def test_the_time_left_learns_from_what_was_measured():
    told = Told()
    watch = Countdown(
        told, plan(load={"max_concurrency": [1, 1, 1], "num_prompts": [10, 20, 30]}, sweep=Sweep(pause_s=5))
    )
    watch.on_progress(progress(1, 0, 10, 0.0))
    assert told.left_s == pytest.approx(10 + 20 + 30 + 10)
    watch.on_point_end(record(1, 0, 20))  # twice as long as expected
    watch.on_progress(pausing(2, 3, "", 5.0))
    assert told.left_s == pytest.approx(5 + 40 + 5 + 60)
    watch.on_progress(progress(2, 10, 20, 20.0))
    assert told.left_s == pytest.approx(20 + 5 + 60)
    watch.on_progress(progress(9, 1, 2, 1.0))
    assert told.left_s is None, "a load point that the plan does not have"
