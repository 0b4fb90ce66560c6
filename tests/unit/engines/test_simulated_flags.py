"""Flags of engines, in their own words, as limits of the simulated scheduler."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inferometer.engines.limits import SCHEDULING, Meaning, Situation, known, rules_of
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import GIB, device
from inferometer.simulator.latency.roofline import Placement

_DRAFTS = """--speculative-config '{"method": "ngram", "num_speculative_tokens": 3}'"""


def meaning(engine: str, flags: str, **situation: Any) -> Meaning:
    rules = rules_of(engine)
    plain = rules.defaults(None, Placement())
    return rules.meaning(flags, Situation(**{"limits": plain, **situation}))


def limits(engine: str, flags: str, **situation: Any) -> dict[str, Any]:
    return meaning(engine, flags, **situation).limits


@pytest.mark.parametrize("engine", SCHEDULING.names())
def test_without_flags_every_engine_has_limits_of_its_own_and_says_nothing(engine: str) -> None:
    rules = rules_of(engine)
    plain = rules.defaults(device("h100"), Placement())
    said = rules.meaning("", Situation(limits=plain))
    splits = (
        engine == "tensorrt-llm"
    )  # there only prompts above a whole step would be split, and that on demand
    assert [text.partition(";")[0] for text in said.notes] == [
        "prompts are split to fill max_num_tokens=8192"
    ] * splits
    assert msgspec.structs.replace(plain, **said.limits) == plain


def test_names_of_engines_are_found_with_their_version_and_other_spellings() -> None:
    assert rules_of("vLLM 0.19.1").name == rules_of("vllm-ascend").name == "vllm"
    assert rules_of("trtllm").name == "tensorrt-llm"
    assert (known("MindIE 2.1"), known("aphrodite"), known(None)) == (True, False, False)
    with pytest.raises(UsageError, match="aphrodite"):
        rules_of("aphrodite")


def test_flags_of_vllm() -> None:
    flags = "--max-num-seqs 64 --max-num-batched-tokens=4k --block-size 32 --num-gpu-blocks-override 900 "
    flags += "--no-enable-prefix-caching --scheduling-policy priority --long-prefill-token-threshold 512"
    assert limits("vllm", flags) == {
        "max_num_seqs": 64,
        "max_num_batched_tokens": 4000,
        "block_tokens": 32,
        "kv_blocks": 900,
        "prefix_cache": False,
        "order": "priority",
        "long_prefill_token_threshold": 512,
    }
    spread = meaning(
        "vllm", "-tp 4 --pipeline-parallel-size 2 -dp 2 --gpu-memory-utilization 0.85 --quantization fp8"
    )
    assert (spread.tensor_parallel, spread.pipeline_parallel, spread.data_parallel) == (4, 2, 2)
    assert (spread.memory_share, spread.quantization, spread.limits) == (0.85, "fp8", {})


def test_vllm_defaults_follow_the_memory_of_the_device() -> None:
    found = {
        name: (plain.max_num_seqs, plain.max_num_batched_tokens)
        for name in ("nvidia-rtx-4090", "nvidia-a100-80gb", "nvidia-h100-sxm", "amd-mi300x")
        for plain in (rules_of("vllm").defaults(device(name), Placement()),)
    }
    assert found == {
        "nvidia-rtx-4090": (256, 2048),
        "nvidia-a100-80gb": (256, 2048),
        "nvidia-h100-sxm": (1024, 8192),
        "amd-mi300x": (1024, 16384),
    }


def test_without_chunked_prefill_a_step_of_vllm_has_room_for_the_longest_prompt() -> None:
    assert limits("vllm", "--no-enable-chunked-prefill --max-model-len 9000") == {
        "max_model_len": 9000,
        "split_prompts": False,
        "max_num_batched_tokens": 9000,
    }


def test_a_command_line_may_be_pasted_whole() -> None:
    assert limits("vllm", "vllm serve org/model --port 8001 --max-num-seqs 9") == {"max_num_seqs": 9}


def test_what_is_not_simulated_is_named_with_the_flag_that_may_have_been_meant() -> None:
    notes = meaning("vllm", "--enforce-eager --max-num-seq 3 --served-model-name x --port 1").notes
    assert notes == ("not simulated: --enforce-eager, --max-num-seq (did you mean --max-num-seqs?)",)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--max-num-seqs many", "--max-num-seqs many is no number"),
        ("--max-num-seqs", "--max-num-seqs without a value"),
        ("--max-num-seqs 4 5x", "'5x' belongs to no flag"),
        ("--max-num-seqs '4", "No closing quotation"),
        ("--scheduling-policy lifo", "lifo is none of vLLM's"),
        ("--speculative-config 3", "does not say num_speculative_tokens"),
        (_DRAFTS, "nobody knows how many of them are right"),
    ],
)
def test_bad_flags_are_refused(flags: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as caught:
        meaning("vllm", flags)
    assert caught.value.next_step


def test_drafts_need_to_know_how_many_are_right() -> None:
    expected = {"draft_tokens": 3, "acceptance": (0.8, 0.5)}
    assert limits("vllm", _DRAFTS, acceptance=(0.8, 0.5)) == expected
    measured = EngineLimits(draft_tokens=5, acceptance=(0.8, 0.5, 0.4, 0.3))
    assert limits("vllm", _DRAFTS, limits=measured) == {"draft_tokens": 3, "acceptance": (0.8, 0.5, 0.4)}


def test_flags_of_sglang() -> None:
    flags = "--max-running-requests 100 --chunked-prefill-size 4096 --max-total-tokens 50000 --disable-radix-cache"
    said = meaning("sglang", flags + " --schedule-policy lpm --mem-fraction-static 0.7 --tp 2 --ep-size 2")
    assert said.limits == {"max_num_seqs": 100, "max_num_batched_tokens": 4096, "prefix_cache": False}
    assert (said.kv_tokens, said.memory_share, said.tensor_parallel, said.replicas) == (50000, 0.7, 2, True)
    assert said.notes == ("--schedule-policy lpm is simulated as fcfs",)
    assert limits("sglang", "--chunked-prefill-size -1")["max_num_batched_tokens"] == 16384
    assert limits("sglang", "--enable-mixed-chunk")["scheduler"] == "chunked"


def test_flags_of_lmdeploy_and_llamacpp() -> None:
    said = meaning("lmdeploy", "--max-batch-size 200 --cache-max-entry-count 0.5 --session-len 4096 --tp 8")
    assert said.limits == {"max_num_seqs": 200, "max_model_len": 4096}
    assert (said.memory_share, said.tensor_parallel) == (0.5, 8)
    slots = meaning("llamacpp", "--parallel 8 --ctx-size 16384")
    assert (slots.limits, slots.kv_tokens) == ({"max_num_seqs": 8, "max_model_len": 2048}, 16384)


def test_tgi_interrupts_decoding_when_enough_wait() -> None:
    flags = "--max-batch-total-tokens 65536 --max-total-tokens 8192 --waiting-served-ratio 1.2 --max-waiting-tokens 5"
    said = meaning("tgi", flags)
    assert said.limits == {
        "max_model_len": 8192,
        "select_batch": True,
        "prefill_time_s": 1.0,
        "decode_time_s": 1.2,
        "select_steps": 5,
    }
    assert said.kv_tokens == 65536
    with pytest.raises(UsageError, match="must be below --max-total-tokens 4096"):
        meaning("tgi", "--max-input-tokens 4096 --max-total-tokens 4096")


def test_tensorrt_llm_takes_flags_and_names_of_its_arguments() -> None:
    assert rules_of("trtllm").defaults(None, Placement()).reserve_answer
    flags = (
        "--max_batch_size 64 max_num_tokens=4096 scheduler_config.capacity_scheduler_policy=MAX_UTILIZATION"
    )
    assert limits("trtllm", flags + " enable_block_reuse=false") == {
        "max_num_seqs": 64,
        "max_num_batched_tokens": 4096,
        "prefix_cache": False,
        "reserve_answer": False,
    }
    with pytest.raises(UsageError, match="none of TensorRT-LLM's"):
        meaning("trtllm", "capacity_scheduler_policy=EVICT")


def test_mindie_takes_parameters_of_its_file() -> None:
    said = meaning(
        "mindie", "maxPrefillTokens=12800 ScheduleConfig.maxBatchSize=438 NPU_MEMORY_FRACTION=0.96"
    )
    assert (said.limits["max_num_batched_tokens"], said.limits["max_num_seqs"]) == (12800, 438)
    assert (said.limits["prefill_delay_s"], said.limits["max_prefill_seqs"]) == (0.005, 50)
    assert said.memory_share == 0.96
    assert meaning("mindie", "npuMemSize=8").kv_bytes == 8 * GIB
    with pytest.raises(UsageError, match="is in none of its sections"):
        meaning("mindie", "maxPrefilTokens=12800")


def test_of_a_measured_mindie_only_what_is_said_changes() -> None:
    measured = EngineLimits(scheduler="prefill-first", max_num_seqs=300, max_prefill_seqs=40)
    assert limits("mindie", "supportSelectBatch=true", limits=measured, measured=True) == {
        "select_batch": True
    }
    config = {
        "ServerConfig": {},
        "BackendConfig": {
            "ModelDeployConfig": {"ModelConfig": [{"plugin_params": '{"plugin_type": "prefix_cache"}'}]},
            "ScheduleConfig": {"maxBatchSize": 77},
        },
    }
    found = limits("mindie", "", limits=measured, measured=True, config=config)
    assert found == {"max_num_seqs": 77, "prefix_cache": True}


def test_a_smaller_step_of_vllm_cuts_its_default_of_sequences_as_vllm_does() -> None:
    assert limits("vllm", "--max-num-batched-tokens 128")["max_num_seqs"] == 128
    assert "max_num_seqs" not in limits("vllm", "--max-num-batched-tokens 128", measured=True)
    assert (
        limits("vllm", "--max-num-batched-tokens 128 --max-num-seqs 256")["max_num_seqs"] == 256
    )  # refused later


@pytest.mark.parametrize("longest", ["-1", "auto"])
def test_a_length_that_vllm_is_to_choose_is_what_is_simulated_anyway(longest: str) -> None:
    assert meaning("vllm", f"--max-model-len {longest}") == meaning("vllm", "")


def test_flags_that_no_time_depends_on_are_not_worth_a_note() -> None:
    assert (
        meaning("vllm", "--api-key x --seed 0 --tool-call-parser hermes --disable-log-requests").notes == ()
    )


@pytest.mark.parametrize(
    "flags", ["-tp 0", "-dp=0", "--max-num-seqs 0", "--max-num-seqs -5", "--block-size x"]
)
def test_a_number_that_no_engine_takes_is_refused_and_not_passed_over(flags: str) -> None:
    with pytest.raises(UsageError, match=r"must be at least 1|is no number of vllm"):
        meaning("vllm", flags)


def test_sglang_spreads_ranks_of_attention_over_the_devices_of_its_tensor_parallelism() -> None:
    found = meaning("sglang", "--tp 8 --dp 4 --enable-dp-attention")
    assert (found.tensor_parallel, found.data_parallel) == (2, 4)
    assert meaning("sglang", "--tp 8 --dp 4").tensor_parallel == 8  # 4 whole replicas on 32 devices
    with pytest.raises(UsageError, match="--tp-size 8 is no multiple of --dp-size 3"):
        meaning("sglang", "--tp 8 --dp 3 --enable-dp-attention")


def test_sglang_keeps_memory_free_for_its_chunk_and_its_graphs() -> None:
    """Reckoned by hand after _handle_gpu_memory_settings of 0.5.6."""
    rules = rules_of("sglang")
    memory = rules.memory
    assert memory is not None
    card = msgspec.structs.replace(device("h100"), memory_gib=80.0)
    plain = rules.defaults(card, Placement())
    assert memory(card, Placement(), plain).whole == round(1 - (512 + 12288 + 512 + 128) / 81920, 3) == 0.836
    wide = msgspec.structs.replace(plain, max_num_batched_tokens=16384)
    assert memory(card, Placement(tensor_parallel=8), wide).whole == round(
        1 - (512 + 24576 + 1024 + 1024) / 81920, 3
    )


def test_switches_of_tensorrt_llm_stand_alone_or_with_a_value() -> None:
    assert limits("tensorrt-llm", "--enable_chunked_prefill --max_batch_size 8") == {
        "max_num_seqs": 8,
        "split_prompts": True,
    }
    assert meaning("tensorrt-llm", "--enable_chunked_prefill").notes == ()
    of_file = meaning("tensorrt-llm", "--enable_chunked_prefill --extra_llm_api_options llm.yaml").notes
    assert [text.partition(":")[0] for text in of_file] == ["the file of --extra-llm-api-options is not read"]
    whole = limits(
        "tensorrt-llm", "max_seq_len=4096"
    )  # off unless asked for, and a step holds the longest prompt
    assert (whole["split_prompts"], whole["max_model_len"]) == (False, 4096)
    assert meaning("tensorrt-llm", """enable_chunked_prefill=true x='{"a b": 1}'""").notes == (
        "not simulated: --x",
    )


def test_slots_of_llamacpp_share_the_context_unless_their_number_is_given() -> None:
    assert limits("llamacpp", "-c 16384")["max_model_len"] == 16384
    assert limits("llamacpp", "-c 16384 -np 4")["max_model_len"] == 4096


def test_limits_of_tgi_go_together() -> None:
    assert limits("tgi", "--max-batch-size 256 --max-concurrent-requests 64")["max_num_seqs"] == 64
    with pytest.raises(
        UsageError, match="--max-batch-prefill-tokens 1000 must not be below --max-input-tokens 4000"
    ):
        meaning("tgi", "--max-input-tokens 4000 --max-batch-prefill-tokens 1000")
