"""What a replayed trace adds to a report, and how the verdict judges it."""

import msgspec
from run_builder import point, request, steady_requests

from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.report.console import titles
from inferometer.report.replay import replay_lines
from inferometer.spec import Measure, Sampling

TRACE = {"request_rate": None, "max_concurrency": None, "trace": True, "trace_speed": 20.0, "closed": False}


def judged(cached: int | None = 0, late_ms: float = 0.0, **fields: object) -> PointSummary:
    """1,000 prompts of 8 tokens with so many from the cache; the last half was sent so late."""
    requests, chunks = steady_requests(1000)
    changed = [
        request(
            r.index,
            **{
                name: getattr(r, name)
                for name in (
                    "input_tokens_server",
                    "output_tokens_server",
                    "output_tokens_target",
                    "finish_reason",
                )
            },
            cached_tokens=cached,
            planned=r.planned_ns / 1e6,
            sent=(r.sent_ns or 0) / 1e6 + (late_ms if r.index >= 500 else 0.0),
            first_token=(r.first_token_ns or 0) / 1e6,
            first_answer=(r.first_token_ns or 0) / 1e6,
            last_token=(r.last_token_ns or 0) / 1e6,
            end=(r.end_ns or 0) / 1e6,
        )
        for r in requests
    ]
    return summarize_point(
        point(changed, chunks, **({"load": TRACE} | fields)), Measure(), Sampling(ignore_eos=True)
    )


def conditions(summary: PointSummary) -> dict[str, bool | None]:
    return {condition.name: condition.ok for condition in summary.verdict.conditions}


def lines(*points: PointSummary) -> list[str]:
    return replay_lines(points, titles(points))


def test_cached_tokens_stand_beside_what_the_prompts_imply() -> None:
    summary = judged(cached=2, dataset={"expected_hit_share": 0.26})
    assert titles([summary]) == ["trace x20"]
    assert summary.values["cached_share"] == 0.25
    assert summary.values["expected_cached_share"] == 0.26
    assert lines(summary) == [
        "arrivals, sent - planned, p50/p90/p99/max: 0.00 / 0.00 / 0.00 / 0.00 ms",
        "prompt tokens from the prefix cache: 25.0 %, as the server reports; 26.0 % expected of an endless cache",
    ]
    assert conditions(summary)["cached prompt tokens"] is True


def test_more_from_the_cache_than_the_prompts_imply_is_warned_of() -> None:
    summary = judged(cached=3, dataset={"expected_hit_share": 0.26})
    assert conditions(summary)["cached prompt tokens"] is False
    (broken,) = (c for c in summary.verdict.conditions if c.name == "cached prompt tokens")
    assert broken.next_step.startswith("empty the server's prefix cache before the run")


def test_hits_that_nobody_asked_for_are_told_without_an_expectation() -> None:
    summary = judged(cached=2)
    assert lines(summary)[1] == "prompt tokens from the prefix cache: 25.0 %, as the server reports"
    assert conditions(summary)["cached prompt tokens"] is False


def test_a_server_that_does_not_report_is_told_of_only_where_hits_are_expected() -> None:
    assert lines(judged(cached=None))[1:] == []
    assert lines(judged(cached=None, dataset={"expected_hit_share": 0.5}))[1:] == [
        "prompt tokens from the prefix cache: the server does not report; 50.0 % expected of an endless cache"
    ]


def test_an_ordinary_load_point_has_no_such_lines() -> None:
    load = {"request_rate": None, "max_concurrency": 1, "closed": True}
    assert lines(judged(load=load)) == []


def test_arrivals_that_fall_behind_break_the_rate_of_the_trace() -> None:
    assert conditions(judged())["achieved rate"] is True
    late = judged(late_ms=2000.0)
    assert conditions(late)["achieved rate"] is False
    (broken,) = (c for c in late.verdict.conditions if c.name == "achieved rate")
    assert broken.asked == "trace x20, within 1 % of the schedule's own rate"
    assert "--trace-speed" in broken.next_step
    assert lines(late)[0].endswith("2,000.00 / 2,000.00 ms")


def test_of_sessions_only_first_turns_have_an_expectation() -> None:
    summary = judged(cached=2, dataset={"expected_hit_share": 0.5})
    with_turns = msgspec.structs.replace(summary, groups={"turn": []})
    assert lines(with_turns)[1].endswith("; 50.0 % expected of an endless cache for first turns")
