"""The list of runs: what it reads, what it leaves alone, what it finds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from ui_runs import HOSTILE, client, house, numbers, store_run

from inferometer.ui.app import make_app
from inferometer.ui.listing import PAGE_ROWS, listing, query_of
from inferometer.ui.store import Store, StoredRun


def test_the_best_load_point_makes_the_headline(tmp_path: Path) -> None:
    points = [numbers(100.0, 1), numbers(900.0, 16, failed=2), numbers(800.0, 64)]
    store_run(tmp_path, "a", summary={"points": points}, label="x", labels={"k": "v"})
    (run,) = Store(tmp_path).runs()
    assert (run.output_throughput_per_s, run.at_load) == (900.0, "concurrency 16")
    assert (run.ttft_ms, run.tpot_ms, run.failed) == (160.0, None, 2)
    assert (run.verdict, run.label, run.labels, run.load) == ("VALID", "x", {"k": "v"}, "concurrency 4")


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    (tmp_path / "a" / "run.json").write_text("{")
    store_run(tmp_path, "b", summary={"points": "many"})
    b, a = Store(tmp_path).runs()
    assert "run.json cannot be read" in a.problem
    assert "summary.json cannot be read" in b.problem


@pytest.mark.parametrize(
    "content",
    [
        b'{"verdict":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"created_utc": "\xff", "model": "m", "state": "complete", "simulated": false}',
        b'{"created_utc": "", "model": "m", "state": "complete", "simulated": false,'
        b' "points": [{"kind": "measure", "load": {"request_rate": {"a": 1}}}]}',
    ],
)
def test_nonsense_in_one_folder_hides_no_other(tmp_path: Path, content: bytes) -> None:
    store_run(tmp_path, "good")
    (store_run(tmp_path, "bad") / "run.json").write_bytes(content)
    pages = client(house(tmp_path))
    assert pages.get("/").text.count("run.json cannot be read") == 1
    assert [run["name"] for run in pages.get("/api/runs").json()["runs"]] == ["good", "bad"]


def test_a_fault_of_ours_is_told_with_its_place_and_without_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    monkeypatch.setattr(of.deeds, "report", lambda folder: {}["a secret"])
    answer = TestClient(make_app(of), "http://127.0.0.1:8765", raise_server_exceptions=False).get("/runs/a")
    assert answer.status_code == 500
    assert "KeyError" in answer.text
    assert "a secret" not in answer.text


def test_a_comparison_is_made_anew_when_noise_was_learned(tmp_path: Path) -> None:
    for name in "ab":
        store_run(tmp_path, name)
    of = house(tmp_path)
    pages = client(of)
    for expected in (1, 1, 2):
        if expected == 2:
            (tmp_path / "noise.json").write_text("{}")
        pages.get("/compare?run=a&run=b")
        assert len(of.deeds.asked) == expected  # type: ignore[attr-defined]


def test_only_runs_that_were_not_measured_alike_offer_to_go_on_all_the_same(tmp_path: Path) -> None:
    for name in ("a", "b", "different"):
        store_run(tmp_path, name)
    pages = client(house(tmp_path))
    offered = [
        "compare although" in pages.get(f"/compare?run=a&run={asked}").text
        for asked in ("b", "different", "different&different=1")
    ]
    assert offered == [False, True, False]


def test_a_killed_run_is_not_listed_as_going_on(tmp_path: Path) -> None:
    for name in ("killed", "new"):
        (store_run(tmp_path, name) / "journal").mkdir()
    os.utime(tmp_path / "killed" / "journal", (0, 0))
    rows = client(house(tmp_path)).get("/").text.split("<tr>")
    said = {name: "not closed" in row for row in rows for name in ("killed", "new") if f"/{name}" in row}
    assert said == {"killed": True, "new": False}


def test_without_scripts_the_other_language_keeps_what_was_asked(tmp_path: Path) -> None:
    for name in "ab":
        store_run(tmp_path, name)
    text = client(house(tmp_path)).get("/compare?run=a&run=b&lang=zh").text
    assert 'href="?run=a&amp;run=b&amp;lang=en"' in text


def test_a_folder_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    folder = store_run(tmp_path, "a")
    store = Store(tmp_path)
    first = store.runs()[0]
    assert store.runs()[0] is first
    (folder / "summary.json").write_text(json.dumps({"points": [numbers(5.0)]}))
    assert store.runs()[0].output_throughput_per_s == 5.0
    (folder / "journal").mkdir()
    assert store.runs()[0].state == "open"


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "../a", "a\0", "latest", "link", "none", "-a", ".hidden"]
)
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    store_run(out, "real")
    store_run(tmp_path, "outside")
    (out / "latest").symlink_to("real")
    (out / "link").symlink_to(tmp_path / "outside")
    assert Store(out).folder(name) is None
    assert [run.name for run in Store(out).runs()] == ["real"]


def test_only_files_of_the_list_leave_and_no_links(tmp_path: Path) -> None:
    folder = store_run(tmp_path, "a")
    (folder / "secret.txt").write_text("s")
    (tmp_path / "key").write_text("s")
    (folder / "vllm.json").symlink_to(tmp_path / "key")
    (folder / "report.html").write_text("<script>1</script>")
    pages = client(house(tmp_path))
    for file in ("secret.txt", "vllm.json", "..%2f..%2fkey", "journal", "none"):
        assert pages.get(f"/runs/a/files/{file}").status_code == 404
    answer = pages.get("/runs/a/files/report.html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert pages.get("/api/runs/a").json()["files"].keys() == {"report.html", "run.json"}


def test_hostile_text_is_text(tmp_path: Path) -> None:
    store_run(tmp_path, "a", model=HOSTILE, label=HOSTILE, labels={HOSTILE: HOSTILE, "note": HOSTILE})
    pages = client(house(tmp_path))
    asked = pages.get("/", params={"text": HOSTILE, "model": HOSTILE, "sort": HOSTILE})
    text = pages.get("/").text + asked.text + pages.get("/runs/a").text + pages.get(f"/runs/{HOSTILE}").text
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def runs() -> list[StoredRun]:
    return [
        StoredRun(name="c", created_utc="2026-03-03T", model="Qwen", verdict="WARN", simulated=True),
        StoredRun(name="b", created_utc="2026-02-02T", model="Llama", labels={"gpu": "h100"}, ttft_ms=9.0),
        StoredRun(
            name="a", created_utc="2026-01-01T", model="Llama", verdict="VALID", tool="vllm", ttft_ms=5.0
        ),
    ]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, "cba"),
        ({"text": "llama h100"}, "b"),
        ({"model": "Llama"}, "ba"),
        ({"label": "gpu"}, "b"),
        ({"label": "gpu=h100"}, "b"),
        ({"label": "gpu=h"}, ""),
        ({"verdict": "none"}, "b"),
        ({"verdict": "WARN"}, "c"),
        ({"since": "2026-02-02", "until": "2026-02-02"}, "b"),
        ({"kind": "simulated"}, "c"),
        ({"kind": "imported"}, "a"),
        ({"kind": "measured"}, "b"),
        ({"sort": "ttft", "up": "1"}, "abc"),  # without one: last
        ({"sort": "ttft"}, "bac"),
        ({"sort": "nonsense", "page": "-3", "kind": "nonsense"}, "cba"),
    ],
)
def test_runs_are_found_and_ordered(asked: dict[str, str], names: str) -> None:
    assert "".join(run.name for run in listing(runs(), query_of(asked)).runs) == names


def test_many_runs_come_in_pages() -> None:
    many = [StoredRun(name=f"r{i:03d}", created_utc=f"2026-01-01T{i:04d}") for i in range(2 * PAGE_ROWS + 1)]
    last = listing(many, query_of({"page": "99"}))
    assert (last.page, last.pages, last.found, len(last.runs)) == (3, 3, 2 * PAGE_ROWS + 1, 1)
    assert query_of({"page": "2", "sort": "ttft"}).to(page=3) == "?sort=ttft&page=3"


def test_a_comparison_begins_with_the_oldest_or_the_asked_one(tmp_path: Path) -> None:
    for name in "abc":
        store_run(tmp_path, name)
    of = house(tmp_path)
    pages = client(of)
    assert pages.get("/compare?run=b&run=a").status_code == 200
    pages.get("/compare?run=b&run=a&first=b&different=1")
    assert of.deeds.asked == [("comparison", "a", "b", False), ("comparison", "b", "a", True)]  # type: ignore[attr-defined]
    for bad in ("", "?run=a", "?run=a&run=a", "?run=a&run=none", "?run=a&run=../a"):
        assert pages.get(f"/compare{bad}").status_code == 400


def test_pages_speak_the_language_of_the_browser_or_the_address(tmp_path: Path) -> None:
    pages = client(house(tmp_path))
    assert '<html lang="en"' in pages.get("/").text
    chinese = pages.get("/", headers={"accept-language": "zh-CN,zh"}).text
    assert '<html lang="zh"' in chinese
    assert 'switch to English / 切换为英文">English</button>' in chinese  # the button leads to the other one
    assert '<html lang="en"' in pages.get("/?lang=en", headers={"accept-language": "zh-CN,zh"}).text


def test_files_of_the_pages_may_be_kept_for_ever(tmp_path: Path) -> None:
    pages = client(house(tmp_path))
    text = pages.get("/").text
    address = text.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = pages.get(address)
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert pages.get("/static/000000000000/report.css").status_code == 404
