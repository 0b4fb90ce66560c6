import re
from typing import Any

import msgspec
from run_builder import point, request, run, steady_requests, tiny

from inferometer.metrics.summary import summarize
from inferometer.record.tables import PointTable
from inferometer.report.console import render_run

FIXED = {"sampling": {"ignore_eos": True}}
OTHER = {"max_concurrency": 1, "request_rate": None, "burstiness": 1.0, "closed": True, "num_prompts": 30}


def mostly_failed(planned: int = 1000, ok: int = 388) -> PointTable:
    """The second block of the DCU load test: all at once, and most requests fail."""
    requests, chunks = steady_requests(ok)
    refused = [
        request(i, planned=0, sent=0, end=4.0, status="http_error", http_status=503, streamed=False,
                error=f"HTTP 503 Service Unavailable: queue of {i} is full")
        for i in range(ok, planned)
    ]  # fmt: skip
    load = {"request_rate": "inf", "max_concurrency": None, "burstiness": 1.0, "closed": False}
    return point([*requests, *refused], chunks, load=load)


def test_a_run_in_which_most_failed_is_invalid_and_says_so_first() -> None:
    summary = summarize(run(mostly_failed(), spec=FIXED))
    assert summary.verdict.word == "INVALID"
    lines = render_run(summary).splitlines()
    assert lines[0] == "INVALID: failed 612 of 1,000 (61.2 %)"
    assert lines[1].startswith("  - errors 61.2 %, limit 0.1 %")
    text = "\n".join(lines)
    assert (
        "612 x http_error: HTTP 503 Service Unavailable: queue of 388 is full (first: point 1, request 388)"
        in text
    )
    assert re.search(r"Failed requests: +612 *$", text, re.MULTILINE)


def test_a_valid_run_reads_well() -> None:
    tables = [
        point(*steady_requests(1000), index=i, load={"max_concurrency": c, "request_rate": None})
        for i, c in ((1, 1), (2, 1))
    ]
    for table, length in zip(tables, (128, 2048), strict=True):
        table.point.load["output_len"] = length
    text = render_run(summarize(run(*tables, spec=FIXED)))
    assert text.splitlines()[:19] == [
        "VALID: no request failed of 2,000",
        "",
        "Load points, qwen2.5-7b",
        "  load                     req/s  out tok/s  TTFT p50/p99 ms  TPOT p50/p99 ms  failed",
        "  concurrency 1, out 128   10.00      30.00    30.00 / 30.00    30.00 / 30.00       0",
        "  concurrency 1, out 2048  10.00      30.00    30.00 / 30.00    30.00 / 30.00       0",
        "",
        "Steady window",
        "  load                     from-to s  req/s  out tok/s      95 %  whole run        ramp        tail  needs",
        "  concurrency 1, out 128    0.1-99.9  10.00      30.00  +-<0.1 %      30.00  22 (0.1 %)  28 (0.1 %)      0",
        "  concurrency 1, out 2048   0.1-99.9  10.00      30.00  +-<0.1 %      30.00  22 (0.1 %)  28 (0.1 %)      0",
        "  whole run, ramp, tail: output tokens per s (share of the requests); needs: more requests for +-2 %",
        "",
        "Client: 1 worker, kernel receive times, clock error 0.3 us, at concurrency 1, out 128",
        "  worker  CPU %  wait %     send lag ms  receive lag ms  turn ms     backlog  switch/s  RSS",
        "  0        10.0     0.0  0.00/0.00/0.00  0.01/0.01/0.01      -/-  0.0M 0.00s         -    -",
        "  lags p50/p99/max, turn p99/max; M = MiB; - not known",
        "",
        "As vllm bench serve counts it, concurrency 1, out 2048",
    ]


def test_a_percentile_that_is_not_shown_has_one_footnote() -> None:
    text = render_run(
        summarize(
            run(point(*steady_requests(200)), point(*steady_requests(30), index=2, load=OTHER), spec=FIXED)
        )
    )
    assert text.startswith("WARN: samples\n  - concurrency 1: samples 200 values, limit 1,000 values")
    assert "At 1 more load point too." in text
    assert text.count("n/a: p99 needs 1,000 requests\n") == 1
    assert "30.00 / n/a" in text


def test_what_was_not_measured_is_named() -> None:
    requests, chunks = steady_requests(30, tokens=1)
    text = render_run(summarize(run(point(requests, chunks), spec=FIXED)))
    assert "n/a: p99 needs 1,000 requests, TPOT could not be measured" in text


def test_answers_that_were_not_streamed_are_shown_by_their_whole_time() -> None:
    answers = [request(i, planned=100.0 * i, sent=100.0 * i, last_token=100.0 * i + 50, end=100.0 * i + 50,
                       streamed=False, output_tokens_server=3) for i in range(20)]  # fmt: skip
    text = render_run(summarize(run(point(answers), spec=FIXED)))
    assert "E2EL p50/p99 ms" in text
    assert "50.00 / n/a" in text
    assert "TTFT p50" not in text


def test_latencies_from_the_send_stand_beside_the_headline_when_they_differ() -> None:
    requests, chunks = steady_requests(30)
    held = [msgspec.structs.replace(r, planned_ns=r.planned_ns - 10_000_000) for r in requests]
    text = render_run(summarize(run(point(held, chunks), spec=FIXED)))
    assert "40.00 / n/a" in text
    assert "TTFT p50/p99 counted from the send: 30.00 / n/a at concurrency 1" in text
    assert "counted from the send" not in render_run(summarize(run(point(requests, chunks), spec=FIXED)))


def test_token_counts_of_server_and_client_that_differ_are_told() -> None:
    requests, chunks = steady_requests(30)
    counted = [
        msgspec.structs.replace(r, input_tokens_server=110, input_tokens_client=100, output_tokens_client=3)
        for r in requests
    ]
    text = render_run(summarize(run(point(counted, chunks), spec=FIXED)))
    assert "  tokens as the server counts them, against the client's count: prompts +10.0 %\n" in text


def test_every_part_with_numbers_says_when_they_are_simulated() -> None:
    spec: dict[str, Any] = FIXED | {"measure": {"slo": ["ttft:200", "failed<=0.1%"]}}
    text = render_run(summarize(run(point(*steady_requests(1000)), spec=spec, simulated=True)))
    for part in text.split("\n\n"):
        assert "simulated" in part, part
    assert "= Serving Benchmark Result (simulated) =" in text


def test_objectives_are_told_per_load_point() -> None:
    spec = FIXED | {"measure": {"slo": ["ttft:25", "p50_ttft<=200ms", "p99_ttft<=200ms", "failed<=0%"]}}
    summary = summarize(run(point(*steady_requests(30)), spec=spec))
    text = render_run(summary)
    assert "concurrency 1: goodput 0.00 req/s, 0 % of requests within ttft:25" in text
    assert "concurrency 1: p50_ttft<=200ms met, measured 30 ms" in text
    assert "concurrency 1: p99_ttft<=200ms not known, measured n/a (needs 1,000 values, has 30)" in text


def test_colour_only_when_asked_and_text_wraps_at_the_width() -> None:
    summary = summarize(run(tiny(), spec={}))
    assert "\x1b" not in render_run(summary)
    assert render_run(summary, colour=True).startswith("\x1b[1;31mINVALID: failed 1 of 4 (25.0 %)\x1b[0m\n")
    sentences = [line for line in render_run(summary, 60).splitlines() if line.startswith(("  -", "    "))]
    assert max(map(len, sentences)) <= 60


def test_an_empty_run_still_renders() -> None:
    assert render_run(summarize(run())).startswith("INVALID: measured points")


def test_the_headline_names_what_made_a_run_invalid() -> None:
    table = point(*steady_requests(30), load={"max_concurrency": 16, "request_rate": None})
    assert render_run(summarize(run(table, spec=FIXED))).startswith(
        "INVALID: concurrency\n  - concurrency 0.98 requests"
    )


def test_notes_of_a_complete_run_are_told_once_and_those_of_another_with_the_condition() -> None:
    left_out = "the server fell behind at load point 1; load points left out after it: 2"
    summary = msgspec.structs.replace(summarize(run(tiny())), notes=[left_out])
    assert render_run(summary, 200).count(left_out) == 1
    recovered = msgspec.structs.replace(summary, state="recovered")
    assert f"note: {left_out}" not in render_run(recovered, 200)
