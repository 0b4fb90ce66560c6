"""What a plan's time is taken from, and what is said where that cannot be read."""

from pathlib import Path

import pytest
from test_cli_presets import command

PLAN = ("run", "--url", "http://h", "--max-concurrency", "2", "--num-prompts", "4", "--dry-run")


def broken_run(out: Path, text: str) -> Path:
    folder = out / "20261120-213005-m-0000"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    return folder


@pytest.mark.parametrize("text", ["{", '{"run_id": 3}'])
def test_a_run_that_cannot_be_read_is_passed_over_unless_it_was_named(tmp_path: Path, text: str) -> None:
    folder = broken_run(tmp_path, text)
    code, out, err = command(*PLAN, "--out", str(tmp_path))
    assert (code, err) == (0, "")
    assert "if at any load a first token takes 0.2 s" in out
    code, out, err = command(*PLAN, "--estimate-from", str(folder))
    assert code == 2
    assert err.startswith(f"error: '{folder / 'run.json'}' cannot be read: ")
    assert "succeeded" not in err


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    code, _, err = command(*PLAN, "--estimate-from", str(tmp_path))
    assert code == 2
    assert "is no run folder" in err
