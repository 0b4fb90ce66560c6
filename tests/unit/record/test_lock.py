"""A run folder has one writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer.errors import RunFolderError
from inferometer.record.lock import writing


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(RunFolderError, match="still going on"), writing(tmp_path):
        pass
    with writing(tmp_path):
        pass


def test_a_child_that_inherits_the_lock_holds_it(tmp_path: Path) -> None:
    with writing(tmp_path) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,), text=True
        )
    with pytest.raises(RunFolderError), writing(tmp_path):
        pass
    child.communicate("\n")
    with writing(tmp_path, wait_s=5.0):
        pass


def test_a_file_system_without_locks_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, how: int) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr("fcntl.flock", refuse)
    with writing(tmp_path) as first, writing(tmp_path) as second:
        assert first != second
