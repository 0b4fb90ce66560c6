"""``/metrics`` as a monitor of vLLM reads it: names, bounds, and numbers that are those of the requests."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from sim_world import World

from inferometer.cli.serve_sim import _MEANINGS
from inferometer.simulator import SimSettings
from inferometer.simulator.server.serve import flag_fields

# Of vLLM 0.32's v1/metrics/loggers.py: what every server has.
VLLM = """
num_requests_running num_requests_waiting num_requests_waiting_by_reason kv_cache_usage_perc cache_config_info
prompt_tokens_total prompt_tokens_by_source_total prompt_tokens_cached_total generation_tokens_total
prefix_cache_queries_total prefix_cache_hits_total num_preemptions_total request_success_total
request_prompt_tokens request_generation_tokens iteration_tokens_total request_max_num_generation_tokens
request_params_n request_params_max_tokens time_to_first_token_seconds inter_token_latency_seconds
request_time_per_output_token_seconds e2e_request_latency_seconds request_queue_time_seconds
request_inference_time_seconds request_prefill_time_seconds request_decode_time_seconds
request_num_preemptions request_prefill_kv_computed_tokens
"""
ASKED = {"prompt": "one two three four", "max_tokens": 5, "ignore_eos": True, "stream": True}


def served(requests: int = 3, **settings: object) -> World:
    here = World(SimSettings(**settings))
    for _ in range(requests):
        here.peer().post("/v1/completions", ASKED)
    here.finish()
    return here


def families(here: World) -> dict[str, tuple[str, list[str]]]:
    """Kind and series of each metric."""
    text = here.peer().get("/metrics")[2].decode()
    found: dict[str, tuple[str, list[str]]] = {}
    for piece in text.split("# HELP ")[1:]:
        head, kind, *series = piece.strip().split("\n")
        name = head.split(" ", 1)[0]
        assert name not in found
        assert kind.startswith(f"# TYPE {name} ")
        assert all(re.match(rf"{re.escape(name)}(_bucket|_sum|_count)?\{{", line) for line in series)
        found[name] = kind.rsplit(" ", 1)[1], series
    return found


def test_everything_that_a_monitor_of_vllm_reads_is_there() -> None:
    assert {f"vllm:{name}" for name in VLLM.split()} <= families(served()).keys()


def test_buckets_count_up_to_the_number_of_observations() -> None:
    for kind, series in families(served()).values():
        if kind == "histogram":
            *buckets, _, count = (float(line.rsplit(" ", 1)[1]) for line in series)
            assert all(low <= high for low, high in pairwise(buckets))
            assert buckets[-1] == count


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_phases_of_a_request_are_what_the_client_has_on_its_clock(scale: float) -> None:
    here = served(
        1, base_s=0.01, per_token_s=0.001, per_seq_s=0.0, per_kv_token_s=0.0, arrival_s=0.02,
        first_token_s=0.005, time_scale=scale,
    )  # fmt: skip
    told = {
        name: here.metric(f"vllm:{name}_seconds_sum") / scale
        for name in ("time_to_first_token", "request_queue_time", "request_prefill_time",
                     "request_decode_time", "inter_token_latency", "e2e_request_latency")
    }  # fmt: skip
    assert told == pytest.approx(
        {
            "time_to_first_token": 0.02 + 0.014 + 0.005,
            "request_queue_time": 0.0,
            "request_prefill_time": 0.014,
            "request_decode_time": 4 * 0.011,
            "inter_token_latency": 4 * 0.011,
            "e2e_request_latency": 0.02 + 0.014 + 0.005 + 4 * 0.011,
        }
    )


def test_the_cache_says_how_large_it_is() -> None:
    [line] = families(served(num_blocks=4096, max_model_len=1024))["vllm:cache_config_info"][1]
    assert 'num_gpu_blocks="4096"' in line
    assert 'kv_cache_size_tokens="65536"' in line


def test_a_higher_priority_goes_first() -> None:
    here = World(SimSettings(order="priority", max_num_seqs=1))
    peers = {priority: here.peer() for priority in (0, 5, 1)}
    for priority, peer in peers.items():
        peer.post("/v1/completions", ASKED | {"priority": priority})
    ended: list[int] = []
    while here.step():
        for priority, peer in peers.items():
            if priority not in ended and any(b"[DONE]" in data for _, data in peer.transport.writes):
                ended.append(priority)
    assert ended == [0, 1, 5]


def test_every_flag_says_what_it_is() -> None:
    told = [name for meanings in _MEANINGS.values() for name in meanings]
    assert sorted(told) == sorted(field.name for field in flag_fields())
