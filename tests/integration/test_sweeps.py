"""Sweeps as a person runs them: matrix, rounds, pauses, warm-ups, the same prompts, and how long all of it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import check_sound, folders, here, stored

from inferometer.api.estimating import estimate
from inferometer.cli.parse import parse_run
from inferometer.cli.run import merged_from
from inferometer.record.folder import read_meta
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import load_points, with_warmups

# A token takes 20 ms and little else: what other tests take from this machine hardly shows.
SLOW = SimSettings(base_s=0.02, per_token_s=1e-6, per_seq_s=2e-4, prefix_cache=True)
TINY = ("--input-len", "32", "--output-len", "4")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SLOW) as server:
        yield server.url


def run(url: str, out: Path, *flags: str) -> str:
    done = here("run", "--url", url, "--out", str(out), "--quiet", *flags)
    assert done.code in (0, 5), done
    check_sound(out)
    return done.out


def test_a_matrix_in_shuffled_rounds_with_pauses_and_warm_ups(url: str, tmp_path: Path) -> None:
    lengths = ("--input-len", "16", "32", "--output-len", "2", "4", "--pair", "matrix")
    rounds = ("--repeat", "2", "--order", "shuffled", "--warmup-each", "--warmup", "1", "--pause", "50ms")
    text = run(url, tmp_path, "--max-concurrency", "1", "2", "--epochs", "3", *lengths, *rounds)
    table = text[text.index("Load points") :].splitlines()[2:6]
    assert [re.split(r"  +", line.strip())[:2] for line in table] == [
        [f"concurrency {c}, in {i}, out {o}", "2"] for i, o in ((16, 2), (32, 4)) for c in (1, 2)
    ]
    record = stored(tmp_path)
    measured = record.measured
    assert [table.point.index for table in measured] == list(range(1, 9))
    assert [table.point.dispatched for table in measured] == [
        3 * table.point.load["max_concurrency"] for table in measured
    ]
    warmups = [point for point in record.meta.points if point.kind == "warmup"]
    assert sorted(point.index for point in warmups) == list(range(-8, 0))
    assert all(point.dispatched == 1 for point in warmups)
    # The pause is before the warm-up of a load point, so that this does not go cold again.
    paused = {point.index: point.paused_s for point in record.meta.points if point.paused_s is not None}
    assert paused.keys() == set(range(-8, -1))
    assert all(seconds > 0 for seconds in paused.values())
    summary = json.loads((folders(tmp_path)[0] / "summary.json").read_text())
    assert [len(row["points"]) for row in summary["rows"]] == [2, 2, 2, 2]


def test_the_same_prompts_are_told_to_come_from_the_cache(url: str, tmp_path: Path) -> None:
    rounds = ("--repeat", "2", "--max-concurrency", "2", "--num-prompts", "6")
    run(url, tmp_path / "fresh", *TINY, *rounds, "--keep-text")
    run(url, tmp_path / "same", *TINY, *rounds, "--keep-text", "--same-prompts")
    fresh, same = (
        [list(t.text("prompt")) for t in stored(tmp_path / name).measured] for name in ("fresh", "same")
    )
    assert len(set(fresh[0]) | set(fresh[1])) == 12
    assert same[0] == same[1]
    assert [t.point.repeated_prompts for t in stored(tmp_path / "same").measured] == [0, 6]
    summary = json.loads((folders(tmp_path / "same")[0] / "summary.json").read_text())
    conditions = {c["name"]: c for c in summary["points"][1]["verdict"]["conditions"]}
    assert conditions["repeated prompts"]["ok"] is False
    assert "--flush-cache" in conditions["repeated prompts"]["next_step"]


def test_a_plan_takes_as_long_as_was_estimated_from_a_short_run(url: str, tmp_path: Path) -> None:
    """A plan of two hours, and the same plan with counts, time limits and pauses divided by 1,000.

    Other work on the machine may slow the one run and not the other: then both are made again.
    """
    loads = ("--request-rate", "inf", "inf", "30", "60", "--max-concurrency", "2", "8", "64", "64")
    times = ("--num-prompts", "18000", "60000", "30000", "90000", "--duration", "25m", "--pause", "100s")
    thousandth = ("--num-prompts", "18", "60", "30", "90", "--duration", "1500ms", "--pause", "100ms")
    for attempt in range(3):
        out = tmp_path / str(attempt)
        run(url, out, *TINY, "--max-concurrency", "1", "16", "--num-prompts", "4", "64")
        plan = ("--url", url, "--out", str(out), *TINY, *loads, "--repeat", "2")
        long, short = (*plan, *times), (*plan, *thousandth)
        hours, expected = expected_s(long) / 3600, expected_s(short)
        done = here("run", *short, "--quiet")
        assert done.code in (0, 5), done
        (sitting,) = read_meta(folders(out)[-1]).sittings
        took = (sitting.anchors[-1]["monotonic_ns"] - sitting.anchors[0]["monotonic_ns"]) / 1e9
        if expected == pytest.approx(took, rel=0.2) and 1.8 < hours < 2.6:
            break
    assert expected == pytest.approx(took, rel=0.2)
    assert 1.8 < hours < 2.6
    shown = here("run", *long, "--dry-run").out
    assert f"as fast as in run {folders(out)[-1].name}" in shown
    assert re.search(r"about 2\.\d h \(12 min of it pauses", shown), shown[-600:]


def expected_s(flags: tuple[str, ...]) -> float:
    spec = merged_from(parse_run(list(flags))).spec
    return estimate(spec, with_warmups(spec, load_points(spec))).plan.total_s
