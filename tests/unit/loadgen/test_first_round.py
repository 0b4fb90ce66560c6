"""What a worker has before the start when requests are large."""

import selectors
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inferometer.loadgen import crew
from inferometer.loadgen.messages import WireRequest
from inferometer.loadgen.process import LocalFleet
from inferometer.loadgen.progress import NullObserver
from inferometer.loadgen.shards import BATCH_BYTES, Dealer


def first_batch(permits: int, size: int, count: int = 100) -> int:
    body = bytes(size)
    dealer = Dealer(iter([WireRequest(body)] * count), lambda index: 0, 1, permits)
    clock: Any = SimpleNamespace(now_ns=lambda: 0)
    process: Any = SimpleNamespace(process=None)
    with selectors.DefaultSelector() as selector:
        parties = (dealer, LocalFleet(Path(), 0), NullObserver())
        watch = crew._Watch([process], selector, parties, clock)
        return len(watch._first_batch(0)[0])


def test_all_permits_can_send_at_the_start_however_large_their_pictures_are() -> None:
    assert first_batch(permits=40, size=BATCH_BYTES // 8) >= 40


def test_what_is_ready_for_them_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "WAITING_BYTES", 2 * BATCH_BYTES)
    assert 16 <= first_batch(permits=40, size=BATCH_BYTES // 8) < 40


def test_few_permits_take_no_more_memory_than_before() -> None:
    assert first_batch(permits=4, size=BATCH_BYTES // 8) == 8
