"""What a load point says of a search's limits when the load generator was not quite in time."""

from __future__ import annotations

import numpy as np
import pytest
from search_world import SERVICE_S, spec_for
from virtual_servers import Fifo

from inferometer.metrics.capacity import Probe
from inferometer.record.tables import PointTable, Telemetry
from inferometer.tuner.objective import objectives_of
from inferometer.tuner.points import Wanted, point_of
from inferometer.tuner.slo_search import probe_from

LIMIT = ("p90_ttft<=1s",)


def late(lag_ms: float, blur_ms: float = 0.0, blurred: int = 0) -> PointTable:
    """Four requests per second, sent so long after their time; of some answers chunk times are known no better."""
    table = Fifo(SERVICE_S).serve(point_of(spec_for(LIMIT), Wanted(4.0, 1, 600), 1))
    rows = np.arange(len(table.requests["index"]))
    columns = dict(table.requests)
    columns["sent_ns"] = columns["sent_ns"] + lag_ms * 1e6
    columns["blurred_chunks"] = np.where(rows < blurred, 2.0, 0.0)
    columns["blur_max_ns"] = np.where(rows < blurred, blur_ms * 1e6, np.nan)
    return PointTable(point=table.point, requests=columns, chunks=table.chunks)


def judged(table: PointTable, slo: tuple[str, ...] = LIMIT) -> Probe:
    return probe_from(spec_for(slo), objectives_of(slo), (table, Telemetry()))


def test_a_lateness_that_the_limit_cannot_feel_spoils_nothing() -> None:
    table = late(3.0)
    assert judged(table).outcome == "met"
    assert judged(table, ("p90_ttft<=50ms",)).outcome == "client"  # of that it is a sixteenth


def test_a_late_send_is_no_part_of_the_time_between_tokens() -> None:
    both = ("p90_ttft<=1s", "mean_tpot<=30ms")
    assert judged(late(3.0), both).outcome == "met"
    assert judged(late(3.0), both[1:]).outcome == "client"  # there nothing says how late is too late
    assert judged(late(0.0, 3.0, 60), both).outcome == "client"  # but chunk times are


def test_a_generator_that_is_truly_late_is_no_evidence() -> None:
    found = judged(late(80.0))
    assert (found.outcome, found.why) == ("client", "send lag")
    assert found.readings == []


def test_without_a_limit_on_a_latency_the_verdict_decides() -> None:
    assert judged(late(3.0), ("failed<=0.1%",)).outcome == "client"


@pytest.mark.parametrize(
    ("blur_ms", "blurred", "outcome"), [(20.0, 60, "met"), (90.0, 60, "client"), (900.0, 6, "met")]
)
def test_unclear_chunk_times_count_by_how_far_they_put_a_latency_out(
    blur_ms: float, blurred: int, outcome: str
) -> None:
    found = judged(late(0.0, blur_ms, blurred))
    assert (found.outcome, found.why) == (outcome, "chunk times" if outcome == "client" else "")


def test_the_tightest_of_the_limits_per_request_counts() -> None:
    slo = ("attainment>=90%", "ttft:1000", "e2el:1100")
    assert [each.limits_ms for each in objectives_of(slo)] == [(("ttft", 1000.0), ("e2el", 1100.0))]
    assert judged(late(3.0), slo).outcome == "met"


@pytest.mark.parametrize("slo", ["failed<=0.1%", "failed<=1%"])
def test_where_none_failed_the_share_begins_at_nothing_at_all(slo: str) -> None:
    (reading,) = judged(late(0.0), (slo,)).readings
    assert reading.measured == 0.0
    assert reading.low == 0.0
    assert reading.high is not None
    assert 0.0 < reading.high < 0.01  # Wilson, 600 requests
