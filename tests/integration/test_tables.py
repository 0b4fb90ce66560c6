"""A static and a dynamic run, and the tables that people make of them on the command line."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import Done, check_message, check_succeeded, folders, here

from inferometer.simulator import SimSettings, start_simulated_server

QUICK = ("--input-len", "16", "--output-len", "4", "--num-prompts", "12", "--warmup", "0", "--quiet")


class Measured(NamedTuple):
    """Both runs of the guide, the printed table of the static one, and a running server."""

    out: Path
    static: Done
    csv: Path
    url: str


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    out, table = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("tables") / "parallel.csv"
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        common = ("run", "--url", server.url, "--out", str(out), *QUICK)
        wanted = ("--table", "guide", "--csv", str(table))
        static = here(*common, "--max-concurrency", "1", "2", "--label", "static", *wanted)
        check_succeeded(static, out)
        check_succeeded(here(*common, "--request-rate", "inf", "--label", "dynamic"), out)
        yield Measured(out, static, table, server.url)


def report(measured: Measured, *words: str) -> Done:
    return here("report", *words, "--out", str(measured.out))


def test_run_prints_the_table_and_writes_it(measured: Measured) -> None:
    shown = measured.static.out
    assert shown.index("benchmark_parallel, sim-llama-8b (simulated)") < shown.index(f"table  {measured.csv}")
    with measured.csv.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Concurrency"] for row in rows] == ["1", "2"]
    assert {(row["Input_Length"], row["Output_Length"], row["Fail_Rate"]) for row in rows} == {
        ("16", "4", "0.0")
    }
    assert {row["simulated"] for row in rows} == {"yes"}


def test_run_refuses_a_file_that_is_there_before_anything_is_sent(measured: Measured) -> None:
    before = folders(measured.out)
    again = here("run", "--url", measured.url, "--out", str(measured.out), *QUICK, "--csv", str(measured.csv))
    check_message(again, 2, "exists already", "--csv")
    other = here("run", "--url", measured.url, "--out", str(measured.out), *QUICK, "--csv", "table.xlsx")
    check_message(other, 2, "--csv table.xlsx contradicts the format csv")
    assert folders(measured.out) == before


def test_a_run_with_both_halves_of_the_guide_writes_both_files(measured: Measured, tmp_path: Path) -> None:
    loads = ("--max-concurrency", "2", "--request-rate", "inf", "200", "--table", "guide")
    done = here(
        "run", "--url", measured.url, "--out", str(tmp_path), *QUICK, *loads, "--csv", f"{tmp_path}/csv/"
    )
    check_succeeded(done, tmp_path)
    assert sorted(path.name for path in (tmp_path / "csv").iterdir()) == [
        "benchmark_parallel.csv",
        "benchmark_serving.csv",
    ]
    assert done.out.count("table  ") == 2


def test_two_runs_make_the_guides_workbook_and_its_two_files(measured: Measured, tmp_path: Path) -> None:
    book = tmp_path / "output.xlsx"
    done = report(
        measured, "static", "dynamic", "--table", "guide", "--xlsx", str(book), "--csv", f"{tmp_path}/csv/"
    )
    assert done.code == 0
    assert "--unproven" in done.err
    assert b'sheet name="benchmark_serving"' in zipfile.ZipFile(book).read("xl/workbook.xml")
    heads = {path.name: path.read_text().partition(",")[0] for path in (tmp_path / "csv").iterdir()}
    assert heads == {"benchmark_parallel.csv": "run", "benchmark_serving.csv": "run"}
    check_message(
        report(measured, "static", "--table", "guide", "--xlsx", str(book)),
        2,
        "exists already",
        "--overwrite",
    )


def test_several_runs_without_a_style_are_our_own_table(measured: Measured) -> None:
    done = report(measured, "static", "dynamic")
    assert done.code == 0
    assert "load_points, sim-llama-8b (simulated)" in done.out
    assert "all at once" in done.out


def test_a_view_judges_a_run_first_that_ended_before_it_was_judged(measured: Measured) -> None:
    (path,) = measured.out.glob("*-static-*/run.json")
    judged = json.loads(path.read_text())
    path.write_text(json.dumps(judged | {"verdict": None}))
    done = report(measured, "static", "--as", "mindie")
    assert "The BenchMark test performance metric result is (simulated):" in done.out
    assert json.loads(path.read_text())["verdict"] == judged["verdict"] is not None


def test_csv_for_excel_on_a_chinese_windows(measured: Measured) -> None:
    done = report(measured, "static", "--table", "guide-zh", "--format", "csv", "--encoding", "utf-8-sig")
    assert done.out.startswith("\ufeff输入长度,输出长度,并发数,")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--table", "guid"), "did you mean 'guide'"),
        (("--format", "md", "--to", "t.csv"), "--to t.csv contradicts the format md"),
        (("--csv", "t.xlsx"), "--csv t.xlsx contradicts the format csv"),
        (("--csv", ""), "--csv was given an empty name"),
        (("--to", "t.pdf"), "no table is written as .pdf"),
        (("--unproven",), "--unproven is about tables"),
        (("--as", "vllm", "--encoding", "utf-8-sig"), "--encoding is about tables"),
        (("--to", "nowhere/t.csv"), "there is no directory"),
        (("--json",), "--json needs --as"),
        (("--as", "vllm", "--table", "guide"), "no table"),
        (("--as", "nobody"), "unknown view 'nobody'"),
        (("--nodes-served", "0"), "'0' is not a whole number from 1 on"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    measured: Measured, words: tuple[str, ...], message: str
) -> None:
    check_message(report(measured, "static", *words), 2, message)
