"""The load generator keeps off the cores of a server, and has them back afterwards."""

from __future__ import annotations

import os
import threading

import pytest

from inferometer.errors import UsageError
from inferometer.loadgen import affinity
from inferometer.loadgen.affinity import allowed_cores, keeping_off, rest_of

COUPLE = pytest.mark.skipif(len(allowed_cores()) < 2, reason="needs two cores")


def test_what_is_left() -> None:
    assert rest_of((0,), [0, 1, 2]) == {1, 2}


@pytest.mark.parametrize(
    ("cores", "allowed", "words"),
    [
        ((0, 1), [0, 1], r"takes all 2 cores.*leave it one: --launch-cores 0\)$"),
        ((3,), [3], "takes all 1 cores.*leave out --launch-cores: there is one core"),
        ((7,), [0, 1], "may not use core 7 .*it may use 0-1"),
        ((0,), [], "does not let a process be kept on cores"),
    ],
)
def test_cores_that_cannot_be_kept_apart(cores: tuple[int, ...], allowed: list[int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        rest_of(cores, allowed)


@COUPLE
def test_all_threads_move_and_come_back() -> None:
    before = allowed_cores()
    go, seen = threading.Event(), []

    def look() -> None:
        go.wait(10)
        seen.append(sorted(os.sched_getaffinity(0)))

    thread = threading.Thread(target=look)
    thread.start()
    with keeping_off((before[0],)):
        assert allowed_cores() == before[1:]
        go.set()
        thread.join()
    assert seen == [before[1:]]
    assert allowed_cores() == before


@COUPLE
def test_a_thread_that_ends_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = allowed_cores()
    gone = threading.Thread(target=lambda: None)
    gone.start()
    gone.join()
    listed = [*affinity._threads(), gone.native_id]
    monkeypatch.setattr(affinity, "_threads", lambda: listed)
    with keeping_off((before[0],)):
        assert allowed_cores() == before[1:]
    assert allowed_cores() == before


def test_nothing_to_keep_off_changes_nothing() -> None:
    before = allowed_cores()
    with keeping_off(()):
        assert allowed_cores() == before
