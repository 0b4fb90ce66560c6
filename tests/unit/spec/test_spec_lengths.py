import json
import math

import pytest

from inferometer.errors import DataError, InferometerError, UsageError
from inferometer.spec import Endpoint, Load, Prefix, RunSpec, Sampling, Sessions, Workload, load_points
from inferometer.spec.lengths import (
    Fixed,
    LogNormal,
    Normal,
    Uniform,
    Zipf,
    around,
    length_plan,
    parse_dist,
    parse_lengths,
)

MINDIE = {
    "Input": {"Method": "uniform", "Params": {"MinValue": 256, "MaxValue": 256}},
    "Output": {"Method": "gaussian", "Params": {"Mean": 100, "Var": 200, "MinValue": 256, "MaxValue": 256}},
    "RequestCount": 500,
}


def points_of(**parts):
    return load_points(RunSpec(endpoint=Endpoint(url="http://h"), **parts))


def refusal(**parts):
    with pytest.raises(UsageError) as error:
        points_of(**parts)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "dist"),
    [
        ("512", Fixed(512)),
        ("fixed:512", Fixed(512)),
        ("uniform:min=100,max=200", Uniform(100, 200)),
        ("normal:mean=1800,std=500,min=100,max=3600", Normal(1800, 500, 100, 3600)),
        ("normal: mean=10, var=25", Normal(10, 5)),
        ("lognormal:median=300,sigma=0.5,max=4000", LogNormal(300, 0.5, 1, 4000)),
        ("zipf:alpha=1.5,min=16,max=4096", Zipf(1.5, 16, 4096)),
    ],
)
def test_distributions(text, dist):
    assert parse_dist("--input-dist", text) == dist


def test_a_lognormal_by_its_moments_has_the_median_that_follows():
    dist = parse_dist("--input-dist", "lognormal:mean=300,std=300")
    assert math.isclose(dist.sigma**2, math.log(2))
    assert math.isclose(dist.median, 300 / math.sqrt(2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gauss:mean=1", "no such distribution"),
        ("normal:mean=1", "std is missing"),
        ("normal:mean=1,std=1,var=1", "the same thing twice"),
        ("normal:mean=1,std=-1", "no number from 0 on"),
        ("normal:mean=1,std=1,median=3", "median means nothing here"),
        ("normal:mean=1,std=1,std=2", "std is given twice"),
        ("normal:mean", "not key=value"),
        ("uniform:min=5,max=4", "min 5 is above max 4"),
        ("uniform:min=5", "max is missing"),
        ("uniform:min=0,max=4", "no whole number from 1"),
        ("zipf:alpha=2", "max is missing"),
        ("fixed:x", "no whole number"),
    ],
)
def test_distributions_that_cannot_be(text, words):
    with pytest.raises(UsageError, match=words) as error:
        parse_dist("--input-dist", text)
    assert str(error.value).startswith(f"--input-dist {text!r}")
    assert error.value.next_step.startswith("write ")


def test_scenarios_of_genai_bench():
    assert parse_lengths("D(100,1000)").input == Fixed(100)
    assert parse_lengths("D(100,1000)").output == Fixed(1000)
    assert parse_lengths("N(480,240)/(300,150)").input == Normal(480, 240)
    assert parse_lengths("U(50,100)/(200,250)").output == Uniform(200, 250)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("E(1024)", "no scenario of prompts and answers"),
        ("U(100,50)/(1,2)", "100 is above 50"),
        ("D(0,5)", "no whole number from 1"),
        ("none.csv", "neither a scenario nor a file"),
    ],
)
def test_text_that_is_no_scenario(text, words):
    with pytest.raises(UsageError, match=words):
        parse_lengths(text)


def test_pairs_of_a_csv(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("input,output\n10,20\n\n 30 , 40 \n")
    plan = parse_lengths(str(path))
    assert (plan.pairs, plan.shortest_input) == (((10, 20), (30, 40)), 10)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("10,20\n5\n", "line 2: 1 columns"),
        ("10,20\n5,x\n", "line 2: a length 'x' is no whole number"),
        ("0,20\n", "line 1: a length '0'"),
        ("a,b\n", "holds no pair"),
    ],
)
def test_a_csv_that_cannot_be_used(tmp_path, content, words):
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        parse_lengths(str(tmp_path / "pairs.csv"))


def mindie_file(tmp_path, **changes):
    path = tmp_path / "synthetic_config.json"
    path.write_text(json.dumps(MINDIE | changes))
    return str(path)


def test_a_synthetic_config_is_read_as_it_is(tmp_path):
    plan = parse_lengths(mindie_file(tmp_path))
    assert plan.input == Uniform(256, 256)
    assert plan.output == Normal(100, math.sqrt(200), 256, 256, cut=True)
    assert plan.requests == 500
    assert plan.notes == ("lengths: Output Mean 100 lies outside MinValue 256 to MaxValue 256",)


def test_the_largest_value_of_mindies_uniform_is_not_drawn(tmp_path):
    side = {"Method": "uniform", "Params": {"MinValue": 10, "MaxValue": 20}}
    assert parse_lengths(mindie_file(tmp_path, Input=side)).input == Uniform(10, 19)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Input": {"Method": "poisson", "Params": {"MinValue": 1, "MaxValue": 2}}}, "Method 'poisson'"),
        ({"Input": {"Method": "uniform", "Params": {"MinValue": 1}}}, "MaxValue is missing"),
        ({"Input": {"Method": "uniform", "Params": {"MinValue": 3, "MaxValue": 2}}}, "MinValue 3 is above"),
        (
            {"Input": {"Method": "zipf", "Params": {"Alpha": 1, "MinValue": 1, "MaxValue": 2}}},
            "Alpha 1 is not",
        ),
        ({"Input": 5}, "synthetic_config.json: "),
        ({"RequestCount": -1}, "RequestCount -1"),
    ],
)
def test_a_synthetic_config_that_cannot_be_used(tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        parse_lengths(mindie_file(tmp_path, **change))


def test_a_range_means_what_the_tool_means():
    assert around(1000, 0.25, "vllm") == Uniform(750, 1250)
    assert around(1000, 0.25, "sglang") == Uniform(250, 1000)
    assert around(3, 0.9, "vllm") == Uniform(1, 6)
    assert around(3, 0.0, "sglang") == Uniform(1, 3)


def test_the_count_of_a_file_is_that_of_the_load_unless_another_is_given(tmp_path):
    data = Workload(lengths=mindie_file(tmp_path))
    (point,) = points_of(workload=data, load=Load(max_concurrency=100))
    assert (point.num_prompts, point.input_len, point.output_len) == (500, None, None)
    (point,) = points_of(workload=data, load=Load(max_concurrency=100, num_prompts=7))
    assert point.num_prompts == 7


def test_a_sweep_keeps_its_lengths_where_one_side_is_drawn():
    data = Workload(input_len=(128, 256), output_dist="uniform:min=1,max=9")
    points = points_of(workload=data, load=Load(max_concurrency=4))
    assert [(point.input_len, point.output_len) for point in points] == [(128, None), (256, None)]
    assert length_plan(data, 128, None).output == Uniform(1, 9)


def test_a_range_leaves_the_lengths_of_a_sweep_to_the_points():
    data = Workload(input_len=(128, 256), output_len=(64,), range_ratio=0.5)
    points = points_of(workload=data, load=Load(max_concurrency=4))
    assert [point.input_len for point in points] == [128, 256]
    assert length_plan(data, 256, 64).input == Uniform(128, 384)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"workload": Workload(lengths="D(1,2)", input_len=9)}, "--lengths and --input-len both set"),
        ({"workload": Workload(lengths="D(1,2)", output_dist="9")}, "--lengths and --output-dist both"),
        ({"workload": Workload(input_dist="9", input_len=9)}, "--input-dist and --input-len both"),
        ({"workload": Workload(output_dist="9", range_ratio=0.5)}, "--output-dist and --range-ratio both"),
        ({"workload": Workload(range_ratio_as="sglang")}, "that is not given"),
        ({"workload": Workload(range_ratio=1.0)}, "prompts of no token"),
        ({"workload": Workload(input_dist="normal:mean=3")}, "std is missing"),
        (
            {"workload": Workload(lengths="D(1,2)"), "sampling": Sampling(max_tokens=9)},
            "--max-tokens 9 would",
        ),
        ({"workload": Workload(text="token-ids")}, "an estimate without one"),
        (
            {"workload": Workload(input_dist="9"), "sessions": Sessions(turns=2, turn_input_len=4)},
            "--turn-input-len fixes",
        ),
        ({"prefix": Prefix(prefix_groups=4)}, "no prompt shares a prefix"),
        ({"prefix": Prefix(prefix_len=1)}, "--prefix-len 1 is below 2"),
        ({"prefix": Prefix(prefix_len=512)}, "leaves nothing of a prompt of 512 tokens"),
        (
            {"prefix": Prefix(prefix_len=9), "workload": Workload(input_dist="normal:mean=90,std=9")},
            "leaves nothing of a prompt of 1 tokens",
        ),
        ({"prefix": Prefix(prefix_len=9, prefix_zipf=2.0)}, "--prefix-zipf is for"),
        (
            {"prefix": Prefix(prefix_len=9), "workload": Workload(dataset="mooncake", dataset_path=__file__)},
            "shares what was recorded as shared",
        ),
    ],
)
def test_contradictions(parts, words):
    assert words in refusal(**parts)


def test_every_trouble_of_a_distribution_is_one_of_ours():
    for text in ("", ":", "normal:mean=nan,std=1", "zipf:alpha=inf,max=3", "uniform:min=1e3,max=2"):
        with pytest.raises(InferometerError):
            parse_dist("--input-dist", text)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("long.csv", "5,6\n1," + "2" * 200_000, "long.csv, line 2: field larger than field limit"),
        ("deep.json", '{"Input": ' + "[" * 100_000, "deep.json is not JSON"),
    ],
)
def test_files_of_lengths_that_no_reader_takes(tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=told):
        parse_lengths(str(tmp_path / name))


def test_a_scenario_whose_deviation_is_no_number_a_computer_has():
    with pytest.raises(UsageError, match="no number from 0 on"):
        parse_lengths(f"N(5,{'9' * 400})/(3,4)")


def test_a_number_of_another_script_is_no_length():
    with pytest.raises(UsageError, match="no such distribution"):
        parse_dist("--input-dist", "²")
