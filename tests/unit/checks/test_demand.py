"""What a plan asks of the generator, held against what the generator carries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inferometer.checks.demand import Demand, compare, demand, describe_need, largest, percent, warning
from inferometer.checks.envelope import Dimension, Envelope, Machine
from inferometer.spec import RunSpec, build, load_points

HERE = Machine(cpu="x", cores=8, kernel="x", python="x", inferometer="x")
ENVELOPE = Envelope(
    workers=1,
    events_per_s=80_000.0,
    streams=10_000.0,
    requests_per_s=4_000.0,
    measured_at_utc="x",
    machine=HERE,
)


def spec(load: dict[str, Any], **parts: dict[str, Any]) -> RunSpec:
    return build({"endpoint": {"url": "http://h"}, "load": load, **parts})


def demands(run: RunSpec, workers: int = 1) -> list[Demand]:
    return demand([(point, workers) for point in load_points(run)], run)


def test_a_closed_loop_has_its_streams_and_an_assumed_pace() -> None:
    (asked,) = demands(spec({"max_concurrency": 512, "num_prompts": 4000}))
    assert (asked.streams, asked.events_per_s, asked.requests_per_s) == (512, 25_600, None)
    assert asked.assumed == "20 ms per token"


def test_fewer_requests_than_permits_are_fewer_streams() -> None:
    (asked,) = demands(spec({"max_concurrency": 512, "num_prompts": 100}))
    assert asked.streams == 100


def test_an_open_loop_has_its_rate_and_three_events_beside_the_tokens() -> None:
    (asked,) = demands(spec({"request_rate": 10}, workload={"output_len": 256}))
    assert (asked.streams, asked.events_per_s, asked.requests_per_s) == (None, 2590, 10)
    assert asked.assumed == ""


def test_the_longest_answer_that_is_asked_for_counts() -> None:
    (asked,) = demands(spec({"request_rate": 10}, sampling={"max_tokens": 97}))
    assert asked.events_per_s == 1000


def test_the_cap_on_a_rate_is_no_demand_for_streams() -> None:
    (asked,) = demands(spec({"request_rate": 10, "max_concurrency": 50_000}))
    assert (asked.streams, asked.requests_per_s) == (None, 10)


def test_all_at_once_is_one_stream_a_request() -> None:
    (asked,) = demands(spec({"request_rate": "inf", "num_prompts": 700}))
    assert (asked.streams, asked.events_per_s, asked.requests_per_s) == (700, 35_000, None)


def test_answers_of_unknown_length_are_assumed_to_have_one(tmp_path: Any) -> None:
    file = tmp_path / "questions.jsonl"
    file.touch()
    run = spec({"request_rate": 10}, workload={"dataset": "openqa", "dataset_path": str(file)})
    (asked,) = demands(run)
    assert asked.events_per_s == 2590
    assert asked.assumed == "256 tokens an answer"


def test_answers_that_are_not_streamed_are_one_event() -> None:
    no_stream = {"stream": False, "max_tokens": 100}
    (rate,) = demands(spec({"request_rate": 10}, sampling=no_stream))
    (closed,) = demands(spec({"max_concurrency": 100}, sampling=no_stream))
    assert rate.events_per_s == 10
    assert closed.events_per_s == 50


def test_the_dimension_that_comes_closest_decides() -> None:
    need = compare(ENVELOPE, Demand("x", 1, 5_000, 20_000, 1_000, ""))
    assert need is not None
    assert (need.dimension, need.share, need.limit) == ("streams", 0.5, 10_000)


def test_another_number_of_workers_is_scaled() -> None:
    need = compare(ENVELOPE, Demand("x", 4, None, 160_000, None, ""))
    assert need is not None
    assert (need.share, need.limit, need.scaled) == (0.5, 320_000, True)
    assert "about 50 % of it" in describe_need(need)
    assert "4 workers can carry about 320,000" in describe_need(need)


def test_workers_beyond_the_cores_carry_no_more() -> None:
    need = compare(ENVELOPE, Demand("x", 64, None, 1_120_000, None, ""))
    assert need is not None
    assert (need.limit, need.share) == (7 * 80_000, 2.0)  # one of the 8 cores is the parent's
    text = warning(need)
    assert text is not None
    assert "--workers" not in text
    assert "lower the load" in text


def test_more_workers_than_cores_that_were_measured_are_believed() -> None:
    crowded = msgspec.structs.replace(ENVELOPE, workers=16)
    need = compare(crowded, Demand("x", 64, None, 40_000, None, ""))
    assert need is not None
    assert (need.limit, need.share) == (80_000, 0.5)


def at_least(*dimensions: Dimension, workers: int = 1) -> Envelope:
    return msgspec.structs.replace(ENVELOPE, workers=workers, at_least=list(dimensions))


def test_a_part_of_a_limit_that_was_not_found_is_no_limit() -> None:
    many = at_least("events", "requests", workers=15)
    assert compare(many, Demand("x", 1, None, 20_000, 500, "")) is None
    need = compare(many, Demand("x", 1, 100, 20_000, 500, ""))
    assert need is not None
    assert need.dimension == "streams"


def test_a_limit_that_was_not_found_is_at_least_what_was_measured() -> None:
    need = compare(at_least("events"), Demand("x", 1, None, 72_000, None, ""))
    assert describe_need(need) == (
        "needs at most 90 % of it: x makes 72,000 events/s, and 1 worker can carry at least 80,000"
    )
    assert warning(need) is None


def test_a_plan_above_a_limit_that_was_not_found_is_beyond_what_was_measured() -> None:
    need = compare(at_least("events"), Demand("x", 2, None, 200_000, None, ""))
    facts = "x makes 200,000 events/s, and 2 workers can carry at least about 160,000"
    assert describe_need(need) == f"goes beyond what was measured: {facts}"
    text = warning(need)
    assert text is not None
    assert text.startswith(
        f"this plan goes beyond what was measured of the generator on this machine: {facts}; "
    )


def test_a_limit_that_was_found_is_warned_of_before_one_that_was_not() -> None:
    need = compare(at_least("events"), Demand("x", 1, 8_500, 72_000, None, ""))
    assert need is not None
    assert need.dimension == "streams"
    assert warning(need) is not None


def test_what_is_not_known_on_both_sides_is_not_compared() -> None:
    nothing = Envelope(workers=1, streams=10.0, measured_at_utc="x", machine=HERE)
    assert compare(nothing, Demand("x", 1, None, 1e9, 1e9, "")) is None
    assert largest(nothing, []) is None


def test_the_worst_load_point_is_the_one_that_counts() -> None:
    run = spec({"max_concurrency": [8, 1024, 64]})
    need = largest(ENVELOPE, demands(run))
    assert need is not None
    assert need.demand.title == "concurrency 1024"
    assert describe_need(need) == (
        "needs 64 % of it: concurrency 1024 makes 51,200 events/s at an assumed 20 ms per token, and 1 worker can "
        "carry 80,000"
    )
    assert warning(need) is None


def test_a_plan_that_leaves_no_room_is_warned_of() -> None:
    text = warning(largest(ENVELOPE, demands(spec({"max_concurrency": 1300}))))
    assert text is not None
    assert "81 % of it" in text
    assert "65,000 events/s at an assumed 20 ms per token, and 1 worker can carry 80,000" in text
    assert "give more --workers" in text


def test_without_an_envelope_nothing_is_said() -> None:
    assert warning(None) is None


@pytest.mark.parametrize(
    ("share", "text"), [(0.003, "0.3 %"), (0.08, "8 %"), (0.8, "80 %"), (14.0, "1,400 %")]
)
def test_shares_are_short(share: float, text: str) -> None:
    assert percent(share) == text
