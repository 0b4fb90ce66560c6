import json

import pytest
from exported import HARDWARE, closed, files, rows, sample, source, strict

from inferometer.exchange.exporting.formats import FORMATS
from inferometer.exchange.exporting.model import Asked, Source

_OPEN = ("genai-bench", "inferencex")  # they list results by concurrency alone


def asked(form: str, *, detailed: bool = True) -> Asked:
    return Asked(detailed=detailed, settings=HARDWARE if form == "inferencex" else {})


def text_of(form: str, of: Source) -> str:
    return "\n".join(f"{name} {body!r}" for name, body in files(form, of).items())


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_files_of_sound_json_and_no_nan_anywhere(form: str) -> None:
    tables = [closed(1, 1, failed=3), closed(2, 4)]
    if form not in _OPEN:
        tables.append(closed(3, None, request_rate=2.5, closed=False))
    made = files(form, source(*tables, asked=asked(form)))
    assert made
    for name, content in made.items():
        if name.endswith(".json"):
            strict(content)
        elif name.endswith(".jsonl"):
            assert all(strict(line) for line in content.splitlines())
        if not name.endswith(".db"):
            assert b"nan" not in content.lower().replace(b"tenant", b"")


@pytest.mark.parametrize("form", FORMATS)
def test_simulated_and_invalid_runs_say_so_in_every_format(form: str) -> None:
    bad = source(closed(failed=20), asked=asked(form), simulated=True)
    assert bad.marks == ("simulated", "INVALID: errors")
    found = text_of(form, bad)
    assert "simulated" in found
    if form != "openmetrics":  # its word is a label
        assert "INVALID" in found
    sound = text_of(form, source(closed(), asked=asked(form)))
    assert "INVALID: " not in sound
    assert "(simulated" not in sound


@pytest.mark.parametrize("form", [name for name, each in FORMATS.items() if each.joined])
def test_one_file_and_a_folder_hold_the_same(form: str) -> None:
    of = source(closed(), asked=asked(form))
    joined = FORMATS[form].joined
    assert joined is not None
    assert joined(of, FORMATS[form].single.split()[-1]) in files(form, of).values()


def test_vllm_writes_a_file_a_load_point_and_what_its_sweep_plots_read() -> None:
    made = files("vllm", source(closed(1, 1), closed(2, 4)))
    assert sorted(made) == [
        "openai-chat-concurrency1-qwen2.5-7b-20261120-213005.json",
        "openai-chat-concurrency4-qwen2.5-7b-20261120-213005.json",
        "summary.json",
    ]
    assert [each["max_concurrency"] for each in strict(made["summary.json"])] == [1, 4]
    detailed = files("vllm", source(closed(), asked=Asked(detailed=True)))
    real = set(sample("vllm/detailed.json"))
    assert real - set(strict(detailed["summary.json"])[0]) == {"rtfx"}, "of audio alone"


def test_pytorch_has_one_record_a_metric() -> None:
    records = strict(files("pytorch", source(closed()))["benchmark_results.json"])
    found = {each["metric"]["name"]: each["metric"]["benchmark_values"] for each in records}
    assert found["mean_ttft_ms"] == [pytest.approx(30.0)]
    assert set(records[0]) == {"benchmark", "model", "metric"}
    assert all(isinstance(value, list) and len(value) == 1 for value in found.values())


def test_inferencex_derives_its_figures_from_what_it_is_told() -> None:
    made = files("inferencex", source(closed(), asked=Asked(settings=HARDWARE)))
    found = strict(made["agg_qwen2.5-7b-concurrency1.json"])
    assert (found["hw"], found["tp"], found["conc"]) == ("h100", 4, 1)
    assert found["mean_ttft"] == pytest.approx(0.030)
    assert found["mean_intvty"] == pytest.approx(1 / found["mean_tpot"])
    flat = strict(files("vllm", source(closed()))["summary.json"])[0]
    assert found["tput_per_gpu"] == pytest.approx(flat["total_token_throughput"] / 4)


def test_sglang_has_its_arrays_when_asked_with_0_for_a_failed_request() -> None:
    made = files("sglang", source(closed(count=3, failed=1), asked=Asked(detailed=True)))
    (line,) = next(iter(made.values())).splitlines()
    found = strict(line)
    assert found["ttfts"] == [pytest.approx(0.03)] * 3 + [0.0]
    assert found["itls"] == [[pytest.approx(0.03)] * 2] * 3 + [[]]
    assert found["errors"] == ["", "", "", "busy"]


def test_lmdeploy_writes_both_generations_of_its_csv() -> None:
    header, row = rows(files("lmdeploy", source(closed()))["results.csv"])
    new = dict(zip(header, row, strict=True))
    assert (new["completed"], new["mean_ttft_ms"], new["request_rate"]) == ("20", "30.000", "inf")
    header, row = rows(files("lmdeploy-old", source(closed()))["results.csv"])
    old = dict(zip(header, row, strict=True))
    assert (old["batch"], old["num_prompts"], old["FTL(ave)(s)"]) == ("1", "20", "0.030")
    assert float(old["RPM"]) == pytest.approx(60 * float(old["RPS"]), abs=0.05)
    assert "remark" not in old


def test_mindie_rows_have_no_label_and_excel_on_windows_finds_its_mark() -> None:
    made = files("mindie", source(closed(failed=1), asked=Asked(encoding="utf-8-sig")))
    performance, common = sorted(made, reverse=True)
    assert made[performance].startswith(b"\xef\xbb\xbf")
    table = rows(made[performance], "utf-8-sig")
    assert table[0][0] == "FirstTokenTime"
    assert [row[0] for row in table[1:]] == ["30.0 ms"] * 7 + ["21"]
    header, values = rows(made[common], "utf-8-sig")
    assert dict(zip(header, values, strict=True))["Failed"] == "1( 4.76% )"


def test_aisbench_has_its_table_and_its_common_metrics() -> None:
    made = files("aisbench", source(closed()))
    folder = "concurrency1/performances/qwen2.5-7b"
    assert sorted(made) == [f"{folder}/dataset.csv", f"{folder}/dataset.json"]
    header, first, *_ = rows(made[f"{folder}/dataset.csv"])
    assert header[:4] == ["Performance Parameters", "Stage", "Average", "Min"]
    assert first[:2] == ["E2EL", "total"]
    assert strict(made[f"{folder}/dataset.json"])["Success Requests"]["total"] == 20


def test_genai_bench_has_the_keys_of_a_real_experiment() -> None:
    made = files("genai-bench", source(closed(failed=2)))
    metadata = strict(made["experiment_metadata.json"])
    real = sample("genai-bench/experiment_metadata.json")
    assert set(real) <= set(metadata)
    (name,) = set(made) - {"experiment_metadata.json"}
    assert name == "D8_3_text-to-text_num_concurrency_1_time_1s.json"
    found, theirs = (
        strict(made[name]),
        sample("genai-bench/D16_8_text-to-text_num_concurrency_2_time_1s.json"),
    )
    assert set(theirs["aggregated_metrics"]) == set(found["aggregated_metrics"])
    assert found["aggregated_metrics"]["error_codes_frequency"] == {"503": 2}
    assert found["individual_request_metrics"][0]["ttft"] == pytest.approx(0.03)
    assert found["individual_request_metrics"][-1] == {"error_code": 503, "error_message": "busy"}
    assert all(None not in each.values() for each in found["individual_request_metrics"]), (
        "its model refuses None"
    )


def test_mlperf_like_says_what_it_is_not() -> None:
    text = json.dumps(text_of("mlperf-like", source(closed())))
    assert "NOT an MLPerf result" in text
    assert "Result is : VALID" not in text
