"""What load shapes accept, what contradicts itself, and what they mean for a load point."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Load, LoadPoint, RunSpec, Sampling, Workload, load_points, load_title
from inferometer.spec.shape import Shape


def points(shape: dict[str, Any], **load: Any) -> tuple[LoadPoint, ...]:
    parts = {name: load.pop(name) for name in ("sampling", "workload") if name in load}
    return load_points(
        RunSpec(endpoint=Endpoint(url="http://127.0.0.1:1"), load=Load(**load), shape=Shape(**shape), **parts)
    )


def point(shape: dict[str, Any], **load: Any) -> LoadPoint:
    (only,) = points(shape, **load)
    return only


@pytest.mark.parametrize(
    ("shape", "load", "words"),
    [
        ({"ramp_from": 2}, {"request_rate": 8}, "--ramp-from"),
        ({"ramp": "linear", "ramp_steps": 3}, {"request_rate": 8}, "--ramp step"),
        ({"climb_every_s": 2}, {"request_rate": 8}, "--climb N"),
        ({"climb": 2, "ramp": "linear"}, {"request_rate": 8}, "keep one of them"),
        ({"spike": 3}, {"request_rate": 8}, "--spike-at and --spike-time are missing"),
        ({"spike_at_s": 3, "spike_time_s": 1}, {"request_rate": 8}, "--spike is missing"),
        ({"cancel_within_s": 1}, {"request_rate": 8}, "--cancel-share"),
        ({"ramp": "linear"}, {"request_rate": "inf", "num_prompts": 10}, "all requests are sent at once"),
        ({"ramp_time_s": 9}, {"request_rate": "inf 4", "max_concurrency": 8}, "runs of their own"),
        ({"ramp": "linear"}, {"max_concurrency": 8}, "--ramp-time"),
        ({"ramp_time_s": 90}, {"request_rate": 8, "duration_s": 60}, "longer than --duration"),
        ({"ramp": "step", "ramp_steps": 1}, {"request_rate": 8}, "no ramp"),
        ({"ramp_time_s": 9, "ramp_from": 0.5}, {"max_concurrency": 8}, "--ramp-from 0.5"),
        ({"climb": 0.5}, {"max_concurrency": 8}, "--climb 0.5"),
        ({"ramp": "exponential", "ramp_from": 0, "ramp_time_s": 9}, {"request_rate": 8}, "--ramp-from 0 never"),
        ({"ramp": "linear", "ramp_from": 0}, {"request_rate": 8}, "--ramp-from 0 never"),
        ({"climb": 1, "ramp_from": 9}, {"request_rate": 8}, "above --request-rate 8"),
        ({"spike": 3, "spike_at_s": 5, "spike_time_s": 5}, {"request_rate": 8, "duration_s": 10}, "recovery"),
        ({"spike": 3, "spike_at_s": 5, "spike_time_s": 5, "ramp_time_s": 6}, {"request_rate": 8}, "before the ramp"),
        ({"spike": 3, "spike_at_s": 5, "spike_time_s": 5, "ramp": "linear"}, {"request_rate": 8}, "before the ramp"),
        ({"climb": 1e-7}, {"request_rate": 8}, "--climb 1e-07 makes 80,000,000 steps"),
        ({"ramp": "step", "ramp_steps": 10**8}, {"request_rate": 8}, "--ramp-steps 100000000 makes"),
        ({"ramp_from": 1e300, "ramp_time_s": 3}, {"max_concurrency": 8}, "begin lower"),
        ({"burst": 4}, {"max_concurrency": 8}, "--waves"),
        ({"waves": True}, {"request_rate": 8}, "times of their own"),
        ({"waves": True, "ramp_time_s": 5}, {"max_concurrency": 8}, "keep one of them"),
        ({"waves": True}, {"max_concurrency": 8, "workers": 2}, "drop --workers"),
        ({"drain": "cut"}, {"max_concurrency": 8}, "--duration"),
        ({"stop_on_saturation": True}, {"max_concurrency": 8}, "closed loop"),
        ({"stop_on_saturation": True}, {"request_rate": 8, "max_concurrency": 8}, "drop --max-concurrency"),
        ({"cancel_share": 0.1}, {"request_rate": 8, "sampling": Sampling(stream=False)}, "--cancel-within"),
        ({"burst": 2}, {"workload": Workload(dataset="mooncake", dataset_path=__file__)}, "brings its own"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(shape: dict[str, Any], load: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        points(shape, **load)
    assert words in f"{caught.value.message} {caught.value.next_step}"


@pytest.mark.parametrize(
    ("shape", "load", "title"),
    [
        ({"ramp_time_s": 60}, {"request_rate": 8}, "rate 0 to 8 req/s linear"),
        ({"ramp": "exponential", "ramp_time_s": 60}, {"request_rate": 8}, "rate 0.8 to 8 req/s exponential"),
        ({"ramp": "linear"}, {"request_rate": 8}, "rate 0.8 to 8 req/s linear"),
        ({"ramp": "step", "ramp_steps": 4}, {"request_rate": 8}, "rate 2 to 8 req/s in 4 steps"),
        ({"ramp_time_s": 9}, {"max_concurrency": 8}, "concurrency 1 to 8 linear"),
        ({"climb": 4, "climb_every_s": 2}, {"max_concurrency": 8}, "concurrency 4 to 8 climb 4 each 2 s"),
        ({"burst": 4}, {"request_rate": 8, "max_concurrency": 16}, "rate 8 req/s in bursts of 4, at most 16"),
        ({"waves": True}, {"max_concurrency": 8}, "concurrency 8 in waves"),
        ({"spike": 3, "spike_at_s": 5, "spike_time_s": 5}, {"max_concurrency": 8}, "concurrency 8, spike x3"),
        ({"cancel_share": 0.05}, {"max_concurrency": 8}, "concurrency 8, 5 % given up"),
    ],
)  # fmt: skip
def test_titles_tell_the_shape(shape: dict[str, Any], load: dict[str, Any], title: str) -> None:
    assert load_title(point(shape, **load).to_dict()) == title


def test_a_load_without_a_shape_has_no_curve() -> None:
    plain = point({}, request_rate=8)
    assert (plain.curve, plain.peak_rate, plain.mean_rate, plain.settled_s) == (None, 8.0, 8.0, 0.0)
    closed = point({}, max_concurrency=8)
    assert (closed.curve, closed.peak_concurrency, closed.peak_rate) == (None, 8, None)


def test_a_ramp_takes_the_duration_where_no_time_is_given() -> None:
    ramp = point({"ramp": "linear"}, request_rate=8, duration_s=30)
    assert (ramp.ramp_time_s, ramp.mean_rate, ramp.settled_s) == (30.0, 4.0, 30.0)


def test_a_ramp_over_requests_covers_them() -> None:
    ramp = point({"ramp": "linear", "ramp_from": 2}, request_rate=8, num_prompts=300)
    assert ramp.curve is not None
    assert ramp.curve.time_of(300) == pytest.approx(ramp.settled_s)
    assert (
        ramp.curve.level(ramp.settled_s / 2) < 5.0
    )  # slow requests take longer: it is behind the middle in time


def test_a_shape_without_a_bound_is_followed_by_a_minute_as_asked() -> None:
    ramp = point({"ramp_time_s": 60}, request_rate=8)
    assert (ramp.num_prompts, ramp.duration_s) == (8 * 30 + 8 * 60, None)
    spike = point({"spike": 3, "spike_at_s": 20, "spike_time_s": 10}, max_concurrency=8)
    assert (spike.num_prompts, spike.duration_s) == (None, 90.0)
    assert spike.peak_concurrency == 24
    assert point({"waves": True}, max_concurrency=8).num_prompts == 40


def test_a_climb_ends_at_what_was_asked_for() -> None:
    climb = point({"climb": 3, "climb_every_s": 2}, max_concurrency=8)
    assert climb.curve is not None
    assert [climb.curve.level(at_s) for at_s in (0, 2, 4, 6)] == [3, 6, 8, 8]
    assert climb.settled_s == 4.0


def test_a_load_point_survives_its_record() -> None:
    for shape, load in (
        ({"spike": 3, "spike_at_s": 20, "spike_time_s": 10}, {"request_rate": 8, "burstiness": "inf"}),
        ({}, {"request_rate": "inf", "num_prompts": 5}),
    ):
        whole = point(shape, **load)
        assert LoadPoint.from_dict(whole.to_dict()) == whole
