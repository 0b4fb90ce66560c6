"""Tables of turns and models."""

from __future__ import annotations

from run_builder import point, request, run

from inferometer.metrics.summary import summarize
from inferometer.record.tables import PointTable
from inferometer.report.console import render_run


def table(turns: int, **fields: object) -> PointTable:
    records = [
        request(k, turn=k, planned=0, sent=0, first_token=10 * (k + 1), first_answer=10 * (k + 1),
                last_token=10 * (k + 1) + 20, end=60, input_tokens_server=10, output_tokens_server=3,
                cached_tokens=5 * (k > 0), model="lora" if k else "base")
        for k in range(turns)
    ]  # fmt: skip
    return point(records, **fields)


def part(text: str, heading: str) -> list[str]:
    lines = text.split("\n\n")
    (found,) = [lines for lines in lines if lines.startswith(heading)]
    return [" ".join(line.split()) for line in found.splitlines()]


SPEC = {"measure": {"percentiles": [50.0]}}


def test_one_load_point_shows_each_turn_once() -> None:
    assert part(render_run(summarize(run(table(3), spec=SPEC))), "Turns of sessions") == [
        "Turns of sessions",
        "turn requests TTFT p50 ms TPOT p50 ms E2EL p50 ms cached failed",
        "first turn 1 n/a n/a n/a 0 % 0",
        "later turns 2 n/a n/a n/a 50.0 % 0",
        "turn 2 1 n/a n/a n/a 50.0 % 0",
        "turn 3 1 n/a n/a n/a 50.0 % 0",
    ]


def test_several_load_points_show_first_and_later_turns() -> None:
    load = {"max_concurrency": 2, "request_rate": None, "burstiness": 1.0, "closed": True}
    text = render_run(summarize(run(table(3), table(2, index=2, load=load), spec=SPEC)))
    names = [line.split(" n/a")[0] for line in part(text, "Turns of sessions")[2:]]
    assert names == [
        "concurrency 1 first turn 1",
        "concurrency 1 later turns 2",
        "concurrency 2 first turn 1",
        "concurrency 2 later turns 1",
    ]


def test_models_have_a_row_each() -> None:
    rows = part(render_run(summarize(run(table(3), spec=SPEC))), "Models")
    assert [row.split(" n/a")[0] for row in rows[2:]] == ["base 1", "lora 2"]
