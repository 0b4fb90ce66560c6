"""A run small enough to work out by hand: every metric to the exact number."""

import numpy as np
import pytest
from run_builder import run, tiny

from inferometer.metrics.dictionary import METRICS
from inferometer.metrics.latency import PointData
from inferometer.metrics.summary import summarize_point
from inferometer.metrics.views.vllm import vllm_result
from inferometer.spec import Measure

ABSENT = np.nan
FROM_PLANNED = {
    "ttft": [11, 20, 25],
    "ttfat": [21, 20, 25],
    "e2el": [41, 20, 35],
    "tail": [2, 1, 1],
    "tpot": [(41 - 11) / (6 - 1), ABSENT, (55 - 45) / (3 - 1)],
    "itl": [10, 20, 10],
    "itl_token": [10 / 3, 10 / 3, 10 / 3, 10, 10],
    "itl_token_share": 1 / 2,  # chunks of one do not say; a single chunk has no gap
    "second_token_gap": [10, ABSENT, 10],
    "queue_wait": [ABSENT, ABSENT, 4],
    "send_lag": [1, 0, 0, 5],
    "receive_lag": [0.25, 0.75],
    "connect": [0.5, ABSENT, ABSENT],
    "input_tokens": [10, 20, 30],
    "output_tokens": [6, 1, 3],
    "cached_tokens": [ABSENT, ABSENT, ABSENT],
    "request_bytes": [ABSENT, ABSENT, ABSENT],
    "picture_bytes": [ABSENT, ABSENT, ABSENT],
    "picture_tokens": [ABSENT, ABSENT, ABSENT],
    "cached_share": None,
    "expected_cached_share": None,
    "request_throughput": 3 / 0.055,
    "input_throughput": 60 / 0.055,
    "output_throughput": 10 / 0.055,
    "total_throughput": 70 / 0.055,
    "peak_output_throughput": None,  # shorter than one second
    **{f"steady_{name}_throughput": None for name in ("request", "input", "output", "total")},  # too short
    "goodput": 2 / 0.055,
    "attainment": 2 / 4,
    "concurrency_mean": (42 + 21 + 5 + 31) / 55,
    "concurrency_peak": 3,
    "input_throughput_per_node": 60 / 0.055 / 2,
    "output_throughput_per_node": 10 / 0.055 / 2,
    "total_throughput_per_node": 70 / 0.055 / 2,
    "input_throughput_per_device": 60 / 0.055 / 16,
    "output_throughput_per_device": 10 / 0.055 / 16,
    "total_throughput_per_device": 70 / 0.055 / 16,
    "output_throughput_per_user": [1000 / 6, ABSENT, 1000 / 5],
    "acceptance_rate": None,
    "acceptance_length": None,
    **dict.fromkeys(
        ("tokens_per_step", "accept_rate", "accept_rate_plain"), [ABSENT] * 3
    ),  # nothing speaks of drafts
}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_dictionary_has_its_exact_value(name: str) -> None:
    value = METRICS[name].compute(PointData(tiny(), "planned", ("ttft:20", "tpot:6"), (2, 16)))
    expected = FROM_PLANNED[name]
    if expected is None:
        assert value is None
    else:
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_latencies_from_the_send_leave_the_lateness_out() -> None:
    data = PointData(tiny(), "sent")
    np.testing.assert_allclose(data.ttft_ms, [10, 20, 20])
    np.testing.assert_allclose(data.e2el_ms, [40, 20, 30])
    np.testing.assert_allclose(data.tpot_ms, PointData(tiny(), "planned").tpot_ms)


def test_the_summary_counts_and_says_what_differs_from_the_send() -> None:
    summary = summarize_point(tiny(), Measure())
    assert (summary.counts.planned, summary.counts.ok, summary.counts.failed) == (4, 3, 1)
    assert summary.counts.by_status == {"http_error": 1, "ok": 3}
    assert [(e.status, e.http_status, e.example, e.count) for e in summary.counts.errors] == [
        ("http_error", 503, "busy 17", 1)
    ]
    assert summary.duration_s == pytest.approx(0.055)
    assert summary.stats["ttft_ms"].count == 3
    assert summary.stats["ttft_ms"].mean == pytest.approx(56 / 3)
    assert summary.stats["ttft_ms"].percentiles == {"p50": None, "p90": None, "p99": None}
    assert summary.stats["ttft_ms"].needs == {"p50": 20, "p90": 100, "p99": 1000}
    assert "cached_tokens" not in summary.stats
    assert set(summary.stats_from_sent) == {"ttft_ms", "e2el_ms", "ttfat_ms"}
    assert summary.tokens.output_server is None, "request 3 has no server count"
    assert summary.tokens.output_client == 9
    assert summary.tokens.output_difference == 1, "6 - 5 and 1 - 1"


def test_vllm_sees_the_same_record_by_its_own_rules() -> None:
    table = tiny()
    result = vllm_result(table, run(table).meta, detailed=True)
    assert result["ttfts"] == pytest.approx([0.004, 0.020, None, 0.020]), "the role frame stops its clock"
    assert result["latencies"] == pytest.approx([0.0405, 0.020, None, 0.030])
    assert result["itls"][0] == pytest.approx([0.006, 0.010, 0.0, 0.020, 0.0005])
    assert [len(gaps) for gaps in result["itls"]] == [5, 0, 0, 1]
    assert result["input_lens"] == [10, 20, None, 30]
    assert result["output_lens"] == [6, 1, None, 3]
    assert result["errors"] == ["", "", "busy 17", ""]
    assert result["start_times"] == pytest.approx([0.001, 0.010, 0.020, 0.025])
    assert result["queue_times"] == pytest.approx([0.001, 0, 0, 0.005])
    assert result["duration"] == pytest.approx(0.055)
    assert (result["completed"], result["failed"], result["num_prompts"]) == (3, 1, 4)
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (60, 10)
    tpots = [(40.5 - 4) / 5, (30 - 20) / 2]
    assert result["mean_tpot_ms"] == pytest.approx(np.mean(tpots))
    assert result["std_tpot_ms"] == pytest.approx(np.std(tpots))
    assert result["p99_itl_ms"] == pytest.approx(np.percentile([6, 10, 0, 20, 0.5, 10], 99))
    assert result["max_output_tokens_per_s"] == 9, "frames, not tokens"
    assert result["max_concurrent_requests"] == 3
