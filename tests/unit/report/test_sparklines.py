"""Pictures of one line."""

import pytest
from run_builder import point, run, steady_requests

from inferometer.metrics.course import PARTS, output_course
from inferometer.metrics.latency import PointData
from inferometer.metrics.summary import summarize
from inferometer.report.console import render_run
from inferometer.report.sparklines import sparkline


@pytest.mark.parametrize(
    ("values", "blocks", "signs"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█", ".:-=+*#@"),
        ([100, 101, 99], "███", "@@@"),
        ([0, 0.001, 10], "▁▁█", "..@"),
        ([5, None, 10, float("nan")], "▄ █ ", "= @ "),
        ([0, 0], "▁▁", ".."),
        ([None], " ", " "),
        ([], "", ""),
    ],
)
def test_a_bar_is_as_high_as_its_share_of_the_largest(values, blocks, signs):
    assert sparkline(values) == blocks
    assert sparkline(values, unicode=False) == signs


def at_loads(*gaps_ms):
    load = {"request_rate": None, "burstiness": 1.0, "closed": True}
    return summarize(
        run(
            *(
                point(*steady_requests(40, gap_ms=gap), index=i, load={**load, "max_concurrency": 2**i})
                for i, gap in enumerate(gaps_ms, 1)
            )
        )
    )


def glance(text):
    return text[text.index("At a glance") :].split("\n\n")[0].splitlines()


def test_the_console_shows_metrics_over_loads_and_the_rate_over_time():
    summary = at_loads(400, 200, 100)
    assert glance(render_run(summary))[:4] == [
        "At a glance",
        "  over the loads, in order       least   most",
        "  out tok/s                 ▂▄█   7.50  30.02",
        "  TTFT p50 ms               ███  30.00  30.00",
    ]
    told = glance(render_run(summary, unicode=False))
    assert told[2].split() == ["out", "tok/s", ":=@", "7.50", "30.02"]
    assert told[6].split()[:2] == ["concurrency", "2"]
    assert len(told[6].split()[2]) == PARTS
    assert "\n".join(told).isascii()
    assert "\x1b" not in render_run(summary)


def test_few_loads_need_no_picture_and_many_have_none_over_time():
    assert "At a glance" not in render_run(at_loads(100, 200))
    assert "over time" not in "\n".join(glance(render_run(at_loads(*[100] * 9))))


def test_the_course_holds_all_tokens_and_is_empty_where_they_are_not_known():
    requests, chunks = steady_requests(40)
    course = output_course(PointData(point(requests, chunks)))
    span_s = 40 * 0.1 - 0.002
    assert len(course) == PARTS
    assert sum(course) / PARTS * span_s == pytest.approx(120, abs=1.5), (
        "but for the first, which took no time"
    )
    assert output_course(PointData(point([]))) == []
    unknown = [
        request.__class__(**{**fields_of(request), "output_tokens_server": None}) for request in requests
    ]
    assert output_course(PointData(point(unknown, [chunk._replace(tokens=None) for chunk in chunks]))) == []


def fields_of(request):
    return {name: getattr(request, name) for name in request.__struct_fields__}
