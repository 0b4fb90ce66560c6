"""What a load point says about the server, and which differences on a curve are more than chance."""

from __future__ import annotations

from typing import Any

import pytest
from services import broken, load_point, summary
from virtual_servers import Batching

from inferometer.metrics.bootstrap import Interval
from inferometer.metrics.load_curve import Curve, Noise, read_curve_probe
from inferometer.metrics.steady import Rate, Span, Steady
from inferometer.metrics.summary import summarize_point
from inferometer.metrics.targets import CurveProbe
from inferometer.spec import Measure
from inferometer.tuner.ledger import Bounds


def probe(load: float, throughput: float | None, **other: Any) -> CurveProbe:
    fields: dict[str, Any] = {"repeat": 1, "index": 1, "state": "ok"}
    return CurveProbe(load=load, throughput=throughput, **(fields | other))


def read(**other: Any) -> CurveProbe:
    return read_curve_probe(summary(10.0, 500.0, **other), 5.0, 2, "output-throughput")


def test_a_faultless_load_point_gives_its_figures() -> None:
    found = read()

    assert (found.load, found.repeat, found.state, found.remark) == (5.0, 2, "ok", None)
    assert (found.throughput, found.requests_per_s, found.e2el_ms, found.latency_ms) == (
        1000.0,
        10.0,
        500.0,
        500.0,
    )
    assert not found.steady


def test_the_steady_window_speaks_where_there_is_one() -> None:
    rate = Rate(per_s=1200.0, interval=Interval(1180.0, 1220.0, 0.95))
    steady = Steady(
        window=Span(1.0, 9.0), output_throughput=rate, request_throughput=Rate(per_s=12.0, interval=None)
    )

    found = read(steady=steady)

    assert (found.throughput, found.low, found.high, found.requests_per_s) == (1200.0, 1180.0, 1220.0, 12.0)
    assert found.steady


@pytest.mark.parametrize("name", ["errors", "records"])
def test_failures_are_the_servers(name: str) -> None:
    assert (read(**broken(name)).state, read(**broken(name)).remark) == ("failed", f"{name}: see there")


@pytest.mark.parametrize("name", ["workers", "client CPU", "achieved rate", "concurrency"])
def test_a_load_that_was_not_made_is_no_evidence(name: str) -> None:
    assert read(**broken(name)).state == "no evidence"


@pytest.mark.parametrize("name", ["send lag", "receive lag", "chunk times", "clock error"])
def test_what_bends_single_chunks_leaves_throughput_alone(name: str) -> None:
    found = read(**broken(name, measured=4.0))

    assert (found.state, found.remark) == ("ok", None)


def test_a_send_lag_that_is_a_part_of_the_answer_time_is_no_evidence() -> None:
    assert read(**broken("send lag", measured=26.0)).state == "no evidence"  # of 500 ms


def test_a_rate_that_the_limit_in_flight_holds_back_is_the_servers_doing() -> None:
    held_back = {"request_rate": 50.0, "max_concurrency": 8}

    assert read(**broken("achieved rate"), load=held_back).state == "ok"


def test_answers_of_another_length_than_asked_cast_doubt() -> None:
    found = read(**broken("output length"))

    assert (found.state, found.remark) == ("ok", "output length: see there")


def test_of_the_engine_in_virtual_time_littles_law_holds() -> None:
    point = load_point(1, 1, max_concurrency=8, num_prompts=64)

    found = read_curve_probe(summarize_point(Batching().serve(point), Measure()), 8.0, 1, "output-throughput")

    assert found.requests_per_s is not None
    assert found.e2el_ms is not None
    assert found.requests_per_s * found.e2el_ms / 1e3 == pytest.approx(8.0, rel=0.05)


def test_repeats_speak_and_until_then_the_intervals_inside_do() -> None:
    assumed = Noise([[100.0]], expected=0.01)
    assert not assumed.seen
    assert assumed.half_width(1) == pytest.approx(4.303 * 0.01, rel=1e-3)  # t with 2 degrees of freedom
    assert Noise([[100.0]], inside=[0.1]).half_width(1) == pytest.approx(0.196, rel=1e-3)

    repeated = Noise([[98.0, 102.0], [98.0, 102.0]], inside=[0.1], expected=0.01)
    assert repeated.seen
    # (2 x 0.01^2 + 2 x 2 x 0.02^2) / 4 = 0.000450, and t with 4 degrees of freedom is 2.776.
    assert repeated.half_width(1) == pytest.approx(2.776 * 0.000450**0.5, rel=1e-3)
    assert repeated.half_width(4) == pytest.approx(repeated.half_width(1) / 2)


def test_a_load_that_failed_once_is_not_carried() -> None:
    curve = Curve(
        [
            probe(1.0, 10.0),
            probe(2.0, 20.0),
            probe(4.0, 30.0),
            probe(4.0, None, state="failed", remark="full"),
        ]
    )

    assert (curve.loads, curve.best, curve.ceiling) == ([1.0, 2.0], 2.0, 4.0)
    assert curve.remark(4.0) == "full"


def test_one_sound_measurement_is_evidence_beside_one_that_is_none() -> None:
    curve = Curve([probe(1.0, 10.0, state="no evidence", remark="busy"), probe(1.0, 12.0)])

    assert (curve.means, curve.remark(1.0), curve.repeats(1.0)) == ({1.0: 12.0}, None, 1)


def test_loads_are_numbers_that_can_be_told() -> None:
    whole, real = Bounds(1.0, 100.0, whole=True), Bounds(0.1, 20.0, whole=False)

    assert (whole.snap(45.25), real.snap(4.5678), real.snap(99.0)) == (45.0, 4.57, 20.0)
    assert (whole.between(4.0, 5.0), whole.between(4.0, 16.0), real.between(1.0, 4.0)) == (None, 8.0, 2.0)
    assert (whole.above(2.0), whole.above(64.0), whole.above(100.0), real.above(2.0)) == (
        3.0,
        80.0,
        None,
        2.5,
    )
