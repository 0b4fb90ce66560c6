import re

import msgspec
import pytest
from run_builder import Chunk, point, request, run, steady_requests, tiny

from inferometer.errors import UsageError
from inferometer.record.tables import RunRecord
from inferometer.record.types import ChunkKind
from inferometer.report.views import VIEWS, render_view, view_json


def role_frame_run(**meta: object) -> RunRecord:
    """One answer whose role frame comes 10 ms before its first token, and the usage frame 5 ms after its last."""
    chunks = [Chunk(0, 5, ChunkKind.ROLE, None), Chunk(0, 15, read=1), Chunk(0, 25, read=2),
              Chunk(0, 30, ChunkKind.USAGE, None, read=3)]  # fmt: skip
    requests = [request(0, sent=0, first_token=15, first_answer=15, last_token=25, end=31, input_tokens_server=4,
                        output_tokens_server=2)]  # fmt: skip
    return run(point(requests, chunks), **meta)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_has_a_text_and_an_object_for_each_load_point(name: str) -> None:
    record = run(tiny(), point(*steady_requests(5)))
    text, objects = render_view(record, name), view_json(record, name)
    assert len(objects) == 2
    assert text.count("beside our figures") == 2
    assert msgspec.json.decode(msgspec.json.encode(objects)) is not None
    assert "nan" not in text.lower()
    assert "None" not in text


@pytest.mark.parametrize("name", VIEWS)
def test_simulated_and_invalid_runs_say_so_in_every_view(name: str) -> None:
    record = role_frame_run(simulated=True, verdict={"word": "INVALID", "failed": ["errors"]})
    text = render_view(record, name)
    assert text.startswith("simulated: no real server was measured\n\nINVALID: errors")
    assert text.count("simulated") >= 2, "in the layout itself too"
    assert view_json(record, name)[0]["simulated"] is True
    assert "simulated" not in view_json(role_frame_run(), name)[0]


def test_a_difference_is_told_with_both_figures_and_its_reason() -> None:
    text = render_view(role_frame_run(), "vllm", width=200)
    assert "TTFT 5.00 ms here, 15.00 ms ours: its clock stops at the first frame with choices" in text
    assert "equal to ours: ITL, E2EL, output token throughput" in text
    usage = render_view(role_frame_run(), "evalscope", width=200)
    assert "latency (our E2EL) 30.00 ms here, 25.00 ms ours: it ends at the usage frame" in usage
    assert re.search(r"equal to ours: TTFT, ITL", usage)


def test_what_another_tool_calls_by_our_names_is_named_twice() -> None:
    text = render_view(role_frame_run(), "guidellm", width=200)
    assert "TPOT 12.50 ms here, 10.00 ms ours: its TPOT is (last token - send) / n" in text
    assert "ITL (our TPOT)" in text


def test_what_a_tool_rounds_away_is_no_difference() -> None:
    requests = [request(0, sent=0, first_token=20, last_token=25.26, end=26, output_tokens_server=2)]
    record = run(point(requests, [Chunk(0, 20), Chunk(0, 25.26, read=1)]))
    text = render_view(record, "aisbench", width=200)
    assert "equal to ours: TTFT, TPOT, ITL, E2EL" in text, (
        "5.3 ms for 5.26 ms is its rounding, not its definition"
    )


def test_requests_that_ended_early_on_purpose_are_told() -> None:
    requests, chunks = steady_requests(4)
    gone = [request(4 + i, sent=0, end=9, status="aborted", streamed=True) for i in range(2)]
    text = render_view(run(point([*requests, *gone], chunks)), "mindie", width=200)
    assert (
        "neither successes nor failures of ours: 2 requests given up as asked, 0 cut off at the end" in text
    )
    assert re.search(r"Total \| +4\[ 100\.0% \]", text)
    assert "given up" not in render_view(run(point(requests, chunks)), "mindie")


def test_waiting_for_a_permit_is_told_apart() -> None:
    requests = [request(0, planned=0, sent=40, first_token=50, last_token=60, end=61, output_tokens_server=2)]
    record = run(point(requests, [Chunk(0, 50), Chunk(0, 60, read=1)]))
    assert "request was due, 40.00 ms earlier in the mean" in render_view(record, "vllm", width=300)


def test_evalscopes_tables() -> None:
    text = render_view(run(point(*steady_requests(4))), "evalscope")
    assert "│ Total / Success / Failed  │ 4 / 4 / 0 │" in text
    assert "│ Avg TTFT (ms)             │        30 │" in text
    assert "┃ Conc. ┃ Rate ┃ Num ┃   RPS ┃ Gen/s ┃ Success ┃" in text
    assert re.search(r"│ TPOT \(ms\) +│ +30 │", text)


def test_aiperfs_table() -> None:
    text = render_view(run(point(*steady_requests(4))), "aiperf")
    assert "NVIDIA AIPerf | LLM Metrics" in text
    assert re.search(r"│ +Inter Token Latency \(ms\) │ +30.00 │ +30.00 │ +30.00 │ +30.00 │", text)
    assert re.search(r"│ +Request Count \(requests\) │ +4.00 │ +N/A │", text)


def test_guidellms_headings_span_their_columns() -> None:
    lines = render_view(run(point(*steady_requests(4))), "guidellm").splitlines()
    start = lines.index("ℹ Request Latency Statistics (Completed Requests)")
    table = lines[start + 1 : start + 8]
    assert len({len(line) for line in table}) == 1, "all lines of a table are equally long"
    assert table[1].startswith("| Benchmark    | Request Latency")
    assert "||| TTFT" in table[1]
    assert re.match(r"\| concurrent@1 \| 0\.1 +\| 0\.1 +\| 0\.1 ", table[5])


def test_sglangs_and_lmdeploys_blocks_are_fifty_wide() -> None:
    record = run(point(*steady_requests(4)))
    for name in ("sglang", "lmdeploy"):
        lines = render_view(record, name).splitlines()
        assert lines[0] == "============ Serving Benchmark Result ============"
        assert "Mean TTFT (ms):                          30.00     " in lines
    assert "Max ITL (ms):                            30.00     " in render_view(record, "sglang").splitlines()
    assert "openai-chat,,,,,,inf,4,32,12,0.398,10.050," in render_view(record, "lmdeploy")


def test_ascend_tables() -> None:
    record = run(point(*steady_requests(4)))
    text = render_view(record, "aisbench")
    assert re.search(r"│ TTFT +│ total +│ 30\.0 ms +│", text)
    assert re.search(r"│ Benchmark Duration +│ stable │ 200\.0 ms +│", text)
    assert re.search(
        r"│ Performance Parameters +│ Stage +│ Average +│ Min +│ Max +│ Median +│ P75 +│ P90 +│ P99 +│ N +│",
        text,
    )
    text = render_view(record, "mindie")
    assert "The BenchMark test performance metric result is:" in text
    assert re.search(r"\| +FirstTokenTime \| +30\.0 ms \|", text)
    assert re.search(r"\| +Tokenizer \| +n/a \|", text)


def test_an_unknown_view_and_a_run_without_a_load_point_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="unknown view 'locust'"):
        render_view(run(tiny()), "locust")
    with pytest.raises(UsageError, match="no measured load point"):
        render_view(run(), "vllm")
