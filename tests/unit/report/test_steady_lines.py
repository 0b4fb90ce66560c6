"""The steady window in a report: beside the whole run, with what it takes to be surer, and without noise."""

import numpy as np
import pytest
from batch_server import Load, Server, even, measure
from run_builder import run

from inferometer.metrics.summary import summarize
from inferometer.record.tables import PointTable
from inferometer.report.console import render_run
from inferometer.report.steady import steady_lines
from inferometer.spec import Measure
from inferometer.spec.fields import as_steady_window


def table(count: int, concurrency: int = 16, server: Server | None = None) -> PointTable:
    lengths = even(20, 200)(np.random.default_rng(0), count)
    return measure(server or Server(), Load(concurrency, lengths), 0)


def lines_of(*tables: PointTable) -> list[str]:
    points = summarize(run(*tables)).points
    return steady_lines(points, [f"load {i}" for i in range(len(points))])


def test_the_window_stands_beside_the_whole_run() -> None:
    header, row, note = lines_of(table(1000))
    assert " ".join(header.split()) == "load from-to s req/s out tok/s 95 % whole run ramp tail needs"
    cells = row.split()
    assert cells[:2] == ["load", "0"]
    assert float(cells[4]) == pytest.approx(661.7, rel=0.01)
    assert cells[5].startswith("+-")
    assert float(cells[7]) < float(cells[4])
    assert cells[-1] == "0"
    assert note.endswith("needs: more requests for +-2 %")


def test_load_points_without_one_are_named_once_and_the_verdict_says_why() -> None:
    tables = (table(1000), table(12), table(64))
    lines = lines_of(*tables)
    assert [line.split()[1] for line in lines[1:3]] == ["0", "2"]
    assert " n/a " in lines[2]
    assert lines[-2:] == [
        "n/a: an interval takes a window 3 times as long as its requests; needs: more for that",
        "no steady window: load 1",
    ]
    assert render_run(summarize(run(*tables))).count("too short: ") == 1


def test_there_is_nothing_to_say_where_no_load_point_has_one() -> None:
    assert lines_of(table(12)) == []


def test_drift_and_what_was_left_out_are_told() -> None:
    drifting = table(4000, server=Server(pace=lambda at_s: 1.0 + 0.06 * at_s / 660))
    assert "drift from beginning to end of the window: -" in "\n".join(lines_of(drifting))
    stepped = table(1000, server=Server(pace=lambda at_s: 1.0 if at_s < 140 else 1.25))
    assert "load 0: full load but another level of throughput: " in "\n".join(lines_of(stepped))


@pytest.mark.parametrize("text", ["auto", "OFF", "10s-60s", "5m-"])
def test_the_flag_takes_three_forms(text: str) -> None:
    assert Measure(steady_window=text).steady_window == as_steady_window(text)


@pytest.mark.parametrize("text", ["10s", "60s-10s", "always"])
def test_the_flag_refuses_others_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 10s-60s; or it is auto or off"):
        Measure(steady_window=text)
