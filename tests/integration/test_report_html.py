"""``report.html`` of a run's own, and pages that a person asks for by name."""

from __future__ import annotations

from pathlib import Path

from commands import here

SIMULATE = (
    "simulate",
    "--device",
    "h100",
    "--model-config",
    "llama-3.1-8b",
    "--quiet",
    "--num-prompts",
    "20",
)


def test_a_run_leaves_its_page_unless_asked_not_to_and_pages_are_made_on_demand(tmp_path: Path) -> None:
    runs, page = str(tmp_path / "runs"), tmp_path / "two.html"
    with_page = here(*SIMULATE, "--out", runs, "--label", "first")
    folder = (tmp_path / "runs" / "latest").resolve()
    assert f"report  {folder / 'report.html'}\n" in with_page.out
    assert "first" in (folder / "report.html").read_text(encoding="utf-8")

    without = here(*SIMULATE, "--out", runs, "--label", "second", "--no-html")
    assert "report  " not in without.out
    assert not (tmp_path / "runs" / "latest" / "report.html").exists()

    asked = ("report", folder.name, "latest", "--out", runs, "--html", str(page))
    assert here(*asked, "--lang", "zh") == (0, f"report  {page}\n", "")
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh"' in text
    assert "Run 2: second" in text

    taken = here(*asked)
    assert taken.code == 2
    assert f"{page} exists already" in taken.err
    assert here(*asked, "--overwrite").code == 0

    assert here("report", "latest", "--out", runs, "--html").out.endswith("/report.html\n")
    assert "second" in (tmp_path / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    nameless = here("report", folder.name, "latest", "--out", runs, "--html")
    assert (nameless.code, "name it: --html FILE.html" in nameless.err) == (2, True)


def test_what_makes_no_page_is_refused(tmp_path: Path) -> None:
    here(*SIMULATE, "--out", str(tmp_path), "--no-html")
    for flags, said in (
        (("--html", "page.csv"), "'page.csv' is no name of a page"),
        (("--html", str(tmp_path / "a.html"), "--csv", "b.csv"), "--html and --csv are two things to write"),
        (("--html", str(tmp_path / "a.html"), "--as", "vllm"), "--html and --as are two things to write"),
    ):
        done = here("report", "latest", "--out", str(tmp_path), *flags)
        assert (done.code, said in done.err) == (2, True), done.err
    assert not (tmp_path / "a.html").exists()
