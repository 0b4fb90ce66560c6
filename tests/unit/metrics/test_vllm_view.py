import msgspec
import pytest
from run_builder import Chunk, point, request, run, steady_requests

from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.types import ChunkKind

BEFORE_ARRAYS = [
    "date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate",
    "burstiness", "max_concurrency", "duration", "completed", "failed", "total_input_tokens", "total_output_tokens",
    "request_throughput", "request_goodput", "output_throughput", "total_token_throughput",
]  # fmt: skip
ARRAYS = [
    "input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times", "generated_texts",
    "errors",
]  # fmt: skip
AFTER_ARRAYS = ["max_output_tokens_per_s", "max_concurrent_requests"]


def statistics(*percentiles: str) -> list[str]:
    return [
        f"{s}_{m}_ms"
        for m in ("ttft", "tpot", "itl", "e2el")
        for s in ("mean", "median", "std", *percentiles)
    ]


def test_the_keys_are_vllms_in_their_order() -> None:
    table = point(*steady_requests(3))
    meta = run(table).meta
    assert list(vllm_result(table, meta)) == [*BEFORE_ARRAYS, *AFTER_ARRAYS, *statistics("p99")]
    detailed = vllm_result(table, meta, percentiles=(99, 50), detailed=True)
    assert list(detailed) == [*BEFORE_ARRAYS, *ARRAYS, *AFTER_ARRAYS, *statistics("p50", "p99")]
    assert {len(detailed[name]) for name in ARRAYS} == {3}


def test_the_configuration_is_told_as_vllm_tells_it() -> None:
    table = point(
        *steady_requests(3), load={"request_rate": "inf", "max_concurrency": None, "burstiness": 1.0}
    )
    spec = {"endpoint": {"backend": "openai-completions"}, "workload": {"tokenizer": "/m"}}
    result = vllm_result(table, run(table, spec=spec, labels={"gpu": "dcu", "failed": "no"}).meta)
    assert result["date"] == "20261120-213005"
    assert (result["backend"], result["tokenizer_id"], result["request_rate"]) == (
        "openai-completions",
        "/m",
        "inf",
    )
    assert (result["gpu"], result["failed"]) == ("dcu", 0), "a label is kept but never replaces a result"


@pytest.mark.parametrize(("label", "shown"), [("", "simulated"), ("demo", "demo (simulated)")])
def test_simulated_numbers_say_so_under_a_key_that_vllm_has(label: str, shown: str) -> None:
    table = point(*steady_requests(3))
    assert vllm_result(table, run(table, simulated=True, label=label).meta)["label"] == shown
    assert vllm_result(table, run(table, label=label).meta)["label"] == (label or None)


def test_goodput_as_vllm_counts_it() -> None:
    table = point(*steady_requests(4))
    result = vllm_result(table, run(table, spec={"measure": {"slo": ["ttft:30", "tpot:30", "e2el:90"]}}).meta)
    assert result["request_goodput"] == result["request_throughput"] == pytest.approx(4 / 0.398)


def test_nothing_measured_is_null_and_not_zero() -> None:
    table = point([request(0, sent=0, end=5, status="timeout")])
    result = vllm_result(table, run(table).meta)
    assert (result["completed"], result["failed"]) == (0, 1)
    assert [result[key] for key in statistics("p99")] == [None] * 16
    assert b"NaN" not in msgspec.json.encode(result)


def test_a_keep_alive_before_the_first_frame_does_not_stop_the_clock() -> None:
    chunks = [Chunk(0, 1, ChunkKind.OTHER, None), Chunk(0, 30, read=1), Chunk(1, 2, ChunkKind.OTHER, None),
              Chunk(1, 40, read=1), Chunk(1, 45, ChunkKind.OTHER, None, read=2)]  # fmt: skip
    requests = [request(i, sent=0, first_token=30 + 10 * i, last_token=30 + 10 * i, end=50) for i in range(2)]
    table = point(requests, chunks)
    result = vllm_result(table, run(table).meta, detailed=True)
    assert result["ttfts"] == [0.030, 0.040]
    assert result["latencies"] == [0.030, 0.045]
    assert result["itls"] == [[], [0.005]]
