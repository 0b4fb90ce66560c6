"""How tables are written: what a terminal, Markdown, CSV and Excel get of verdicts, doubts and failures."""

import csv
import io
import re
import zipfile
from pathlib import Path

import pytest
from rich.cells import cell_len
from table_runs import closed, made, markdown_table, measured, opened

from inferometer.errors import UsageError
from inferometer.report.tables import STYLES, console, csv_text, markdown
from inferometer.report.tables.output import How, as_text, write
from inferometer.report.tables.placing import check_free
from inferometer.report.tables.workbook import workbook

MANY = 1100  # enough for a p99


def rows_of_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("style", STYLES)
def test_an_invalid_run_says_so_in_every_style_and_format(style: str) -> None:
    report = made(style, measured(closed(1, 4, failed=5)))
    start = "INVALID: do not compare or publish these numbers; failed 5 of 25 (20.0 %), errors"
    assert console(report, 120).splitlines()[0].startswith(start)
    assert markdown(report).splitlines()[0].startswith(f"**{start}")
    assert "INVALID" in markdown_table(report)[2]
    (row,) = rows_of_csv(csv_text(report.tables[0]))
    assert row["verdict"] == "INVALID"
    assert row["simulated"] == "no"
    told = [row[c.csv_heading] for c in report.tables[0].columns if c.failures]
    assert set(told) <= {"5", "0.2", "80.0"}
    assert told


@pytest.mark.parametrize("style", STYLES)
def test_simulated_numbers_are_marked_in_every_style_and_format(style: str) -> None:
    report = made(style, measured(opened(1, 2.0), simulated=True))
    assert "qwen2.5-7b (simulated)" in console(report, 120)
    assert "simulated" in markdown(report).splitlines()[0]
    assert rows_of_csv(csv_text(report.tables[0]))[0]["simulated"] == "yes"
    assert "(simulated)" in strings(workbook(report))


def test_a_percentile_of_too_few_requests_is_marked_and_in_files_left_out() -> None:
    report = made("guide", measured(closed(1, 4)))
    assert report.needs == 1000
    assert re.search(r"TP99_TTFT\(s\) +0\.0300\*\n", console(report, 80))
    assert "* too few requests to rely on" in console(report, 80)
    (row,) = rows_of_csv(csv_text(report.tables[0]))
    assert (row["TP99_TTFT(s)"], row["MAX_TTFT(s)"]) == ("", "0.03")
    (row,) = rows_of_csv(csv_text(report.tables[0], unproven=True))
    assert row["TP99_TTFT(s)"] == "0.03"
    assert "TP99_TTFT(s)" in row["unproven"].split()
    assert "MAX_TTFT(s)" not in row["unproven"].split()


def test_our_own_table_shows_no_percentile_of_too_few_requests_unless_asked() -> None:
    report = made("ours", measured(closed(1, 4)))
    assert re.search(r"TTFT p99 ms +n/a\n", console(report, 80))
    assert re.search(r"TTFT p99 ms +30.00\*\n", console(report, 80, unproven=True))


def test_a_percentile_of_enough_requests_is_not_marked() -> None:
    report = made("evalscope", measured(closed(1, 4, count=MANY)))
    assert report.needs == 0
    assert "*" not in console(report, 200)
    assert rows_of_csv(csv_text(report.tables[0]))[0]["P99 TTFT(ms)"] == "30.0"


def test_a_wide_table_is_turned_on_its_side_and_folded_to_the_terminal() -> None:
    report = made("evalscope", measured(*(closed(i, i) for i in range(1, 9))))
    narrow, wide = console(report, 60), console(report, 200)
    assert max(cell_len(line) for line in narrow.splitlines()) <= 60
    assert narrow.count("Conc.") > 1  # several blocks, each with its headings
    assert re.findall(r"Conc\. +(.*)", narrow) != []
    assert [int(n) for line in re.findall(r"Conc\. +(.*)", narrow) for n in line.split()] == list(range(1, 9))
    assert re.findall(r"(?m)^  (\d) .* 100\.0", wide) == [str(i) for i in range(1, 9)]


def test_wide_signs_are_counted_as_two_columns() -> None:
    lines = markdown_table(made("guide-zh", measured(closed(1, 1))))
    assert len({cell_len(line) for line in lines}) == 1


def test_several_runs_stand_in_one_table() -> None:
    a, b = (measured(closed(1, 4), run_id=f"run-{name}", label=name) for name in "ab")
    report = made("evalscope", a, b)
    assert [row["run"] for row in rows_of_csv(csv_text(report.tables[0]))] == ["a", "b"]
    assert [line.rpartition(" (run ")[2] for line in report.headlines] == ["run-a)", "run-b)"]
    unlabelled = made("evalscope", *(measured(closed(1, 4), run_id=f"run-{name}") for name in "ab"))
    assert [row["run"] for row in rows_of_csv(csv_text(unlabelled.tables[0]))] == ["run-a", "run-b"]


def test_a_run_without_a_load_point_has_no_table() -> None:
    with pytest.raises(UsageError, match="no load point was measured"):
        made("guide", measured())


def test_signs_of_markdown_in_a_label_do_not_break_the_table() -> None:
    report = made("lmdeploy", measured(closed(1, 4), labels={"max_bsz": "a|b*"}))
    assert "| a\\|b\\*" in markdown_table(report)[2]


def part(content: bytes, name: str) -> str:
    return zipfile.ZipFile(io.BytesIO(content)).read(f"xl/{name}.xml").decode()


def strings(content: bytes) -> str:
    return part(content, "sharedStrings")


def test_the_workbook_of_the_guide_has_its_two_sheets_numbers_and_colours() -> None:
    content = workbook(made("guide", measured(closed(1, 4, failed=5), opened(2, 8.0))))
    names = re.findall(r'<sheet name="([^"]+)"', part(content, "workbook"))
    assert names == ["benchmark_serving", "benchmark_parallel", "notes"]
    sheet = part(content, "worksheets/sheet2")
    assert 'state="frozen"' in sheet
    # C2 is Concurrency, F2 TP75_TTFT of 20 requests, which would take 40; K2 is AVG_TTFT. Numbers carry no type.
    assert re.search(r'<c r="C2" s="\d+"><v>4</v></c>', sheet)
    assert re.search(r'<c r="K2" s="\d+"><v>0.03</v></c>', sheet)
    assert 'r="F2"' not in sheet
    assert re.search(r'<c r="F2" s="\d+"><v>0.03</v></c>', part(shown_anyway(), "worksheets/sheet2"))
    assert "FFC7CE" in part(content, "styles")  # INVALID
    assert "(t_end - t1) / (out - 1)" in strings(content)
    assert "INVALID: do not compare" in strings(content)


def shown_anyway() -> bytes:
    return workbook(made("guide", measured(closed(1, 4, failed=5), opened(2, 8.0))), unproven=True)


def test_a_workbook_depends_on_nothing_but_the_run() -> None:
    assert shown_anyway() == shown_anyway()


def test_a_text_that_looks_like_a_formula_stays_a_text() -> None:
    content = workbook(made("lmdeploy", measured(closed(1, 4), labels={"max_bsz": "=1+1"})))
    assert "<f>" not in part(content, "worksheets/sheet1")
    assert "=1+1" in strings(content)


def test_files_are_never_written_over_unless_asked(tmp_path: Path) -> None:
    report = made("evalscope", measured(closed(1, 4)))
    target = tmp_path / "table.csv"
    assert write(report, str(target), How("csv")) == [target]
    target.write_text("mine")
    with pytest.raises(UsageError, match="exists already") as caught:
        write(report, str(target), How("csv"))
    assert "--overwrite" in caught.value.next_step
    assert target.read_text() == "mine"
    write(report, str(target), How("csv", overwrite=True))
    assert target.read_text().startswith("Conc.,Rate,RPS,")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_two_tables_go_to_files_of_their_own_names(tmp_path: Path) -> None:
    report = made("guide", measured(closed(1, 4), opened(2, 8.0)))
    with pytest.raises(UsageError, match="two tables, benchmark_serving and benchmark_parallel"):
        write(report, str(tmp_path / "one.csv"), How("csv"))
    written = write(report, f"{tmp_path}/new/", How("csv", encoding="utf-8-sig"))
    assert [path.name for path in written] == ["benchmark_serving.csv", "benchmark_parallel.csv"]
    assert written[0].read_bytes().startswith("\ufeffDATASET,AVG_Input_Length,".encode())
    assert write(report, str(tmp_path), How("xlsx")) == [tmp_path / "output.xlsx"]


def test_text_goes_into_a_directory_under_the_name_of_its_style(tmp_path: Path) -> None:
    report = made("evalscope", measured(closed(1, 4)))
    assert write(report, str(tmp_path), How("md", encoding="utf-8-sig")) == [tmp_path / "evalscope.md"]
    assert (tmp_path / "evalscope.md").read_text("utf-8-sig") == markdown(report) + "\n"


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    report = made("evalscope", measured(closed(1, 4)))
    with pytest.raises(UsageError, match=r"missing/t\.csv cannot be written: there is no directory"):
        write(report, str(tmp_path / "missing/t.csv"), How("csv"))
    (tmp_path / "taken.md").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        check_free(tmp_path / "taken.md")


def test_a_workbook_cannot_be_printed() -> None:
    with pytest.raises(UsageError, match="cannot be printed"):
        as_text(made("guide", measured(closed(1, 4))), How("xlsx"))
