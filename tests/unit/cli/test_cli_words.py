"""From a command line in anybody's words to a spec."""

import shlex

import pytest

from inferometer.cli.parse import parse_run, run_parser
from inferometer.cli.pasted import refuse_pasted, without_invisible
from inferometer.errors import UsageError
from inferometer.exchange.compat.aliases import ALIASES, Rename
from inferometer.exchange.compat.translate import translate
from inferometer.spec import merge


def spec_of(line):
    return merge([parse_run(shlex.split(line)).flags]).spec


@pytest.mark.parametrize(
    "line",
    ["--parallel 1 10 50", "--parallel 1,10,50", "--parallel 1 --parallel 10,50", "--parallel=1 10 50"],
)
def test_lists(line):
    assert spec_of(line).load.max_concurrency == (1, 10, 50)


def test_a_line_of_vllm():
    spec = spec_of(
        "--backend vllm --base-url http://h:8000 --model m --dataset-name random --random-input-len 256 "
        "--random-output-len 64 --num-prompts 500 --request-rate inf --burstiness 1.0 --max-concurrency 64 "
        "--ignore-eos --save-result "
        "--save-detailed --goodput ttft:200 tpot:50 --percentile-metrics ttft,tpot --metric-percentiles 50,99"
        " --trust-remote-code"
        " --metadata gpu=H200 --extra-body '{\"top_k\": 1}' --disable-tqdm --num-warmups 2 --random-prefix-len 0"
    )
    assert spec.endpoint.backend == "vllm"
    assert (spec.workload.input_len, spec.workload.output_len) == ((256,), (64,))
    assert spec.measure.slo == ("ttft:200", "tpot:50")
    assert spec.measure.percentiles == (50, 99)
    assert spec.output.label == ("gpu=H200",)
    assert (spec.output.ui, spec.load.warmup, spec.sampling.ignore_eos) == ("none", 2, True)


def test_a_ramp_of_vllm():
    shape = spec_of(
        "--ramp-up-strategy exponential --ramp-up-start-rps 2 --ramp-up-end-rps 40 --num-prompts 500"
    )
    assert (shape.shape.ramp, shape.shape.ramp_from, shape.shape.ramp_time_s) == ("exponential", 2.0, None)
    assert (shape.load.request_rate, shape.load.num_prompts) == ((40.0,), (500,))


def test_shapes_of_other_peers():
    assert spec_of("--concurrency 8 --concurrency-ramp-duration 30").shape.ramp_time_s == 30.0
    assert spec_of("--rate 8 --rampup 30 --detect-saturation").shape.stop_on_saturation
    assert spec_of("--parallel-num 64 --growth-rate 4").shape.climb == 4.0


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("--request-cancellation-rate 10", "--cancel-share"),
        ("--RequestNum 4 --rate 3", "--burst"),
        ("--climbing-period 1000", "--climb-every"),
        ("--max-errors 5", "--stop-on-errors"),
    ],
)
def test_shapes_that_mean_another_thing_elsewhere(line, instead):
    with pytest.raises(UsageError) as caught:
        spec_of(line)
    assert instead in caught.value.next_step


def test_a_line_of_evalscope():
    spec = spec_of(
        "--url http://127.0.0.1:8801/v1/completions --parallel 1 10 --number 10 100 --api openai --rate -1"
        " --tokenizer-path /t --headers X-A=b --extra-args '{\"ignore_eos\": true}' --outputs-dir o "
        "--warmup-num 3 --stream"
    )
    assert (spec.endpoint.url, spec.endpoint.backend) == ("http://127.0.0.1:8801", "openai-completions")
    assert spec.load.num_prompts == (10, 100)
    assert spec.load.request_rate == (float("inf"),)
    assert spec.endpoint.header == ("X-A: b",)


def test_a_line_of_aiperf():
    spec = spec_of(
        "-m m -u http://h:8000 --endpoint-type chat --streaming --concurrency 10,20 --request-count 100 "
        "--isl 512 --osl 128 --isl-stddev 0 --extra-inputs ignore_eos:true --extra-inputs min_tokens:5 "
        "--ui-type simple -H 'X-A: b'"
    )
    assert spec.endpoint.backend == "openai-chat"
    assert spec.load.max_concurrency == (10, 20)
    assert spec.sampling.extra_body == {"ignore_eos": True, "min_tokens": 5}
    assert spec.output.ui == "plain"


def test_host_and_port():
    assert spec_of("--host ::1 --port 30000").endpoint.url == "http://[::1]:30000"
    assert spec_of("--port 8000").endpoint.url == "http://127.0.0.1:8000"
    for line in ("--host h", "--host h --port 1 --url http://h"):
        with pytest.raises(UsageError):
            parse_run(shlex.split(line))


@pytest.mark.parametrize(
    ("line", "backend"),
    [
        ("--backend openai", "openai-completions"),
        ("--backend openai-chat", "openai-chat"),
        ("--backend sglang", "sglang"),
        ("--backend trt", "trtllm"),
        ("--api openai", "openai-chat"),
        ("--api-backend openai", "openai-chat"),
        ("--llm-api openai", "openai-chat"),
        ("--endpoint-type completions", "openai-completions"),
    ],
)
def test_the_same_word_means_what_the_tool_that_has_the_flag_means(line, backend):
    assert spec_of(line).endpoint.backend == backend


@pytest.mark.parametrize(
    "line",
    [
        "--random-range-ratio 0.5",
        "--dataset-name sharegpt --random-output-len 8",
        "--sharegpt-output-len 8 --dataset random",
        "--ready-check-timeout-sec 60",
        "--profile",
        "--backend truss",
        "--api local_vllm",
        "--rate-type sweep",
        "--random-prefix-len 32",
        "--max-time-per-run 5",
        "--result-filename x.json",
        "--data 'prompt_tokens=8'",
    ],
)
def test_names_that_would_mean_something_else_are_refused(line):
    with pytest.raises(UsageError) as error:
        parse_run(shlex.split(line))
    assert error.value.next_step


def test_a_length_beside_its_own_data_set_is_taken():
    spec = spec_of(
        "--dataset-name sharegpt --sharegpt-output-len 8 --dataset-path f --ready-check-timeout-sec 0"
    )
    assert spec.workload.output_len == (8,)


def test_two_names_of_one_flag_must_agree():
    assert spec_of("--request-count 5 --num-prompts 5").load.num_prompts == (5, 5)
    with pytest.raises(UsageError, match="rows of the data set"):
        parse_run(shlex.split("--request-count 5 --num-prompts 50"))


def test_each_name_gets_one_hint_and_is_the_origin():
    asked = parse_run(shlex.split("--parallel 1 --url http://h --disable-ignore-eos"))
    assert asked.hints == [
        "--parallel is --max-concurrency here",
        "--disable-ignore-eos is --no-ignore-eos here",
    ]
    assert asked.flags.origins["load.max_concurrency"] == "flag --parallel"
    assert asked.flags.origins["sampling.ignore_eos"] == "flag --disable-ignore-eos"
    assert asked.flags.origins["endpoint.url"] == "flag --url"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--max-concurency 4", "did you mean --max-concurrency?"),
        ("--paralel 4", "(which is --max-concurrency)"),
        ("--url", "expected one argument"),
        ("http://h", "unexpected argument 'http://h'"),
        ("--seed 1 2", "unexpected argument '2'"),
        ("--url=http://h --conc 4", "unknown flag --conc"),
    ],
)
def test_what_cannot_be_parsed(line, words):
    with pytest.raises(UsageError) as error:
        parse_run(shlex.split(line))
    assert words in str(error.value)


def test_values_that_begin_with_a_dash():
    assert spec_of("--top-k -1 --api-key=-x").sampling.top_k == -1


def test_no_alias_hides_a_flag_of_ours_and_each_leads_to_one():
    ours = {flag for action in run_parser()._actions for flag in action.option_strings}
    for name, alias in ALIASES.items():
        assert name not in ours or (isinstance(alias, Rename) and alias.flag == name)
        if isinstance(alias, Rename):
            assert alias.flag in ours


def test_our_own_words_pass_through_unchanged():
    words = ["--url", "http://h", "--request-rate", "1", "2", "--no-stream", "-c", "run.yaml"]
    found = translate(words)
    assert (found.argv(), found.hints, found.spelled) == (words, [], {})


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["run", "—url", "http://h"], "inferometer run --url http://h"),
        (["run", "–parallel", "4"], "inferometer run --parallel 4"),
        (["run", "‑‑max‑concurrency", "4"], "inferometer run --max-concurrency 4"),
        (["run", "－－parallel", "１０"], "inferometer run --parallel 10"),
        (["run", "--parallel\u00a04"], "inferometer run --parallel 4"),
        (["run", "--parallel", "1，10"], "inferometer run --parallel 1,10"),
        (["run", "--url", "http：//h"], "inferometer run --url http://h"),
        (["run", "--url=“http://h”"], "inferometer run --url=http://h"),
        (["run", "--label", "“two", "words”"], "inferometer run --label 'two words'"),
        (["run", "--rate", "−1"], "inferometer run --rate -1"),
        (["run", "—api-key", "planted"], "inferometer run --api-key ***"),
    ],
)
def test_what_was_pasted_from_a_web_page_is_explained(argv, meant):
    with pytest.raises(UsageError) as error:
        refuse_pasted(argv)
    assert error.value.next_step == f"did you mean:\n  {meant}"
    assert "planted" not in str(error.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["run", "--label", "中文，标签"],
        ["run", "--stop", "。"],
        ["run", "--dataset-path", "数据 集/é—x.json"],
        ["run", "-c", "a.yaml"],
        ["run", "--extra-body", '{"system": "don’t"}'],
        ["run", "--slo", "p99_ttft<=200ms"],
    ],
)
def test_signs_that_may_be_meant_are_left_alone(argv):
    refuse_pasted(argv)  # does not raise
    assert without_invisible(argv) == (argv, False)


def test_invisible_signs_at_the_edges_are_harmless():
    assert without_invisible(["run", "\u00a0", "--url\u200b", "http://h\u3000"]) == (
        ["run", "--url", "http://h"],
        True,
    )
    assert without_invisible(["run", ""]) == (["run", ""], False)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--dataset-name custom --custom-output-len 64", "--dataset custom --output-len 64"),
        ("--dataset-name custom --custom-output-len -1", "--dataset custom"),
        (
            "--dataset-name spec_bench --spec-bench-category coding --spec-bench-output-len 9",
            "--dataset specbench --category coding --output-len 9",
        ),
        ("--dataset line_by_line", "--dataset line"),
        ("--dataset-name custom --custom-skip-chat-template", "--dataset custom"),
    ],
)
def test_data_set_files_of_other_tools(theirs, ours):
    assert translate(theirs.split()).argv() == ours.split()


@pytest.mark.parametrize(
    ("line", "urls"),
    [
        ("--host a,b --port 8000,8001", ["http://a:8000", "http://b:8001"]),
        ("--host a b --port 8000", ["http://a:8000", "http://b:8000"]),
        ("--port 1,2,3", ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]),
    ],
)
def test_several_hosts_are_servers_that_take_turns(line: str, urls: list[str]) -> None:
    endpoint = spec_of(line).endpoint
    assert [endpoint.url, *endpoint.more_url] == urls


def test_hosts_and_ports_pair_up() -> None:
    with pytest.raises(UsageError, match="--host names 2 servers and --port 3"):
        spec_of("--host a,b --port 1,2,3")
