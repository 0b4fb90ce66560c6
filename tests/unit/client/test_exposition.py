"""Prometheus' text, line by line: what engines write is read, and a web page is not taken for it."""

from __future__ import annotations

import pytest

from inferometer.client.exposition import name_and_labels, series_of


def test_comments_labels_times_and_exemplars_of_one_exposition() -> None:
    text = (
        '# HELP a help with } and "quotes"\n# TYPE a counter\n\n'
        'a{x="1",y="a,b}"} 3.0\n'
        "b 1e+06 1785538744138\n"
        '  c:d_total{} 2 # {trace="x"} 0.5\n'
        "# EOF\n"
    )
    assert series_of(text) == {'a{x="1",y="a,b}"}': 3.0, "b": 1e6, "c:d_total": 2.0}


def test_values_that_are_not_finite_are_left_out() -> None:
    assert series_of("a NaN\nb +Inf\nc 0\n") == {"c": 0.0}


@pytest.mark.parametrize(
    "line", ["<!doctype html>", "a", "a{x=1} 2", 'a{x="1} 2', "1a 2", "a two", '{"a": 1}']
)
def test_what_is_no_sample_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        series_of(f"ok 1\n{line}\n")


def test_labels_come_apart_and_unescaped() -> None:
    series = next(iter(series_of(r'a{model_name="C:\\x \"y\"",position="0"} 1')))
    assert name_and_labels(series) == ("a", {"model_name": 'C:\\x "y"', "position": "0"})
    assert name_and_labels("a") == ("a", {})
