"""Published tests as presets: listed, shown with their origin, and replaced by what is given."""

import io
import shlex
from contextlib import redirect_stderr, redirect_stdout

import pytest

from inferometer import cli
from inferometer.cli.parse import parse_run
from inferometer.cli.presets import flags_of, render_presets
from inferometer.cli.run import merged_from
from inferometer.spec import load_points
from inferometer.spec.presets import PRESETS


def command(*argv):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(list(argv))
    return code, out.getvalue(), err.getvalue()


def asked(tmp_path, name, *flags):
    file = tmp_path / "data.json"
    file.touch()
    data = () if PRESETS[name].needs.find("--dataset-path") < 0 else ("--dataset-path", str(file))
    return merged_from(parse_run(["--url", "http://h", "--preset", name, *data, *flags])).spec


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_load_points_and_is_what_its_flags_are(name, tmp_path):
    spec = asked(tmp_path, name)
    points = load_points(spec)
    assert points
    data = ["--dataset-path", spec.workload.dataset_path] if spec.workload.dataset_path else []
    same = merged_from(parse_run(["--url", "http://h", *data, *shlex.split(flags_of(PRESETS[name]))])).spec
    assert same == spec
    assert load_points(same) == points


def test_the_static_test_is_the_guides_matrix(tmp_path):
    points = load_points(asked(tmp_path, "static"))
    assert [(p.max_concurrency, p.input_len, p.output_len, p.num_prompts) for p in points] == [
        (c, i, 256, 10 * c) for i in (1024, 2048) for c in (1, 2, 4, 8)
    ]
    assert all(point.waves for point in points)
    other = asked(
        tmp_path, "static", "--epochs", "5", "--parallel-num", "1", "4", "8", "16", "32",
        "--prompt-tokens", "1024", "2048", "--output-tokens", "128", "256", "--no-waves",
    )  # fmt: skip
    points = load_points(other)
    assert [(p.max_concurrency, p.input_len, p.output_len, p.num_prompts) for p in points] == [
        (c, i, o, 5 * c) for i, o in ((1024, 128), (2048, 256)) for c in (1, 4, 8, 16, 32)
    ]
    assert not any(point.waves for point in points)


def test_the_dynamic_test_has_the_guides_counts(tmp_path):
    points = load_points(asked(tmp_path, "dynamic"))
    assert [(p.request_rate, p.num_prompts) for p in points] == [
        (0.01, 10), (1, 1000), (2, 1000), (4, 1000), (8, 1000), (10, 1000), (20, 1000)
    ]  # fmt: skip


def test_lmdeploys_lengths_have_its_request_counts(tmp_path):
    points = load_points(asked(tmp_path, "lmdeploy-deepseekv3"))
    assert [(p.output_len, p.num_prompts) for p in points] == [
        (1024, 10000), (2048, 10000), (4096, 10000), (8192, 10000), (16384, 2000), (32768, 2000)
    ]  # fmt: skip
    assert {(p.input_len, p.closed) for p in points} == {(2048, False)}


def test_a_dry_run_says_what_comes_from_the_preset(tmp_path):
    where = ("--url", "http://h", "--out", str(tmp_path))
    code, out, _ = command("run", *where, "--preset", "speed", "--repeat", "1", "--dry-run")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "max_concurrency: [1] # preset speed" in lines
    assert "repeat: 1 # flag --repeat" in lines
    assert "6 load points, 6 requests; ignore_eos on" in lines


def test_the_page_shows_each_with_its_command(tmp_path):
    code, out, _ = command("config", "presets")
    assert code == 0
    for name in PRESETS:
        assert f"inferometer run --preset {name} --url URL" in " ".join(out.split())
    assert max(map(len, render_presets(100).splitlines())) <= 100
    code, _, err = command("run", "--url", "http://h", "--preset", "statik")
    assert code == 2
    assert "did you mean static?" in err


def test_lists_of_a_preset_do_not_outlive_the_lists_they_belong_to(tmp_path):
    shorter = load_points(asked(tmp_path, "lmdeploy-deepseekv3", "--output-len", "64", "128"))
    assert [point.output_len for point in shorter] == [64, 128]
    static = load_points(asked(tmp_path, "static", "--input-len", "512", "--max-concurrency", "1"))
    assert [(point.input_len, point.output_len) for point in static] == [(512, 256)]
    speculative = load_points(asked(tmp_path, "speculative", "--output-len", "256"))
    assert [point.num_prompts for point in speculative] == [80], (
        "made for the whole test, not for its lengths"
    )
    dynamic = load_points(asked(tmp_path, "dynamic", "--output-len", "64"))
    assert [point.num_prompts for point in dynamic] == [10, *[1000] * 6], "made for its rates"


def test_a_dry_run_tells_repeats_apart():
    code, out, err = command(
        "run",
        "--url",
        "http://h",
        "--max-concurrency",
        "2",
        "--num-prompts",
        "4",
        "--repeat",
        "2",
        "--dry-run",
    )
    assert (code, err) == (0, "")
    assert out.count("concurrency 2, repeat 1") == out.count("concurrency 2, repeat 2") == 1
