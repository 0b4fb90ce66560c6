"""A run that was killed, interrupted or asked for otherwise goes on in its own folder, and measures nothing twice."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Done, check_message, folders, here, successes

from inferometer import api
from inferometer.api import stored as api_stored
from inferometer.record.folder import read_meta, write_meta
from inferometer.record.lock import writing
from inferometer.record.sittings import is_finished
from inferometer.record.store import read_run, stored_points
from inferometer.record.tables import RunRecord
from inferometer.simulator import SimSettings, start_simulated_server

RATES = [str(rate) for rate in range(80, 320, 20)]
REQUESTS, WARMUP = 12, 2
SWEEP = (
    "--request-rate", *RATES, "--num-prompts", str(REQUESTS), "--warmup", str(WARMUP),
    "--input-len", "24", "--range-ratio", "0.5", "--output-len", "6", "--no-html",
)  # fmt: skip
# The command line, which ends itself, alone or with its workers, just before a file gets that name for the time that is
# given, or a little later: a test that looked on might look too late.
ENDED = """
import os, signal, sys, threading
from inferometer import cli

step, number, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3].split()
os.setpgid(0, 0)

def end():
    os.kill(0 if moment[0] == "power" else os.getpid(), signal.SIGKILL)

def watch(event, args):
    global step, number
    if event not in ("os.rename", "os.mkdir") or os.path.basename(str(args[event == "os.rename"])) != step:
        return
    number -= 1
    if number:
        return
    if moment[0] == "interrupt":
        step, number, moment[:] = moment[1], 1, ["kill"]
        os.kill(os.getpid(), signal.SIGINT)
    elif len(moment) == 1:
        end()
    else:
        threading.Timer(float(moment[1]), end).start()

sys.addaudithook(watch)
sys.exit(cli.main(sys.argv[4:]))
"""
LENGTHS = ("--input-len", "8", "--output-len", "4", "--warmup", "1")
TWO = ("--max-concurrency", "1", "2", "--num-prompts", "3", "--no-html", *LENGTHS)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.002)) as server:
        yield server.url


def resume(out: Path, *flags: str) -> Done:
    return here("run", "--resume", "--out", str(out), *flags)


def finished(folder: Path) -> dict[int, int]:
    """Load points that are there for good, each with the moment at which it began."""
    with writing(folder, wait_s=10.0):  # the workers of a killed run end by themselves
        found = stored_points(folder, read_meta(folder))
    points = [point for point in found.points if point.kind == "measure"]
    return {point.index: point.epoch_ns or 0 for point in points if is_finished(point, found.successes)}


def check_same(run: RunRecord, undisturbed: RunRecord) -> None:
    """The table of the undisturbed run: the same load points, arrivals and lengths, and each request once."""
    assert [t.point.index for t in run.measured] == list(range(1, len(RATES) + 1))
    for mine, theirs in zip(run.measured, undisturbed.measured, strict=True):
        assert {**mine.point.load} == {**theirs.point.load}
        assert mine.point.planned_requests == mine.point.dispatched == REQUESTS
        assert mine.point.schedule_sha256 == theirs.point.schedule_sha256
        for column in (
            "index",
            "planned_ns",
            "input_tokens_target",
            "output_tokens_target",
            "output_tokens_server",
        ):
            assert mine.number(column).tolist() == theirs.number(column).tolist(), column
        assert set(mine.text("status")) == {"ok"}
        assert len(mine.chunks["recv_ns"]) == len(theirs.chunks["recv_ns"])


def killed_at(number: int, step: str, moment: str, *argv: str) -> list[str]:
    """The command, ended as ``moment`` says before it does ``step`` for that time."""
    return [sys.executable, "-c", ENDED, step, str(number), moment, *argv]


def test_killed_again_and_again_a_sweep_ends_as_if_undisturbed(url: str, tmp_path: Path) -> None:
    assert here("run", "--url", url, "--out", str(tmp_path / "whole"), "--quiet", *SWEEP).code in (0, 5)
    before, dice = successes(url), random.Random(5)
    out = tmp_path / "runs"
    there: dict[int, int] = {}
    asked = ("run", "--url", url, "--out", str(out), "--quiet", *SWEEP)

    def sitting(*argv: str, ended: tuple[int, str, str]) -> None:
        """Begin or go on, end it by force, and see that nothing that was there is gone or was measured again."""
        done = subprocess.run(killed_at(*ended, *argv), check=False, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done
        found = finished(folders(out)[0])
        assert there.items() <= found.items()
        there.update(found)

    # run.json is written at the start, and after the warm-up and each load point.
    sitting(*asked, ended=(5, "run.json", f"power {dice.uniform(0, 0.15)}"))
    assert len(there) >= 2
    sitting(*asked, "--resume", ended=(5, "run.json", "interrupt chunks.parquet"))
    sitting(*asked, "--resume", ended=(1, "journal", "kill"))  # before it measures
    sitting(*asked, "--resume", ended=(4, "run.json", f"kill {dice.uniform(0, 0.15)}"))
    assert len(there) >= 6
    sitting(*asked, "--resume", ended=(1, "telemetry.parquet", "power"))  # of the sitting before
    sitting(*asked, "--resume", ended=(2, ".journal-closed", "power"))
    assert len(there) == len(RATES)
    done = resume(out)
    assert "12 of 12 load points are there already: nothing is left to measure" in done.err
    (folder,) = folders(out)
    run = read_run(folder)
    check_same(run, read_run(folders(tmp_path / "whole")[0]))
    assert {point.index: point.epoch_ns for point in run.meta.points if point.kind == "measure"} == there
    salts = [point.dataset["salt"] for point in run.meta.points]
    assert len(set(salts)) == len(salts)
    # What the server finished beyond that belongs to load points that were cut, one a sitting, and to warm-ups.
    kept = len(RATES) * REQUESTS
    assert kept + WARMUP <= successes(url) - before <= kept + 6 * (REQUESTS + WARMUP)
    assert run.meta.state == "complete"
    assert f"Measured in {len(run.meta.sittings)} sittings" in done.out


@pytest.fixture(scope="module")
def measured(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one run of two load points is."""
    out = tmp_path_factory.mktemp("measured")
    assert here("run", "--url", url, "--out", str(out), "--quiet", *TWO).code in (0, 5)
    return out


@pytest.fixture
def cut(measured: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run of which the second load point was cut: where runs are, and its folder."""
    out = tmp_path / "runs"
    shutil.copytree(measured, out, symlinks=True)
    (folder,) = folders(out)
    meta = read_meta(folder)
    meta.points[2].stop_reason = "interrupted"
    meta.state = meta.sittings[0].state = "interrupted"
    write_meta(folder, meta)
    return out, folder


def test_a_dry_run_tells_what_is_kept_and_changes_nothing(cut: tuple[Path, Path]) -> None:
    out, folder = cut
    before = (folder / "run.json").read_bytes()
    done = resume(out, "--max-concurrency", "1", "2", "3", "--dry-run")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["1", "concurrency", "1", "kept"] in lines
    assert ["2", "concurrency", "2", "to", "measure:", "cut", "short:", "interrupted"] in lines
    assert ["3", "concurrency", "3", "to", "measure:", "not", "in", "the", "run", "so", "far"] in lines
    assert f"# run {folder.name}" in done.out  # where the values come from
    assert (folder / "run.json").read_bytes() == before


def test_a_changed_list_and_redo(cut: tuple[Path, Path]) -> None:
    out, folder = cut
    done = resume(out, "--max-concurrency", "3", "1", "--redo", "concurrency 1", "--ui", "plain")
    assert "0 of 2 load points are there already" in done.err
    points = [point for point in read_meta(folder).points if point.kind == "measure"]
    assert [(point.index, point.load["max_concurrency"], point.sitting) for point in points] == [
        (3, 3, 1),
        (1, 1, 1),
    ]
    assert [point.dataset["salt"] for point in points] == [f"{folder.name}-3-1", f"{folder.name}-1-1"]
    assert [len(table.number("index")) for table in read_run(folder).measured] == [3, 3]
    again = resume(out, "--max-concurrency", "1", "2")
    assert "1 of 2 load points is there already; kept beside the list: concurrency 3" in again.err
    assert [point.load["max_concurrency"] for point in api.report(folder).points] == [1, 2, 3]


def test_differences_are_named_and_accepted_with_force(
    cut: tuple[Path, Path], url: str, tmp_path: Path
) -> None:
    out, folder = cut
    check_message(resume(out, "--temperature", "0.5"), 2, "--temperature: none -> 0.5", "--force")
    meta = read_meta(folder)
    meta.server["max_model_len"], meta.server["simulated"] = 77, False
    write_meta(folder, meta)
    done = resume(out)
    check_message(done, 2, "server max_model_len: 77 -> ", "server simulated: false -> true")
    assert read_meta(folder) == meta
    forced = resume(out, "--force")
    (condition,) = [c for c in api.report(folder).verdict.conditions if c.name == "sittings"]
    assert condition.ok is False
    assert "server simulated: false -> true" in condition.next_step
    assert "accepted with --force" in " ".join(forced.out.split())


def test_what_was_accepted_and_then_not_measured_casts_no_doubt(cut: tuple[Path, Path]) -> None:
    out, folder = cut
    gone = resume(out, "--force", "--url", "http://127.0.0.1:9/v1")
    check_message(gone, 6, "cannot be used")
    refused = resume(out, "--force", "--model", "nobody", "--max-concurrency", "4", "--quiet")
    check_message(refused, 6, "warm-up")
    assert read_meta(folder).sittings[1].changed == [
        "--model: none -> nobody",
        "model: sim-llama-8b -> nobody",
    ]
    (condition,) = [c for c in api.report(folder).verdict.conditions if c.name == "sittings"]
    assert condition.ok is True


def test_rates_take_the_place_of_a_stored_concurrency(cut: tuple[Path, Path]) -> None:
    out, _ = cut
    done = resume(out, "--request-rate", "50", "--dry-run")
    assert ["3", "rate", "50", "req/s", "to", "measure:"] in [
        line.split()[:6] for line in done.out.splitlines()
    ]


def test_a_search_goes_on_as_a_search_and_a_run_as_a_run(url: str, tmp_path: Path) -> None:
    flags = ("--url", url, "--out", str(tmp_path), "--quiet", "--num-prompts", "20", *LENGTHS)
    asked = ("search", "--slo", "p50_ttft<=5s", "--search", "max-concurrency", "--max", "64", *flags)
    assert here(*asked, "--max-probes", "2").code in (0, 5)
    (folder,) = folders(tmp_path)
    first = finished(folder)
    assert len(first) == 2
    again = ("search", "--resume", "--out", str(tmp_path), "--quiet")
    dry = here(*again, "--dry-run")
    # Where this machine is too busy for its own generator, the search measures the first load once more.
    assert re.search(r"^  1 +concurrency 1(, repeat 1)? +kept$", dry.out, re.MULTILINE), dry.out
    assert finished(folder) == first
    check_message(resume(tmp_path), 2, "is that of a search", f"inferometer search --resume {folder.name}")
    check_message(here(*again, "--search", "request-rate"), 2, "searched by --search max-concurrency")
    assert here(*again, "--max-probes", "4").code in (0, 5)
    assert first.items() < finished(folder).items()
    assert len(api.report(folder).points) > 2
    meta = read_meta(folder)
    meta.state = meta.sittings[-1].state = "interrupted"
    write_meta(folder, meta)
    assert f"inferometer search --resume {folder}" in here("runs", "recover", str(folder)).out


def test_a_run_is_no_search(measured: Path) -> None:
    done = here("search", "--resume", "--out", str(measured), "--slo", "p50_ttft<=5s")
    check_message(done, 2, "is no search", "inferometer run --resume")


def test_another_content_of_the_data_set_is_refused(url: str, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "How many?"}\n' * 8)
    flags = ("--dataset", "openqa", "--dataset-path", str(file), "--output-len", "4", "--warmup", "0")
    first = ("--url", url, "--max-concurrency", "1", "--num-prompts", "2", *flags)
    assert here("run", "--out", str(tmp_path / "runs"), "--quiet", *first).code in (0, 5)
    file.write_text('{"question": "How much?"}\n' * 8)
    done = resume(tmp_path / "runs", "--max-concurrency", "1", "2")
    check_message(done, 2, f"content of {file}: sha256 ", " -> ")


def test_when_nothing_is_left_no_server_is_needed(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings(base_s=0.002)) as server:
        first = here("run", "--url", server.url, "--out", str(tmp_path), *TWO)
    done = resume(tmp_path)
    assert done.code == first.code
    assert "2 of 2 load points are there already: nothing is left to measure" in done.err
    assert done.out == first.out
    gone = resume(tmp_path, "--max-concurrency", "4")
    check_message(gone, 6, "cannot be used")
    assert read_meta(folders(tmp_path)[0]).state == "complete"  # as it was


def test_runs_that_cannot_go_on(cut: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    out, folder = cut
    monkeypatch.setattr(api_stored, "KILLED_WORKER_S", 0.1)
    check_message(resume(out / "none"), 2, "no run 'latest'")
    check_message(here("run", "--redo", "2", "--url", "http://h"), 2, "--redo", "--resume")
    check_message(resume(out, "--redo", "7"), 2, "--redo 7: no such load point", "1  concurrency 1")
    with writing(folder):
        check_message(resume(out), 2, "still going on")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace("inferometer.run/1", "inferometer.run/0"))
    check_message(resume(out), 2, "inferometer.run/0")


def test_a_run_whose_tables_cannot_be_read_just_now_is_listed(cut: tuple[Path, Path]) -> None:
    out, folder = cut
    (folder / "journal").mkdir()
    (folder / "requests.parquet").write_bytes(b"half a table")
    (listing,) = api.list_runs(out)
    assert (listing.state, listing.points) == ("not closed", 2)


def test_a_key_is_asked_for_again(url: str, tmp_path: Path) -> None:
    first = ("--url", url, "--out", str(tmp_path), "--quiet", "--api-key", "planted", *TWO)
    assert here("run", *first).code in (0, 5)
    check_message(resume(tmp_path, "--max-concurrency", "4"), 2, "--api-key", "OPENAI_API_KEY")
    done = resume(tmp_path, "--max-concurrency", "4", "--api-key", "planted")
    assert done.code in (0, 5)
    assert "planted" not in (folders(tmp_path)[0] / "run.json").read_text() + done.out + done.err
