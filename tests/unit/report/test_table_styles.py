"""What each community's table has in it, on requests whose figures are known: 20 of them, 100 ms apart.

Each has TTFT 30 ms, three tokens 30 ms apart, E2EL 90 ms, ends at 98 ms; the window is 1.998 s.
"""

from typing import get_args

import pytest
from run_builder import run, tiny
from table_runs import closed, headings, made, markdown_table, measured, opened, values

from inferometer.errors import UsageError
from inferometer.metrics.summary import summarize
from inferometer.report.tables import STYLES, style_named
from inferometer.spec import Output
from inferometer.spec.model import RunSpec

RATE = round(20 / 1.998, 4)
LMDEPLOY_HEADING = (  # as the document has it, lmdeploy-deepseekv3-benchmark.md
    "| max bsz | prompt no | input-len | output-len | per node input token thr (tok/s) | "
    "per node output token thr (tok/s) |"
)


def test_lmdeploys_table_reads_as_in_its_document() -> None:
    lengths = ((2048, 1024), (2048, 2048))
    points = [
        opened(i, "inf", input_len=a, output_len=b, num_prompts=10000) for i, (a, b) in enumerate(lengths)
    ]
    lines = markdown_table(
        made(
            "lmdeploy",
            measured(*points, spec={"sweep": {"nodes_served": 2}}, labels={"max_bsz": "1024"}),
        )
    )
    assert lines[0] == LMDEPLOY_HEADING
    # 160 and 60 tokens in 1.998 s, on two nodes.
    assert [line.replace(" ", "") for line in lines[2:]] == [
        "|1024|10000|2048|1024|40.04|15.02|",
        "|1024|10000|2048|2048|40.04|15.02|",
    ]
    assert len({len(line) for line in lines}) == 1


def test_what_a_client_cannot_know_stays_empty() -> None:
    report = made("lmdeploy", measured(closed(1, 4)))
    row = values(report.tables[0])
    assert (row["max bsz"], row["per node output token thr (tok/s)"]) == ("", "")
    assert values(made("lmdeploy", measured(closed(1, 4)), nodes=4).tables[0])[
        "per node output token thr (tok/s)"
    ] == pytest.approx(60 / 1.998 / 4, abs=1e-4)
    assert values(made("speed", measured(closed(1, 1))).tables[0])["GPU Memory(GB)"] == ""


def test_the_guides_static_table() -> None:
    (table,) = made("guide", measured(closed(1, 4), spec={"endpoint": {"backend": "openai-chat"}})).tables
    assert table.name == "benchmark_parallel"
    latencies = ["TP75", "TP90", "TP95", "TP99", "MAX", "AVG"]
    second = ["TP90", "TP95", "TP99", "MAX", "AVG"]
    between = ["TP90", "TP95", "TP99", "MIN", "MAX", "AVG"]
    assert headings(table) == [
        "Input_Length", "Output_Length", "Concurrency",
        "Total_Token_Throughput(tokens/s)", "Output_Token_Throughput(tokens/s)",
        *(f"{word}_TTFT(s)" for word in latencies),
        *(f"{word}_TPOT(s)" for word in latencies),
        *(f"{word}_TPOT_SEC(s)" for word in second),
        *(f"{word}_TIME_BETWEEN_FIRST_AND_SECOND_TOKEN(s)" for word in between),
        *(f"{word}_E2E(s)" for word in latencies),
        "Total_Time(s)", "QPS", "Fail_Rate", "Backend", "Temperature", "Top_k", "Top_p",
    ]  # fmt: skip
    row = values(table)
    assert (row["Input_Length"], row["Output_Length"], row["Concurrency"]) == (8, 3, 4)
    assert row["Output_Token_Throughput(tokens/s)"] == round(60 / 1.998, 4)
    assert row["Total_Token_Throughput(tokens/s)"] == round(220 / 1.998, 4)
    assert (row["AVG_TTFT(s)"], row["TP99_TPOT(s)"], row["AVG_TPOT_SEC(s)"]) == (0.03, 0.03, 0.03)
    assert (row["MIN_TIME_BETWEEN_FIRST_AND_SECOND_TOKEN(s)"], row["MAX_E2E(s)"]) == (0.03, 0.09)
    assert (row["Total_Time(s)"], row["QPS"], row["Fail_Rate"]) == (1.998, RATE, 0)
    assert (row["Backend"], row["Temperature"]) == ("openai-chat", "")


def test_the_guides_dynamic_table() -> None:
    points = [opened(1, 8.0), opened(2, 2.0)]
    (table,) = made("guide", measured(*points, spec={"workload": {"dataset": "sharegpt"}})).tables
    assert table.name == "benchmark_serving"
    assert headings(table) == [
        "DATASET", "AVG_Input_Length", "AVG_Output_Length", "REQ_RATE", "QPS", "AVG_REQ_LATENCY",
        "AVG_PER_REQ_OUTPUT_TOKEN_THROUGHPUT", "AVG_LATENCY_PER_TOKEN_FOR_A_SINGLE_REQ", "AVG_TTFT",
        "AVG_OUTPUT_TOKEN_THROUGHPUT",
    ]  # fmt: skip
    assert [values(table, row)["REQ_RATE"] for row in (0, 1)] == [2, 8]  # sorted as the script does
    row = values(table)
    assert (row["DATASET"], row["AVG_Input_Length"], row["AVG_Output_Length"]) == ("sharegpt", 8, 3)
    assert (row["QPS"], row["AVG_REQ_LATENCY"], row["AVG_TTFT"]) == (RATE, 0.09, 30)
    assert row["AVG_PER_REQ_OUTPUT_TOKEN_THROUGHPUT"] == 3 / 0.06
    assert row["AVG_LATENCY_PER_TOKEN_FOR_A_SINGLE_REQ"] == 60 / 3


def test_static_and_dynamic_loads_go_to_sheets_of_their_own_in_the_order_of_output_xlsx() -> None:
    all_at_once, limited = opened(1, "inf"), opened(2, "inf", max_concurrency=8)
    report = made("guide", measured(closed(3, 2), all_at_once, limited))
    assert [(table.name, len(table.rows)) for table in report.tables] == [
        ("benchmark_serving", 1),
        ("benchmark_parallel", 2),
    ]


def test_the_guides_chinese_table_keeps_its_columns_aligned() -> None:
    lines = markdown_table(made("guide-zh", measured(closed(1, 1))))
    assert lines[0].startswith("| 输入长度 | 输出长度 | 并发数 | 输出tokens总吞吐 | 首tokens时延TP90（ms） |")
    assert lines[2].startswith(
        "| 8        |        3 |      1 |            30.03 |                30.00\\* |"
    )


def test_evalscopes_table() -> None:
    lines = markdown_table(made("evalscope", measured(closed(1, 4, failed=5))))
    assert lines[0] == (
        "| Conc. | Rate |   RPS | Avg Lat.(s) | P99 Lat.(s) | Avg TTFT(ms) | P99 TTFT(ms) | Avg TPOT(ms) | "
        "P99 TPOT(ms) | Gen. tok/s | Success Rate | verdict |"
    )
    assert lines[2] == (
        "| 4     |      | 10.01 |       0.090 |     0.090\\* |        30.00 |      30.00\\* |        30.00 | "
        "     30.00\\* |      30.03 |         80.0 | INVALID |"
    )


def test_the_speed_table() -> None:
    (table,) = made("speed", measured(closed(1, 1, input_len=6144), labels={"gpu_memory_gb": "15.5"})).tables
    assert headings(table) == ["Prompt Tokens", "Speed(tokens/s)", "GPU Memory(GB)"]
    assert list(values(table).values())[:3] == [6144, round(3 / 0.09, 4), 15.5]


def test_vllms_table_has_the_rows_of_its_block_and_in_csv_the_keys_of_its_json() -> None:
    record, summary = measured(closed(1, 4, failed=5))
    (table,) = made("vllm", (record, summary)).tables
    row, result = values(table), summary.points[0].vllm
    assert result is not None
    assert (row["Max concurrency"], row["Successful requests"], row["Failed requests"]) == (4, 20, 5)
    assert (row["Mean TTFT (ms)"], row["P99 E2EL (ms)"]) == (30, 90)
    by_key = {
        column.csv_heading: cell.value for column, cell in zip(table.columns, table.rows[0], strict=True)
    }
    for key in ("duration", "output_throughput", "median_tpot_ms", "p99_itl_ms", "total_input_tokens"):
        assert by_key[key] == result[key]


def test_aisbenchs_table() -> None:
    (table,) = made("aisbench", measured(closed(1, 4, failed=5))).tables
    row = values(table)
    assert [row[f"{w} Requests"] for w in ("Total", "Failed", "Success")] == [25, 5, 20]
    assert row["Concurrency"] == round(20 * 0.09 / 1.998, 4)
    assert row["Benchmark Duration (ms)"] == 1998
    assert (row["TTFT Average (ms)"], row["E2EL Median (ms)"], row["ITL Max (ms)"]) == (30, 90, 30)
    assert row["OutputTokenThroughput Average (token/s)"] == round(3 / 0.09, 4)
    assert row["PrefillTokenThroughput Average (token/s)"] == round(8 / 0.03, 4)


def test_mindies_table_on_requests_whose_gaps_differ() -> None:
    record = run(tiny())
    (table,) = made("mindie", (record, summarize(record))).tables
    row = values(table)
    # Gaps of request 0: 10, 0, 20; of request 3: 10; request 1 has none. From the send: TTFT 10, 20, 20.
    assert row["DecodeTime average (ms)"] == 10
    assert (row["LastDecodeTime average (ms)"], row["MaxDecodeTime average (ms)"]) == (15, 15)
    assert row["DecodeTime SLO_P90 (ms)"] == 10
    assert row["FirstTokenTime average (ms)"] == round(50 / 3, 4)
    assert row["lpct (ms)"] == round(50 / 60, 4)
    assert (row["Failed"], row["Returned"], row["Total"]) == (1, 3, 4)


def test_repeats_of_a_load_are_one_row() -> None:
    first, second = closed(1, 4), closed(2, 4, gap_ms=200.0, repeat=2)
    (table,) = made("guide", measured(first, second)).tables
    row = values(table)
    assert len(table.rows) == 1
    assert row["Total_Time(s)"] == round(1.998 + 3.998, 4)  # a sum
    assert row["QPS"] == round((20 / 1.998 + 20 / 3.998) / 2, 4)  # a mean
    ours = values(made("ours", measured(first, second)).tables[0])
    assert (ours["repeats"], ours["ok"]) == (2, 40)


def test_a_figure_that_no_load_has_takes_no_column_in_our_table() -> None:
    plain, limited = (
        made("ours", measured(closed(1, 4), spec=spec)) for spec in ({}, {"measure": {"slo": ["ttft:20"]}})
    )
    assert "goodput req/s" not in headings(plain.tables[0])
    assert values(limited.tables[0])["goodput req/s"] == 0  # each waits 30 ms
    assert "repeats" not in headings(plain.tables[0])


def test_every_style_is_offered_by_run_and_none_is_unknown_to_it() -> None:
    literal, _ = get_args(Output.model_fields["table"].annotation)
    assert get_args(literal) == tuple(STYLES)
    assert RunSpec().output.table is None


def test_an_unknown_style_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown table 'lmdepoy'") as caught:
        style_named("lmdepoy")
    assert caught.value.next_step == "did you mean 'lmdeploy'?"
