"""Each sample of another tool's results is known by its content, and no number of it is lost."""

from __future__ import annotations

import pytest
from import_samples import SAMPLES, found_in, is_kept, kept_in, numbers_in


@pytest.mark.parametrize(
    ("name", "tool", "points", "requests"), SAMPLES, ids=[sample[0] for sample in SAMPLES]
)
def test_a_sample_is_read_without_loss(name: str, tool: str, points: int, requests: int) -> None:
    found, files = found_in(name)
    assert (found.tool, len(found.points), sum(len(p.requests) for p in found.points)) == (
        tool,
        points,
        requests,
    )

    kept = kept_in(found)
    # AIPerf's CSV repeats its JSON, rounded; beside it only that is read
    read = [file for file in files if name != "aiperf" or file.suffix != ".csv"]
    lost = [
        (file.name, *each) for file in read for each in numbers_in(file, tool) if not is_kept(each[1], kept)
    ]
    assert lost == []


def test_the_check_for_lost_numbers_finds_one() -> None:
    kept = kept_in(found_in("vllm/appended.jsonl")[0])
    assert is_kept(10.426945665434081, kept)
    assert not is_kept(10.4269, kept)


def test_units_and_names_become_ours() -> None:
    [aisbench] = found_in("made_aisbench")[0].points
    assert aisbench.reported.stats["e2el_ms"].percentiles["75"] == 88111.0
    assert aisbench.reported.stats["ttft_ms"].count == 1319
    assert aisbench.reported.duration_s == pytest.approx(215.0124)
    assert aisbench.reported.values["concurrency_mean"] == 501.7
    assert aisbench.load["max_concurrency"] == 512

    [mindie] = found_in("made_mindie")[0].points
    assert mindie.reported.stats["ttft_ms"].mean == 394.7728
    assert mindie.reported.stats["itl_ms"].max == 240033.1
    assert mindie.reported.stats["itl_ms"].percentiles == {"75": 42.2, "90": 43.0, "99": 44.1}
    assert mindie.reported.stated["DecodeTime"] == {"SLO_P90": 41.9}
    assert (mindie.reported.completed, mindie.reported.failed) == (1000, 0)
    assert mindie.reported.values["output_throughput_per_s"] == 2306.4
    old = found_in("made_mindie_old")[0].points[0].reported.values
    assert old["output_throughput_per_s"] == 2306.4
    assert "input_throughput_per_s" not in old

    [stage, _] = found_in("made_inference_perf")[0].points
    assert stage.load["request_rate"] == 1.0
    assert stage.reported.stats["ttft_ms"].mean == pytest.approx(42.0)
    assert stage.reported.stats["ttft_ms"].percentiles["99.9"] == pytest.approx(42.0 * (1 + 12 * 0.07))

    [report] = found_in("made_llm_d")[0].points
    assert report.reported.stats["e2el_ms"].mean == pytest.approx(1705.2)
    assert report.reported.stats["ttft_ms"].percentiles["99.9"] == 171.9
    assert (report.reported.completed, report.reported.failed) == (199, 1)


def test_tools_that_use_a_name_for_something_else_do_not_mislead() -> None:
    [guidellm] = found_in("guidellm")[0].points
    stated = guidellm.reported.stated["metrics"]
    assert guidellm.reported.stats["tpot_ms"].mean == pytest.approx(
        # what it calls ITL is (last - first) / (n - 1)
        sum((r.e2el_s - r.ttft_s) / (r.output_tokens - 1) for r in guidellm.requests) / 2 * 1e3,  # type: ignore[operator]
        rel=0.01,
    )
    assert stated["time_per_output_token_ms"]["successful"]["mean"] > guidellm.reported.stats["tpot_ms"].mean

    [table] = found_in("guidellm_table")[0].points  # its CSV, with three requests of ten that failed
    assert (table.load["max_concurrency"], table.reported.completed, table.reported.failed) == (2, 7, 3)
    assert table.reported.stats["tpot_ms"].mean == pytest.approx(4.644895, rel=1e-6)
    assert table.reported.stats["e2el_ms"].percentiles["99"] == pytest.approx(84.42115783691406)
    assert table.reported.values["concurrency_mean"] == pytest.approx(0.93, abs=0.01)

    [llmperf] = found_in("made_llmperf")[0].points
    assert "itl_ms" not in llmperf.reported.stats
    assert "tpot_ms" not in llmperf.reported.stats
    assert llmperf.reported.stated["results_inter_token_latency_s_mean"] == 0.021


def test_printed_blocks_keep_their_order_and_their_load() -> None:
    first, second = found_in("made_console/dcu.txt")[0].points
    assert first.load["request_rate"] == "inf"
    assert first.reported.completed == 1000
    assert first.reported.stats["ttft_ms"].mean == 103921.52
    assert first.reported.stats["tpot_ms"].percentiles == {"50": 362.34, "99": 1350.64}
    assert first.reported.values["total_throughput_per_s"] == 1241.37
    assert (second.reported.completed, second.reported.duration_s) == (388, 55.08)
    [evalscope] = found_in("made_console/evalscope.txt")[0].points
    assert evalscope.reported.stats["ttft_ms"].mean == pytest.approx(91.0)
    assert (evalscope.reported.completed, evalscope.reported.failed) == (39, 1)


def test_time_series_become_samples_from_their_beginning_on() -> None:
    [point] = found_in("made_openmetrics")[0].points
    running = [(at_s, value) for name, _, at_s, value in point.series if name == "vllm:num_requests_running"]
    assert running == [(0.0, 0.0), (1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]
    assert point.reported.duration_s == 3.0
