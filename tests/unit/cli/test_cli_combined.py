import shlex

import pytest

from inferometer.cli.parse import parse_run
from inferometer.errors import UsageError
from inferometer.spec import merge


def spec_of(line):
    return merge([parse_run(shlex.split(line)).flags]).spec


def refusal(line):
    with pytest.raises(UsageError) as error:
        parse_run(shlex.split(line))
    return str(error.value)


@pytest.mark.parametrize(
    "name", ["--random-prefix-len", "--prefix-length", "--prefix-prompt-length", "--gsp-system-prompt-len"]
)
def test_a_prefix_that_peers_add_is_part_of_the_prompt_here(name):
    spec = spec_of(f"--random-input-len 512 1024 {name} 128")
    assert (spec.workload.input_len, spec.prefix.prefix_len) == ((640, 1152), 128)


def test_before_the_prompts_of_a_file_a_prefix_is_the_same_thing():
    spec = spec_of("--dataset-name sharegpt --dataset-path f --random-prefix-len 128")
    assert (spec.workload.input_len, spec.prefix.prefix_len) == ((512,), 128)


def test_a_prefix_of_no_length_is_none():
    assert spec_of("--random-prefix-len 0").prefix.prefix_len == 0


def test_a_prefix_added_to_an_unknown_length_is_refused():
    assert "--input-len N" in refusal("--random-prefix-len 128")
    assert "drawn" in refusal(
        "--random-prefix-len 8 --random-input-len 9 --random-range-ratio 0.1 --range-ratio-as vllm"
    )


def test_a_prefix_before_lengths_that_are_drawn_moves_all_of_them():
    spec = spec_of(
        "--random-prefix-len 8 --random-input-len 100 --random-output-len 20 --random-range-ratio 0.5 "
        "--range-ratio-as vllm"
    )
    assert (spec.workload.input_dist, spec.workload.output_dist) == (
        "uniform:min=58,max=158",
        "uniform:min=10,max=30",
    )
    assert (spec.prefix.prefix_len, spec.workload.range_ratio) == (8, None)
    spec = spec_of("--isl 100 --isl-stddev 10 --prefix-prompt-length 30")
    assert spec.workload.input_dist == "normal:mean=130,std=10,min=31"
    assert "zipf" in refusal("--input-dist zipf:alpha=1,max=9 --prefix-prompt-length 30")


def test_a_line_of_sglang_with_groups():
    spec = spec_of(
        "--dataset-name generated-shared-prefix --gsp-num-groups 8 --gsp-prompts-per-group 16 "
        "--gsp-system-prompt-len 2048 --gsp-question-len 128 --gsp-output-len 64"
    )
    assert spec.workload.dataset == "random"
    assert (spec.workload.input_len, spec.workload.output_len) == ((2176,), (64,))
    assert (spec.prefix.prefix_len, spec.prefix.prefix_groups, spec.load.num_prompts) == (2048, 8, (128,))


def test_a_line_of_vllm_with_repeated_prefixes():
    spec = spec_of(
        "--dataset-name prefix_repetition --prefix-repetition-prefix-len 256 --prefix-repetition-suffix-len 64 "
        "--prefix-repetition-num-prefixes 5 --prefix-repetition-output-len 32 --num-prompts 100"
    )
    assert (spec.workload.input_len, spec.workload.output_len) == ((320,), (32,))
    assert (spec.prefix.prefix_len, spec.prefix.prefix_groups) == (256, 5)


def test_requests_by_group_need_the_groups():
    for words in ("16", "16 --gsp-num-groups", "--gsp-num-groups 4", "² --gsp-num-groups 4"):
        assert "--gsp-num-groups" in refusal(f"--gsp-prompts-per-group {words}")


def test_a_range_is_taken_when_its_meaning_is_said():
    assert "--range-ratio-as sglang" in refusal("--random-range-ratio 0.5")
    spec = spec_of("--random-range-ratio 0.5 --range-ratio-as sglang --random-input-len 1024")
    assert (spec.workload.range_ratio, spec.workload.range_ratio_as) == (0.5, "sglang")
    assert spec_of("--range-ratio 0.5").workload.range_ratio_as == "vllm"


def test_mean_and_deviation_of_aiperf_are_one_distribution():
    spec = spec_of("--isl 512 --isl-stddev 50 --osl 128 --osl-stddev 0")
    assert spec.workload.input_dist == "normal:mean=512,std=50"
    assert spec.workload.output_dist is None
    assert (spec.workload.input_len, spec.workload.output_len) == ((512,), (128,))
    assert "one mean" in refusal("--isl-stddev 50")


def test_scenarios_and_synthetic_configurations_are_lengths():
    assert spec_of("--traffic-scenario 'N(480,240)/(300,150)'").workload.lengths == "N(480,240)/(300,150)"
    assert spec_of("--SyntheticConfigPath ./s.json").workload.lengths == "./s.json"
