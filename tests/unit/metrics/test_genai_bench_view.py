"""genai-bench's own statistics, made again from the requests that one of its result files lists."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_builder import Chunk, point, request

from inferometer.metrics.views.genai_bench import AGGREGATED, INDIVIDUAL, genai_bench_result, scenario_of
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind

_REAL = Path(__file__).parents[2] / "data" / "exchange" / "genai-bench"


def _real() -> Any:
    (path,) = _REAL.glob("D*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def _table(individual: list[dict[str, Any]]) -> PointTable:
    """Requests one after the other; the usage frame is what ends them there."""
    requests, chunks = [], []
    for index, each in enumerate(individual):
        begin = 1000.0 * index
        first, end = begin + each["ttft"] * 1e3, begin + each["e2e_latency"] * 1e3
        requests.append(
            request(index, planned=begin, sent=begin, first_token=first, last_token=end - 0.1, end=end + 0.1,
                    input_tokens_server=each["num_input_tokens"], output_tokens_server=each["num_output_tokens"])
        )  # fmt: skip
        chunks += [Chunk(index, first), Chunk(index, end, ChunkKind.USAGE, None, read=1)]
    return point(requests, chunks, load={"max_concurrency": 2, "input_len": 16, "output_len": 8})


def test_its_statistics_come_out_of_its_own_requests() -> None:
    real = _real()
    ours = genai_bench_result(_table(real[INDIVIDUAL]))
    theirs = {name: of for name, of in real[AGGREGATED]["stats"].items() if name in ours[AGGREGATED]["stats"]}
    assert set(theirs) == set(ours[AGGREGATED]["stats"])
    for name, statistics in theirs.items():
        assert ours[AGGREGATED]["stats"][name] == pytest.approx(statistics, rel=1e-4, abs=1e-9), name
    assert ours[AGGREGATED]["num_completed_requests"] == real[AGGREGATED]["num_completed_requests"]


def test_each_request_has_the_figures_that_it_gave_it() -> None:
    real = _real()[INDIVIDUAL]
    for ours, theirs in zip(genai_bench_result(_table(real))[INDIVIDUAL], real, strict=True):
        known = {name: theirs[name] for name in ours}
        assert ours == pytest.approx(known, rel=1e-4)


def test_failures_have_a_code_and_nothing_else_and_a_short_answer_no_tpot() -> None:
    requests = [
        request(
            0, sent=0, first_token=10, last_token=10.5, end=11, input_tokens_server=4, output_tokens_server=2
        ),
        request(1, sent=0, end=5, status="truncated", http_status=200, error="cut", streamed=True),
        request(2, sent=0, end=5, status="http_error", http_status=429, streamed=False),
        request(3, planned=0, end=5, status="timeout", streamed=False),
    ]
    result = genai_bench_result(point(requests, [Chunk(0, 10), Chunk(0, 10.5, read=1)]))
    assert result[AGGREGATED]["error_codes_frequency"] == {"503": 1, "429": 1, "408": 1}
    assert result[AGGREGATED]["error_rate"] == 0.75
    assert "tpot" not in result[INDIVIDUAL][0], "its output took less than a millisecond"
    assert result[INDIVIDUAL][1] == {"error_code": 503, "error_message": "cut"}


def test_lengths_that_are_not_fixed_are_a_dataset() -> None:
    assert scenario_of(point([], load={"input_len": 16, "output_len": 8})) == "D(16,8)"
    assert scenario_of(point([], load={"input_len": None, "output_len": 8})) == "dataset"
