"""Which folder is that of the run that was started here, and what that run is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from inferometer.record.lock import writing
from inferometer.ui.sessions import TOKEN_VARIABLE
from inferometer.ui.started import Command, _environment, _held_by


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what another process has open")
def test_of_two_runs_that_begin_together_the_one_that_our_process_writes_to_is_ours(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with writing(tmp_path / "b"):
        assert _held_by(os.getpid(), tmp_path) == {"b"}
    assert _held_by(os.getpid(), tmp_path) == set()


def test_where_nothing_tells_what_a_process_has_open_nothing_is_said(tmp_path: Path) -> None:
    assert _held_by(2**31 - 1, tmp_path) is None


def test_a_run_gets_its_secrets_and_not_the_token_of_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "the token of the pages")
    monkeypatch.setenv("PROXY_OF_HERE", "p")
    given = _environment(Command(("run",), {"INFEROMETER_API_KEY": "k"}))
    assert TOKEN_VARIABLE not in given
    assert (given["INFEROMETER_API_KEY"], given["PROXY_OF_HERE"]) == ("k", "p")
