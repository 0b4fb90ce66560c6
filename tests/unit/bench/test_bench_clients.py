"""What the table says of a client that fared well, that lost requests, or that never ended."""

from __future__ import annotations

import pytest

from peers.results import Reported, Statistics
from sim.clients import CLIENTS, Outcome, Seen, row_of

NOT_SAID = Statistics(None, None, None)


@pytest.mark.parametrize(("completed", "failure", "met", "says"), [
    (20, "", True, "20 done, 0 failed"),
    (36, "", True, "36 done, 0 failed"),  # one that counts by time, not by requests
    (3, "", False, "3 done, 17 failed"),
    (None, "did not end within 240 s", False, "server answered 21"),
])  # fmt: skip
def test_a_row_counts_what_the_client_counts(
    completed: int | None, failure: str, met: bool, says: str
) -> None:
    reported = None if completed is None else Reported(completed, NOT_SAID, NOT_SAID)
    row = row_of(Outcome(CLIENTS[0], "vllm bench serve", reported, failure, 21, 0, 12.5, None), 20)
    assert (row.met, says in row.measured) == (met, True), row
    assert row.note == (failure or "vllm bench serve")


def test_means_of_the_server_are_of_what_came_since() -> None:
    before = Seen({}, {"vllm:ttft_sum": 1.0, "vllm:ttft_count": 10.0})
    after = Seen({}, {"vllm:ttft_sum": 1.5, "vllm:ttft_count": 20.0})
    assert after.mean_ms(before, "ttft") == pytest.approx(50.0)
    assert before.mean_ms(before, "ttft") is None
