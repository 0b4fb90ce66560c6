from types import SimpleNamespace

from inferometer.metrics.data_rows import DataRows
from inferometer.report.data_rows import row_lines


def point(dropped=None, skipped=None, notes=()):
    rows = DataRows(total=1319, dropped=dropped or {}, skipped=skipped or {}, notes=list(notes))
    return SimpleNamespace(rows=rows)


def test_nothing_is_said_when_all_rows_could_be_used():
    assert row_lines([point(), SimpleNamespace(rows=None)]) == []


def test_skipped_and_dropped_rows_are_told_by_reason():
    points = [
        point(skipped={"no_prompt": 2}),
        point({"prompt_too_long": 5}, {"prompt_empty": 1, "no_prompt": 2}),
    ]
    assert row_lines(points) == [
        "of 1,319 rows of the data set, 3 (no_prompt 2, prompt_empty 1) could not be used and were skipped; "
        "5 (prompt_too_long 5) were dropped by filters"
    ]


def test_what_was_decided_when_reading_is_told():
    assert row_lines([point(notes=["read as utf-16"])]) == ["data set: read as utf-16"]
