"""The tiny run by each tool's own rules, worked out by hand; requests 0, 1 and 3 succeed, 2 fails."""

import msgspec
import numpy as np
import pytest
from run_builder import Chunk, point, request, run, steady_requests, tiny

from inferometer.metrics.views.aiperf import aiperf_result
from inferometer.metrics.views.aisbench import COMMON, METRICS, aisbench_result, stable_window_s
from inferometer.metrics.views.evalscope import PERCENTILES, SUMMARY, evalscope_result
from inferometer.metrics.views.guidellm import guidellm_result
from inferometer.metrics.views.lmdeploy import CSV_COLUMNS, lmdeploy_result
from inferometer.metrics.views.mindie import COMMON as TABLE_2
from inferometer.metrics.views.mindie import PERFORMANCE as TABLE_1
from inferometer.metrics.views.mindie import mindie_result
from inferometer.metrics.views.sglang import sglang_result
from inferometer.metrics.views.statistics import nearest_ranks
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.types import ChunkKind

RESULTS = (
    aiperf_result, aisbench_result, evalscope_result, guidellm_result, lmdeploy_result, mindie_result, sglang_result,
)  # fmt: skip


def test_sglang_stops_at_text_and_ends_at_done() -> None:
    result = sglang_result(tiny(), run(tiny()).meta)
    assert result["mean_ttft_ms"] == pytest.approx((10 + 20 + 20) / 3)
    assert result["mean_e2e_latency_ms"] == pytest.approx((41 + 21 + 31) / 3), (
        "without [DONE] the exchange's end"
    )
    assert result["mean_tpot_ms"] == pytest.approx(((41 - 10) / 5 + (31 - 20) / 2) / 2)
    assert (result["mean_itl_ms"], result["max_itl_ms"]) == (pytest.approx((10 + 0 + 20 + 10) / 4), 20)
    assert (result["completed"], result["duration"]) == (3, pytest.approx(0.055))
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (60, 10)
    assert result["concurrency"] == pytest.approx((41 + 21 + 31) / 55)
    assert result["accept_length"] is None


def test_sglangs_native_protocol_spreads_a_gap_over_its_tokens() -> None:
    result = sglang_result(tiny(), run(tiny(), spec={"endpoint": {"backend": "sglang"}}).meta)
    assert result["mean_itl_ms"] == pytest.approx(np.mean([5, 5, 0, 10, 10, 10])), (
        "unknown tokens count as one"
    )


def test_evalscope_ends_at_the_last_event_and_leaves_out_single_tokens() -> None:
    result = evalscope_result(tiny(), run(tiny()).meta)
    summary = result[SUMMARY]
    assert (summary["Avg TTFT (ms)"], summary["Avg Latency (s)"]) == (16.67, 0.0303)
    assert summary["Avg TPOT (ms)"] == round(((41 - 10) / 5 + (30 - 20) / 2) / 2, 2)
    assert summary["Avg ITL (ms)"] == 10.0
    assert summary["Test Duration (s)"] == 0.054
    counts = (
        "Total Requests",
        "Success Requests",
        "Failed Requests",
        "Stream Requests",
        "Non-Stream Requests",
    )
    assert [summary[name] for name in counts] == [4, 3, 1, 3, 1]
    assert (summary["Concurrency"], summary["Request Rate (req/s)"]) == (1, -1.0)
    assert summary["Output Throughput (tok/s)"] == round(10 / 0.054, 4)
    per_frame = ((6 - 1) / (5 - 1) + (3 - 1) / (2 - 1)) / 2
    assert summary["Avg Decoded Tok/Iter"] == per_frame
    assert summary["Spec. Accept Rate"] == round(1 - 1 / per_frame, 4)


def test_evalscopes_percentiles_are_values_of_the_sample() -> None:
    rows = {row["Percentiles"]: row for row in evalscope_result(tiny(), run(tiny()).meta)[PERCENTILES]}
    assert list(rows) == ["min", "1%", "5%", "10%", "25%", "50%", "75%", "90%", "95%", "99%", "max"]
    assert [rows[p]["TTFT (ms)"] for p in ("min", "50%", "max")] == [10, 20, 20]
    assert [rows[p]["TPOT (ms)"] for p in ("50%", "75%")] == [5.0, 6.2]
    assert nearest_ranks(np.arange(1.0, 11.0), (0, 50, 51, 100)) == [1, 5, 6, 10], "rank ceil(n p / 100)"


def test_aiperf_calls_tpot_itl() -> None:
    result = aiperf_result(tiny(), run(tiny()).meta)

    def average(name: str) -> float:
        return float(result[name]["avg"])

    assert average("time_to_first_token") == pytest.approx(50 / 3)
    assert average("time_to_second_token") == 10
    assert average("time_to_first_output_token") == 20, "reasoning does not stop that clock"
    assert average("inter_token_latency") == pytest.approx(((40 - 10) / 5 + (30 - 20) / 2) / 2)
    assert average("inter_chunk_latency") == 10
    assert average("request_latency") == 30
    assert average("benchmark_duration") == pytest.approx(0.054)
    assert average("request_throughput") == pytest.approx(3 / 0.055)
    assert average("request_error_rate") == 25
    assert result["inter_token_latency"] == {
        "unit": "ms", "avg": 5.5, "p1": 5.01, "p5": 5.05, "p10": 5.1, "p25": 5.25, "p50": 5.5, "p75": 5.75, "p90": 5.9,
        "p95": 5.95, "p99": 5.99, "min": 5.0, "max": 6.0, "std": 0.5, "count": 2, "sum": 11.0,
    }  # fmt: skip
    assert "reasoning_token_count" not in result, "what no answer has is left out"


def test_guidellm_counts_ttft_in_tpot_and_weighs_by_tokens() -> None:
    metrics = guidellm_result(tiny(), run(tiny()).meta)["metrics"]

    def good(name: str) -> dict[str, float]:
        return dict(metrics[name]["successful"])

    assert metrics["request_totals"] == {"successful": 3, "errored": 1, "incomplete": 0, "total": 4}
    assert good("time_per_output_token_ms")["mean"] == pytest.approx((40 + 20 + 30) / 10)
    assert good("inter_token_latency_ms")["mean"] == pytest.approx((30 + 10) / 7)
    assert good("inter_token_latency_ms")["median"] == pytest.approx(6), "5 of 7 gaps are those of request 0"
    assert good("request_latency")["mean"] == pytest.approx((42 + 21 + 31) / 3e3)
    assert metrics["request_latency"]["errored"]["mean"] == pytest.approx(0.005)
    assert metrics["time_to_first_token_ms"]["errored"]["mean"] is None, "statistics of nothing are not 0"
    assert good("request_streaming_iterations_count")["max"] == 8
    everyone = metrics["request_concurrency"]["total"]
    assert (everyone["mean"], everyone["max"]) == (pytest.approx((42 + 21 + 5 + 31) / 55), 3)
    assert metrics["requests_per_second"]["total"]["mean"] == pytest.approx(4 / 0.055, rel=1e-3)
    assert metrics["request_scheduled_latency"] is None, "a closed loop has no schedule"


def test_guidellm_measures_from_the_schedule_in_an_open_loop() -> None:
    table = point([request(0, planned=0, sent=4, first_token=9, last_token=9, end=10, output_tokens_server=1)],
                  [Chunk(0, 9)], load={"request_rate": 5.0, "max_concurrency": None})  # fmt: skip
    result = guidellm_result(table, run(table).meta)
    assert result["config"]["strategy"]["type_"] == "poisson"
    replayed = point([request(0, planned=0, sent=4, first_token=9, last_token=9, end=10, output_tokens_server=1)],
                     [Chunk(0, 9)], load={"request_rate": None, "max_concurrency": None, "trace": True,
                                          "trace_speed": 2.0})  # fmt: skip
    again = guidellm_result(replayed, run(replayed).meta)
    assert again["config"]["strategy"] == {"type_": "trace", "time_scale": 0.5, "schedule_turn": "timestamp"}
    assert again["metrics"]["request_dispatch_delay"] == result["metrics"]["request_dispatch_delay"]
    assert result["metrics"]["request_dispatch_delay"]["successful"]["mean"] == pytest.approx(0.004)
    assert result["metrics"]["request_scheduled_latency"]["successful"]["mean"] == pytest.approx(0.010)


def test_aisbench_counts_every_event_and_single_tokens_as_tpot_zero() -> None:
    result = aisbench_result(tiny(), run(tiny()).meta)

    def cell(name: str, column: str = "Average") -> object:
        return result[METRICS][name]["total"][column]

    assert cell("TTFT") == "14.7 ms", "(4 + 20 + 20) / 3, in seconds with four decimals"
    assert cell("E2EL") == "30.3 ms"
    assert (cell("TPOT"), cell("TPOT", "Min"), cell("TPOT", "N")) == ("4.1 ms", "0.0 ms", 2)
    assert (cell("ITL"), cell("ITL", "N")) == ("6.7 ms", 2)
    assert (cell("InputTokens"), cell("OutputTokens", "N")) == (20.0, 3)
    common = {name: stages["total"] for name, stages in result[COMMON].items()}
    assert (common["Benchmark Duration"], common["Total Requests"], common["Failed Requests"]) == (
        "54.0 ms",
        4,
        1,
    )
    assert common["Output Token Throughput"] == f"{round(10 / 0.054, 4)} token/s"
    assert common["Concurrency"] == round((41 + 20 + 30) / 54, 4)
    assert "stable" not in result[COMMON]["Concurrency"], (
        "a concurrency of 1 was reached by a start only once"
    )


def test_aisbenchs_stable_stage_is_that_of_the_second_start() -> None:
    table = point(*steady_requests(4))
    result = aisbench_result(table, run(table).meta)
    assert result[COMMON]["Benchmark Duration"] == {"total": "390.0 ms", "stable": "200.0 ms"}
    assert result[COMMON]["Total Requests"] == {"total": 4, "stable": 3}
    assert result[COMMON]["Output Token Throughput"]["stable"] == "45.0 token/s", (
        "9 tokens, 3 of them after it"
    )


@pytest.mark.parametrize(
    ("starts", "ends", "limit", "window"),
    [
        ((0, 1), (2, 3), 3, None),  # never reached
        ((0, 1), (2, 3), 2, None),  # reached by one start
        ((0, 1, 2.5), (2, 3, 4), 2, None),  # by two, and for no time after that
        ((0, 1, 2.5, 2.7), (2, 3, 4, 5), 2, (2.5, 3)),  # till an end, which brings it back from above
        ((0, 1, 2, 3), (2, 3, 4, 5), 2, (2, 3)),  # of one moment the end of 0 comes before the start of 2
        ((0, 2, 1), (5, 4, 2), 2, None),  # and the start of 1 before the end of 2: three for no time
    ],
)
def test_aisbenchs_stable_stage_event_by_event(
    starts: tuple[float, ...], ends: tuple[float, ...], limit: int, window: tuple[float, float] | None
) -> None:
    assert stable_window_s(np.array(starts, dtype=float), np.array(ends, dtype=float), limit) == window


def test_requests_given_up_as_asked_are_failures_only_where_a_tool_says_so() -> None:
    requests, chunks = steady_requests(3)
    broken = request(3, sent=0, end=4, status="http_error", http_status=503, streamed=False)
    gone = request(4, sent=0, end=9, status="aborted", streamed=True)
    table = point([*requests, broken, gone], chunks)
    meta = run(table, spec={"measure": {"slo": ["e2el:5000"]}}).meta
    summary = evalscope_result(table, meta)[SUMMARY]
    assert [summary[f"{name} Requests"] for name in ("Total", "Success", "Failed")] == [4, 3, 1]
    assert [summary[f"{name} Requests"] for name in ("Stream", "Non-Stream")] == [3, 1]
    common = aisbench_result(table, meta)[COMMON]
    assert [common[f"{name} Requests"]["total"] for name in ("Total", "Failed")] == [4, 1]
    assert mindie_result(table, meta)[TABLE_2]["Failed"] == "1( 25.0% )"
    assert mindie_result(table, meta)[TABLE_1]["GenerateTime"]["N"] == 4
    assert vllm_result(table, meta)["failed"] == 1
    assert sglang_result(table, meta)["slo_attainment"] == 0.75
    assert aiperf_result(table, meta)["request_error_rate"]["avg"] == 40, (
        "it counts what it cancels as errors"
    )
    totals = guidellm_result(table, meta)["metrics"]["request_totals"]
    assert totals == {"successful": 3, "errored": 1, "incomplete": 1, "total": 5}


def test_a_refused_connection_is_a_failed_request() -> None:
    requests, chunks = steady_requests(3)
    refused = request(
        3, planned=100, sent=None, connect_start=100, end=101, status="connect_error", streamed=False
    )
    table = point([*requests, refused], chunks)
    meta = run(table).meta
    common = aisbench_result(table, meta)[COMMON]
    assert [common[f"{name} Requests"]["total"] for name in ("Total", "Failed", "Success")] == [4, 1, 3]
    totals = guidellm_result(table, meta)["metrics"]["request_totals"]
    assert (totals["errored"], totals["total"]) == (1, 4)


def test_mindies_two_tables() -> None:
    result = mindie_result(tiny(), run(tiny()).meta)
    rows = result[TABLE_1]
    assert rows["FirstTokenTime"]["average"] == "14.6667 ms"
    assert rows["DecodeTime"]["average"] == f"{round(47 / 7, 4)} ms"
    means = [37 / 6, 10.0]
    assert rows["DecodeTime"]["SLO_P90"] == f"{round(float(np.percentile(means, 90)), 4)} ms"
    assert (
        rows["DecodeTime"]["P90"] == f"{round(float(np.percentile([6, 10, 0, 20, 0.5, 0.5, 10], 90)), 4)} ms"
    )
    assert rows["LastDecodeTime"]["average"] == "3.5 ms", "no gap counts as 0"
    assert (rows["MaxDecodeTime"]["average"], rows["MaxDecodeTime"]["N"]) == ("15.0 ms", 4)
    assert (rows["Tokenizer"]["average"], rows["GeneratedCharacters"]["average"]) == (None, None)
    common = result[TABLE_2]
    assert [common[name] for name in ("Failed", "Returned", "Total")] == [
        "1( 25.0% )",
        "3( 75.0% )",
        "4[ 100.0% ]",
    ]
    assert common["lpct"] == f"{round(44 / 60, 4)} ms"
    assert (
        common["OutputGenerateSpeed"] == common["GenerateSpeedPerClient"] == f"{round(10 / 0.054, 4)} token/s"
    )


def test_lmdeploy_stops_at_content_and_counts_what_was_asked_for() -> None:
    table = tiny()
    result = lmdeploy_result(table, run(table).meta)
    assert tuple(result)[: len(CSV_COLUMNS)] == CSV_COLUMNS
    assert result["mean_ttft_ms"] == 20, "reasoning does not stop its clock"
    assert result["mean_tpot_ms"] == pytest.approx(((41 - 20) / 5 + (31 - 20) / 2) / 2)
    assert result["total_output_tokens"] == 10
    short = point([request(0, sent=0, first_token=5, last_token=5, end=6, output_tokens_server=1,
                           output_tokens_target=9)], [Chunk(0, 5)])  # fmt: skip
    assert lmdeploy_result(short, run(short).meta)["total_output_tokens"] == 9


@pytest.mark.parametrize("result", RESULTS)
def test_a_run_without_success_is_told_without_zeros_or_crash(result) -> None:
    table = point([request(0, sent=0, end=5, status="timeout", streamed=False)])
    found = result(table, run(table).meta)
    assert b"NaN" not in msgspec.json.encode(found)


@pytest.mark.parametrize("result", RESULTS)
def test_answers_that_were_not_streamed_have_a_latency_and_no_first_token(result) -> None:
    table = point([request(0, sent=0, end=50, streamed=False, input_tokens_server=3, output_tokens_server=4)])
    text = msgspec.json.encode(result(table, run(table).meta))
    assert b"NaN" not in text
    assert b"50" in text


def test_a_tool_call_stops_evalscopes_clock_but_not_sglangs() -> None:
    chunks = [Chunk(0, 10, ChunkKind.TOOL), Chunk(0, 20, read=1)]
    table = point([request(0, sent=0, first_token=10, last_token=20, end=21, output_tokens_server=2)], chunks)
    meta = run(table).meta
    assert evalscope_result(table, meta)[SUMMARY]["Avg TTFT (ms)"] == 10
    assert sglang_result(table, meta)["mean_ttft_ms"] == 20
