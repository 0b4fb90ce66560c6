from run_builder import point, request, run, steady_requests

from inferometer.metrics.views.vllm import vllm_result
from inferometer.report.vllm_block import render_vllm_block

BLOCK = """\
============ Serving Benchmark Result ============
Successful requests:                     3
Failed requests:                         0
Maximum request concurrency:             1
Request rate configured (RPS):           4.00
Benchmark duration (s):                  0.30
Total input tokens:                      24
Total generated tokens:                  9
Request throughput (req/s):              10.07
Request goodput (req/s):                 10.07
Output token throughput (tok/s):         30.20
Peak output token throughput (tok/s):    9.00
Peak concurrent requests:                3.00
Total token throughput (tok/s):          110.74
---------------Time to First Token----------------
Mean TTFT (ms):                          30.00
Median TTFT (ms):                        30.00
P50 TTFT (ms):                           30.00
P90 TTFT (ms):                           30.00
P99 TTFT (ms):                           30.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          30.00
Median TPOT (ms):                        30.00
P50 TPOT (ms):                           30.00
P90 TPOT (ms):                           30.00
P99 TPOT (ms):                           30.00
---------------Inter-token Latency----------------
Mean ITL (ms):                           30.00
Median ITL (ms):                         30.00
P50 ITL (ms):                            30.00
P90 ITL (ms):                            30.00
P99 ITL (ms):                            30.00
=================================================="""


def test_the_block_is_vllms_line_by_line() -> None:
    table = point(*steady_requests(3), load={"request_rate": 4.0, "max_concurrency": 1, "burstiness": 1.0})
    meta = run(table, spec={"measure": {"slo": ["ttft:30"]}}).meta
    lines = render_vllm_block(vllm_result(table, meta, percentiles=(50, 90))).splitlines()
    assert [line.rstrip() for line in lines] == BLOCK.splitlines()
    # vLLM prints "{:<40} {:<10}", blanks after the value included.
    assert {len(line) for line in lines if ": " in line} == {51}


def test_failures_are_always_there_and_nothing_is_not_zero() -> None:
    table = point([request(0, sent=0, end=5, status="timeout")])
    block = render_vllm_block(vllm_result(table, run(table).meta), simulated=True)
    lines = [line.rstrip() for line in block.splitlines()]
    assert lines[0] == "====== Serving Benchmark Result (simulated) ======"
    assert "Failed requests:                         1" in lines
    assert "P99 TTFT (ms):                           n/a" in lines
