"""``inferometer search`` against the simulated server, as a person would run it."""

import json
from pathlib import Path

import pytest
from commands import check_message, folders, here

from inferometer import api
from inferometer.simulator import SimSettings, start_simulated_server

SHORT = ("--dataset", "random", "--input-len", "8", "--output-len", "4", "--quiet")


def test_a_search_leaves_a_run_whose_report_finds_the_same(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings(max_num_seqs=8)) as server:
        flags = (
            "--search",
            "max-concurrency",
            "--min",
            "4",
            "--max",
            "64",
            "--num-prompts",
            "100",
            "--max-probes",
            "5",
        )
        done = here(
            "search",
            "--url",
            server.url,
            "--out",
            str(tmp_path),
            "--slo",
            "p90_ttft<=40ms",
            *flags,
            *SHORT,
            "--json",
        )
    (folder,) = folders(tmp_path)
    said = json.loads(done.out.splitlines()[-1])
    assert done.code == said["exit_code"]
    assert done.code in (0, 5)  # a busy machine may make the client the limit
    assert "max concurrency" in done.out
    assert "in flight" in done.out
    first = (folder / "search.json").read_bytes()
    (folder / "search.json").unlink()
    summary = api.report(folder)
    assert (folder / "search.json").read_bytes() == first
    assert len(summary.points) == len(json.loads(first)["found"]["probes"]) <= 5
    shown = here("report", str(folder))
    assert "max concurrency" in shown.out


def test_a_limit_that_no_load_meets_ends_with_3(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings()) as server:
        flags = ("--search", "max-concurrency", "--num-prompts", "60")
        done = here(
            "search", "--url", server.url, "--out", str(tmp_path), "--slo", "mean_ttft<=1ms", *flags, *SHORT
        )
    assert done.code in (3, 5), done
    if done.code == 3:
        assert "no concurrency meets the limits" in done.out


def test_a_dry_run_tells_the_cost_and_sends_nothing(tmp_path: Path) -> None:
    slo = ("--slo", "p99_ttft<=500ms", "--budget", "30m")
    done = here("search", "--url", "http://127.0.0.1:9", "--out", str(tmp_path), *slo, "--dry-run")
    assert done.code == 0
    assert "1,000 to 16,000 requests" in done.out
    assert "30 min" in done.out
    assert not folders(tmp_path)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "needs a limit"),
        (("--slo", "p99_ttft<=1s", "--request-rate", "1", "2"), "the search itself chooses"),
        (("--slo", "p99_ttft<=1s", "--target", "nothing"), "target"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(flags: tuple[str, ...], words: str) -> None:
    check_message(here("search", "--url", "http://127.0.0.1:9", *flags), 2, words)


def test_run_has_none_of_its_flags_and_target_is_still_an_address_there() -> None:
    check_message(
        here("run", "--url", "http://127.0.0.1:9", "--max-probes", "3"), 2, "unknown flag --max-probes"
    )
    done = here("run", "--target", "http://127.0.0.1:9", "--dry-run")
    assert done.code == 0
