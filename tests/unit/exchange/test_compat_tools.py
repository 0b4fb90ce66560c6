"""Each tool's command line, with what it does when nothing is said, in our words."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.exchange.compat.aliases import ALIASES
from inferometer.exchange.compat.convert import Converted, convert
from inferometer.exchange.compat.tool import Kind, Tool
from inferometer.exchange.compat.tools import TOOLS, tools
from inferometer.spec.options import options

SERVER = "--url http://127.0.0.1:8000"


def one(line: str) -> Converted:
    (found,) = convert(line)
    return found


def ours(line: str) -> str:
    return " ".join(one(line).argv)


def told(line: str, kind: Kind) -> dict[str, str]:
    return {remark.word: remark.text for remark in one(line).remarks if remark.kind is kind}


def test_vllm_bench_serve_with_all_that_it_does_unsaid() -> None:
    assert ours("vllm bench serve --model m") == (
        f"run {SERVER} --backend openai-completions --model m --request-rate inf --num-prompts 1000 --warmup 0 "
        "--dataset random --input-len 1024 --output-len 128"
    )


def test_a_prefix_of_vllm_comes_before_lengths_that_a_ratio_draws() -> None:
    # Lengths of these 60 requests were 62 + 50 to 130 + 50, and 14 to 26 (vLLM 0.32 against a recording server).
    lengths = "vllm bench serve --random-input-len 100 --random-output-len 20"
    line = ours(f"{lengths} --random-prefix-len 50 --random-range-ratio 0.3")
    assert line.endswith(
        "--input-dist uniform:min=120,max=180 --output-dist uniform:min=14,max=26 --prefix-len 50"
    )
    line = ours(f"""{lengths} --random-range-ratio '{{"input": 0.3, "output": 0.5}}'""")
    assert line.endswith("--input-dist uniform:min=70,max=130 --output-dist uniform:min=10,max=30")
    strange = ours(f"""{lengths} --random-range-ratio '{{"input": 3, "output": 0.5}}'""")
    assert '--range-ratio {"input": 3, "output": 0.5}' in strange


def test_the_early_script_of_vllm_was_greedy_and_its_ratio_had_two_meanings() -> None:
    line = "benchmark_serving.py --model m --dataset-name random --random-range-ratio 0.5"
    assert "--temperature 0" in ours(line)
    assert "--temperature" not in ours("vllm bench serve --model m")
    assert "--range-ratio-as sglang" in told(line, Kind.DIFFERS)["--random-range-ratio"]


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        (
            "aiperf profile --isl 100 --isl-stddev 10 --osl 20 --prefix-prompt-length 30 --num-prefix-prompts 3",
            "--input-dist normal:mean=130,std=10,min=31 --prefix-len 30",
        ),
        (
            "evalscope perf --dataset random --min-prompt-length 50 --max-prompt-length 100 --prefix-length 20",
            "--input-dist uniform:min=70,max=120 --prefix-len 20",
        ),
    ],
)
def test_a_prefix_comes_before_lengths_that_are_drawn(line: str, drawn: str) -> None:
    assert drawn in ours(line)


def test_settings_of_a_body_that_evalscope_gives_in_two_ways_are_one_body() -> None:
    line = """evalscope perf --dataset random --frequency-penalty 0.1 --extra-args '{"ignore_eos": true}'"""
    assert '--extra-body {"ignore_eos": true, "frequency_penalty": 0.1}' in ours(line)
    assert "--no-ignore-eos" not in ours(line)
    assert "--extra-args" in told(line.replace("true}", "]"), Kind.REFUSED)


def test_sampling_of_mindie_stays_json() -> None:
    line = """benchmark --TestType client --DatasetType synthetic --Tokenizer true --DoSampling true
        --SamplingParams '{"top_k": 10, "watermark": true, "stop": ["it'\"'\"'s"]}'""".replace("\n", " ")
    assert '--extra-body {"top_k": 10, "watermark": true, "stop": ["it\'s"]}' in ours(line)
    assert "--Tokenizer" not in told(line, Kind.REFUSED)


@pytest.mark.parametrize("number", ["inf", "nan", "many"])
def test_a_warm_up_of_evalscope_that_is_no_number_does_not_break_it(number: str) -> None:
    assert f"--warmup {0 if number == 'many' else number}" in ours(f"evalscope perf --warmup-num {number}")


def test_what_a_container_is_told_to_run_is_translated() -> None:
    found = one("docker exec -it c1 python3 -m sglang.bench_serving --num-prompts 3")
    assert found.tool == "sglang.bench_serving"
    assert "docker exec -it c1" in " ".join(remark.text for remark in found.remarks)
    assert not one("docker run image nvidia-smi").argv


@pytest.mark.parametrize(
    ("flags", "is_told"),
    [("", True), ("--backend openai-chat", False), ("--repetition-penalty 1", False),
     ("""--extra-body '{"repetition_penalty": 1.0}'""", False)],
)  # fmt: skip
def test_the_penalty_that_vllm_sends_unasked_is_told(flags: str, is_told: bool) -> None:
    remarks = one(f"vllm bench serve --model m {flags}").remarks
    assert any(r.kind is Kind.DIFFERS and "repetition_penalty 1.0" in r.text for r in remarks) is is_told


def test_the_limit_of_vllm_alone_is_a_closed_loop() -> None:
    line = ours("vllm bench serve --model m --max-concurrency 8 --burstiness 2")
    assert "--max-concurrency 8" in line
    assert "--request-rate" not in line
    assert "--burstiness" not in line


def test_lengths_that_vllm_obeys_for_another_data_set_are_left_out() -> None:
    line = "vllm bench serve --dataset-name sharegpt --dataset-path f.json --random-output-len 99"
    assert "99" not in ours(line)
    assert "obeyed for the data set random only" in told(line, Kind.LEFT_OUT)["--random-output-len"]


def test_no_stream_of_vllm_is_about_its_data_set() -> None:
    assert "--no-stream" not in ours("vllm bench serve --no-stream")


def test_the_ratio_of_lengths_means_two_things() -> None:
    assert "--range-ratio 0.2 --range-ratio-as vllm" in ours("vllm bench serve --random-range-ratio 0.2")
    assert "--range-ratio 0.2 --range-ratio-as sglang" in ours(
        "python -m sglang.bench_serving --dataset-name random --random-range-ratio 0.2"
    )
    assert "--range-ratio 0 --range-ratio-as sglang" in ours("sglang.bench_serving --dataset-name random")


def test_beginnings_of_names_are_names_and_underscores_are_dashes() -> None:
    line = "python -m sglang.bench_serving --dataset-name random --num-prompt 10 --random-input 7 --random_output_len 9"
    assert "--num-prompts 10 " in ours(line)
    assert "--input-len 7 --output-len 9" in ours(line)


def test_sampling_without_a_flag_goes_into_the_body() -> None:
    line = """vllm bench serve --min-p 0.1 --repetition-penalty 1.2 --extra-body '{"a": 1}'"""
    assert ours(line).endswith('--extra-body {"a": 1, "repetition_penalty": 1.2, "min_p": 0.1}')


def test_sglang_ignores_the_end_and_samples_greedily() -> None:
    line = ours("sglang.bench_serving --dataset-path f.json")
    assert line.startswith("run --url http://127.0.0.1:30000 --backend sglang")
    assert line.endswith("--sharegpt-min-input 2 --sharegpt-min-output 2 --sharegpt-max-input 0 --sharegpt-max-total 0 "
                         "--temperature 0 --ignore-eos")  # fmt: skip


def test_shared_prefixes_of_sglang_are_counted_by_group() -> None:
    line = ours("sglang.bench_serving --dataset-name generated-shared-prefix --gsp-num-groups 4")
    assert "--num-prompts 64 " in line
    assert "--input-len 2176 --output-len 256" in line
    assert "--prefix-len 2048 --prefix-groups 4" in line


def test_evalscope_pairs_its_lists_and_asks_questions() -> None:
    line = "evalscope perf --url http://h:1/v1/chat/completions --model q --parallel 1 10 --number 10 100"
    assert ours(line) == (
        "run --url http://h:1/v1/chat/completions --model q --max-concurrency 1 10 --num-prompts 10 100 --warmup 0 "
        "--pause 5 --dataset openqa --dataset-path $DATASET --max-tokens 2048 --temperature 0"
    )
    assert one(line).variables == ("DATASET",)


def test_evalscope_lets_random_answers_end() -> None:
    lengths = "--dataset random --min-prompt-length 10 --max-prompt-length 20 --max-tokens 5 9"
    line = ours(f"evalscope perf {lengths} --open-loop --rate 2 --number 7")
    assert "--request-rate 2 --num-prompts 7" in line
    assert "--max-concurrency" not in line
    assert "--input-dist uniform:min=10,max=20 --output-dist uniform:min=5,max=9" in line
    assert line.endswith("--no-ignore-eos")


def test_evalscope_searches_with_its_limits() -> None:
    line = ours(
        "evalscope perf --url http://h:1 --sla-auto-tune --sla-variable rate --number 9 --dataset-path f.jsonl "
        """--sla-params '[{"p99_ttft": "<=2s"}]'"""
    )
    assert line.startswith("search --url http://h:1")
    assert "--search request-rate" in line
    assert "--slo p99_ttft<=2s failed<=0" in line


def test_the_speed_test_of_evalscope_is_a_verb() -> None:
    line = ours(
        "CUDA_VISIBLE_DEVICES=0 evalscope perf --model m --api local_vllm --dataset speed_benchmark --max-tokens 64"
    )
    assert line == "speed m --engine vllm --input-len 1 6144 14336 30720 --generate-len 64"


def test_aiperf_crosses_its_lists_and_does_not_stream() -> None:
    line = "aiperf profile -m m -u h:8000 --concurrency 4,8 --isl 100 --osl 20,30 --goodput time_to_first_token:100"
    assert ours(line) == (
        "run --url http://h:8000 --backend openai-chat --model m --max-concurrency 4 8 --num-prompts 10 16 "
        "--pair matrix --warmup 0 --dataset random --input-len 100 --output-len 20 30 --slo ttft:100 "
        "--no-stream --no-ignore-eos"
    )
    assert "no TTFT" in told(line, Kind.DIFFERS)["--no-stream"]


def test_two_lists_of_the_same_kind_are_written_out_as_pairs() -> None:
    line = ours(
        "aiperf profile -m m --streaming --concurrency 4 --isl 1,2 --osl 3,4 --extra-inputs ignore_eos:true"
    )
    assert "--input-len 1 1 2 2 --output-len 3 4 3 4" in line


def test_arrivals_of_aiperf() -> None:
    assert "--request-rate 5 --burstiness inf" in ours(
        "aiperf profile --request-rate 5 --arrival-pattern constant"
    )
    assert "--request-rate 5 --burstiness 3" in ours(
        "aiperf profile --request-rate 5 --arrival-pattern gamma --arrival-smoothness 3"
    )
    traced = ours("aiperf profile --input-file t.jsonl --custom-dataset-type mooncake_trace --request-rate 5")
    assert "--dataset mooncake --dataset-path t.jsonl" in traced
    assert "--request-rate" not in traced


def test_guidellm_in_both_of_its_languages() -> None:
    run = (
        "guidellm run --profile kind=poisson,rate=5 --backend kind=openai_http,target=http://h:1,model=m "
        "--constraint kind=max_requests,count=50 --tokenizer kind=hf_auto,model=/t "
        "--data kind=synthetic_text,prompt_tokens=256,output_tokens=64,output_tokens_stdev=8"
    )
    assert ours(run) == (
        "run --url http://h:1 --backend openai-chat --model m --request-rate 5 --num-prompts 50 --warmup 0 "
        "--dataset random --input-len 256 --output-dist normal:mean=64,std=8 --tokenizer /t --ignore-eos"
    )
    benchmark = (
        "guidellm benchmark --target http://h:1 --rate-type constant --rate 1,2 --max-seconds 30 "
        '--data "prompt_tokens=256,output_tokens=64"'
    )
    assert "--request-rate 1 2 --burstiness inf --duration 30" in ours(benchmark)
    assert ours("guidellm benchmark --target http://h:1 --data 'prompt_tokens=8,output_tokens=8'").startswith(
        "search "
    )


def test_genai_bench_has_pairs_of_lengths_and_minutes() -> None:
    line = ours(
        "genai-bench benchmark --api-backend openai --api-base http://h:1 --api-model-name m --num-concurrency 4 "
        "--num-concurrency 8 --traffic-scenario 'D(256,64)' --traffic-scenario 'D(16,8)' --max-time-per-run 10 "
        "--max-requests-per-run 50 --model-tokenizer /t"
    )
    assert line == (
        "run --url http://h:1 --backend openai-chat --model m --max-concurrency 4 8 --num-prompts 50 --duration 10m "
        "--pair matrix --warmup 0 --dataset random --input-len 256 16 --output-len 64 8 --tokenizer /t --temperature 0 "
        "--no-ignore-eos"
    )


def test_mindie_sends_at_even_gaps() -> None:
    line = ours(
        "benchmark --DatasetType synthetic --ModelName q --Http http://h:1 --RequestRate 2,4 "
        "--SyntheticConfigPath c.json"
    )
    assert "--request-rate 2,4 --burstiness inf" in line
    assert "--backend mindie" in line
    assert "--max-concurrency 128" in line


def test_what_stands_in_files_of_ais_bench_becomes_variables() -> None:
    found = one("ais_bench --models vllm_api_general --datasets gsm8k_gen --mode perf")
    assert found.variables == ("URL", "CONCURRENCY", "DATASET", "MAX_OUT_LEN")
    assert "--backend openai-completions" in " ".join(found.argv)
    assert "--no-stream" in found.argv


def test_two_scripts_of_one_name_are_told_apart() -> None:
    guide = (
        "benchmark_serving.py --backend vllm --dataset f.json --dataset-type alpaca --max-prompt-tokens 900"
    )
    assert one(guide).tool == "benchmark_serving.py (Ascend guide)"
    assert (
        one("benchmark_serving.py --backend vllm --dataset-name random").tool == "benchmark_serving.py (vLLM)"
    )


def test_a_flag_that_nobody_knows_is_told_and_left_out() -> None:
    line = "vllm bench serve --model m --warp-factor 9"
    assert "9" not in one(line).argv
    assert "--warp-factor" in told(line, Kind.UNKNOWN)


def test_a_refused_flag_says_what_to_use() -> None:
    line = "vllm bench serve --profile --use-beam-search"
    assert set(told(line, Kind.REFUSED)) == {"--profile", "--use-beam-search"}


def test_the_length_of_batches_is_measured_by_speed() -> None:
    assert ours("vllm bench latency --model m --batch-size 4") == (
        "speed m --engine vllm --input-len 32 --generate-len 128 --repeats 30 --warmup 10 --batch-size 4"
    )


def test_a_tokenizer_on_a_hub_has_to_be_a_file_here() -> None:
    found = one("vllm bench serve --tokenizer Qwen/Qwen2.5-7B")
    assert "--tokenizer $TOKENIZER" in " ".join(found.argv)
    assert "TOKENIZER" in found.variables
    assert "--tokenizer /models/q" in ours("vllm bench serve --tokenizer /models/q")


def test_a_text_without_a_command() -> None:
    with pytest.raises(UsageError, match="no command"):
        convert("# nothing\n")


def test_every_name_of_a_table_has_a_meaning_here() -> None:
    flags = {name for option in options().values() for name in (option.flag, "--no-" + option.flag[2:])}
    of_qwen = "model_id_or_path context_length generate_length gpus use_modelscope outputs_dir max_model_len"
    speed = {"--" + name for name in (*of_qwen.split(), "gpu_memory_utilization", "enforce_eager")}
    for tool in tools():
        assert not tool.shared & tool.own.keys(), tool.title
        if tool.verb == "run":
            strange = tool.shared - flags - ALIASES.keys() - {"--host", "--port"}
            assert not strange, f"{tool.title}: {strange}"
        elif tool.verb == "speed":
            assert tool.shared <= speed


@pytest.mark.parametrize("tool", tools(), ids=lambda tool: tool.title)
def test_no_name_gets_lost(tool: Tool) -> None:
    bare = one(tool.begins[0])
    lost: list[str] = []
    for name in sorted(tool.names):
        try:
            found = one(f"{tool.begins[0]} {name} 2")
        except UsageError as error:
            assert error.next_step  # noqa: PT017 - a value without a meaning may be refused, with what to write
            continue
        if (found.argv, found.remarks) == (bare.argv, bare.remarks):
            lost.append(name)
    assert not lost


@pytest.mark.parametrize("value", ["", "a=b", "1,2", '\'{"kind": "x"}\''])
@pytest.mark.parametrize(
    "name", ["--profile", "--rate", "--data", "--rampup", "--max-errors", "--backend-args", "--warmup"]
)
def test_values_that_mean_nothing_do_not_break_it(name: str, value: str) -> None:
    assert one(f"guidellm benchmark {name} {value}").argv


def test_the_tools_are_a_registry_that_packages_can_add_to() -> None:
    assert "vllm" in TOOLS.names()
    with pytest.raises(UsageError, match="unknown load test"):
        TOOLS.get("vlm")
