"""``compare`` and the store verbs on real run folders, simulated in virtual time: no machine is slow in that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Done, check_message, folders, here

LOAD = (
    "--device", "h100", "--model-config", "llama-3.1-8b", "--num-prompts", "24", "--input-len", "128",
    "--output-len", "32", "--range-ratio", "0.1", "--warmup", "0", "--quiet",
)  # fmt: skip
BOTH = ("--max-concurrency", "4", "12")


def simulate(out: Path, label: str, *flags: str) -> None:
    done = here("simulate", *LOAD, "--label", label, "--out", str(out), *flags)
    assert done.code == 0, done


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base and again: the same service and other lengths; tight: fewer sequences at a time; single: not repeated."""
    out = tmp_path_factory.mktemp("runs")
    simulate(out, "base", *BOTH, "--repeat", "4", "--seed", "1")
    simulate(out, "again", "--max-concurrency", "12", "--repeat", "4", "--seed", "2")
    simulate(out, "single", "--max-concurrency", "12", "--seed", "3")
    simulate(out, "tight", *BOTH, "--repeat", "4", "--seed", "1", "--engine-args=--max-num-seqs 6")
    return out


def copied(store: Path, label: str, to: Path, **changes: object) -> Path:
    """A stored run under another name, with fields of its run.json changed."""
    (source,) = (folder for folder in folders(store) if f"-{label}-" in folder.name)
    shutil.copytree(source, to)
    meta = json.loads((to / "run.json").read_text())
    (to / "run.json").write_text(json.dumps({**meta, "run_id": to.name, **changes}))
    return to


def compare(store: Path, *argv: str) -> Done:
    return here("compare", *argv, "--out", str(store))


def effects(done: Done) -> dict[tuple[int, str], dict[str, object]]:
    """By concurrency and name of the figure."""
    (pair,) = json.loads(done.out)["pairs"]
    return {
        (load["load"]["max_concurrency"], each["figure"]["name"]): each
        for load in pair["loads"]
        for each in load["effects"]
    }


def test_a_changed_server_is_told_with_what_was_changed(store: Path) -> None:
    done = compare(store, "label:base", "label:tight", "--slo", "p90_ttft<=30ms")
    assert done.code == 0, done
    assert "changed: max_num_seqs 1024 -> 6" in done.out
    assert "[simulated]" in done.out
    at_twelve = done.out.partition("at concurrency 12")[2].partition("over load")[0]
    (row,) = (line for line in at_twelve.splitlines() if line.startswith("output throughput"))
    assert row.endswith("worse")
    assert "0.029  4+4" in row
    assert "area under the front" in done.out
    assert "load within the SLO" in done.out or "side " in done.out


def test_the_same_service_is_never_called_different(store: Path) -> None:
    done = compare(store, "label:base", "label:again", "--json")
    found = effects(done)
    assert {each["word"] for each in found.values() if each["primary"]} <= {"same", "unsure"}
    assert json.loads(done.out)["exit_code"] == 0


def test_a_pipeline_stops_at_what_it_asked_about(store: Path) -> None:
    sides = ("label:base", "label:tight")
    assert compare(store, *sides, "--fail-on", "worse").code == 4
    assert compare(store, *sides, "--fail-on", "worse:p50_tpot").code == 0
    found = effects(compare(store, *sides, "--fail-on", "worse:p50_ttft", "--json"))
    assert found[12, "p50_ttft"]["primary"]
    assert compare(store, *sides, "--fail-on", "worse:front_area").code == 4
    check_message(compare(store, *sides, "--fail-on", "bad"), 2, "verdict")
    apart = ("p99_ttft=412", "output_throughput=2655")
    check_message(compare(store, *apart, "--fail-on", "worse"), 2, "nothing could fail")


def test_what_should_be_equal_stops_it_unless_told_otherwise(store: Path, tmp_path: Path) -> None:
    other = copied(store, "single", tmp_path / "x", model="another")
    done = compare(store, "label:single", str(other))
    assert done.code == 5
    assert "model llama-3.1-8b -> another" in done.err
    assert "95 % CI" not in done.out
    assert compare(store, "label:single", str(other), "--allow-different").code == 0


def test_one_run_a_side_is_never_more_than_unsure(store: Path) -> None:
    done = compare(store, "label:single", "label:again", "--json")
    assert {each["word"] for each in effects(done).values()} <= {"unsure", "absent"}
    assert "one run on a side" in json.loads(done.out)["notes"][0]


def test_single_numbers_say_how_many_repeats_are_needed(store: Path) -> None:
    ladder = [f"output_throughput={number}" for number in (2655, 2662, 2673)]
    done = compare(store, *ladder, "--against", "previous")
    assert done.code == 0, done
    assert done.out.count("unsure (10 repeats for 2 %)") == 2
    assert "to tell +0.26 % from none" in done.out
    assert "assumed spread of 2%" in done.out
    check_message(compare(store, "output_throughput=many", ladder[0]), 2, "output_throughput=many")
    check_message(compare(store, ladder[0]), 2, "1 side")
    check_message(compare(store, *ladder, "--json", "--md"), 2, "--md FILE")


def test_repeats_of_one_thing_teach_the_threshold(store: Path) -> None:
    check_message(compare(store, "label:again", "label:base", "--threshold", "auto"), 2, "--aa")
    stated = effects(
        compare(store, "label:again", "label:base", "--threshold", "auto", "--noise", "1%", "--json")
    )
    assert stated[12, "output_throughput"]["threshold"] == pytest.approx(0.01395, abs=1e-4)
    (once,) = (folder for folder in folders(store) if "-single-" in folder.name)
    check_message(compare(store, "--aa", str(once)), 2, "4 times")
    (base,) = (folder for folder in folders(store) if "-again-" in folder.name)
    done = compare(store, "--aa", str(base))
    assert done.code == 0, done
    assert "repeats for 2 %" in done.out
    found = effects(compare(store, "label:again", "label:base", "--threshold", "auto", "--json"))
    assert found[12, "output_throughput"]["threshold"] != 0.02
    (store / "noise.json").unlink()


def test_markdown_and_page_are_written(store: Path, tmp_path: Path) -> None:
    page, text = tmp_path / "c.html", tmp_path / "c.md"
    done = compare(store, "label:base", "label:tight", "--html", str(page), "--md", str(text))
    assert done.code == 0, done
    assert "| output throughput tok/s \\* |" in text.read_text()
    html = page.read_text()
    assert "max_num_seqs" in html
    assert "差异是真实的吗" in html
    assert "每侧需重复" in html
    assert text.stat().st_mode & 0o777 == 0o644
    again = ("label:base", "label:tight", "--md", str(text))
    check_message(compare(store, *again), 2, "c.md exists already", "--overwrite")
    assert compare(store, *again, "--overwrite").code == 0
    assert compare(store, "label:single", "label:again", "--md").out.startswith("### Comparison (simulated)")


def test_a_run_is_on_one_side(store: Path) -> None:
    check_message(compare(store, "label:base", "label:tight,label:base"), 2, "-base-", "two sides")
    check_message(compare(store, "label:base", "label:tight,label:none"), 2, "'none'")
    check_message(compare(store, "label:base", "label:base"), 2, "two sides")


def test_history_labels_and_removal(store: Path, tmp_path: Path) -> None:
    for day in range(1, 7):
        copied(store, "again", tmp_path / f"day{day}", created_utc=f"2026-01-0{day}T00:00:00+00:00")
    copied(store, "tight", tmp_path / "slow", created_utc="2026-02-01T00:00:00+00:00")
    (tmp_path / "latest").symlink_to("slow")
    out = ("--out", str(tmp_path))
    done = here("runs", "trend", *out, "--metric", "output_throughput", "p50_ttft", "--fail-on", "worse")
    assert done.code == 4, done
    assert "output throughput tok/s at concurrency 12: worse" in done.out
    assert here("runs", "trend", "day4", *out, "--fail-on", "unknown").code == 4
    absent = ("--metric", "output_throughput", "p99_ttft")  # of fewer requests than a p99 takes
    assert here("runs", "trend", "slow", *out, *absent, "--fail-on", "unknown").code == 4
    assert here("runs", "tag", "slow", "setting=tight", "who=me", *out).code == 0
    assert "labels  setting=tight" in here("runs", "tag", "slow", "who=", *out).out
    assert here("compare", "label:setting=tight", "day1", *out, "--primary", "output_throughput").code == 0
    check_message(here("runs", "rm", "slow", *out), 2, "--yes")
    assert here("runs", "rm", "slow", "--yes", *out).code == 0
    assert not (tmp_path / "slow").exists()
    assert (tmp_path / "latest").resolve().name == "day6"
