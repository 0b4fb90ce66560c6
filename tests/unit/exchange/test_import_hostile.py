"""Files of strangers: broken, huge, cut, or made to harm. Each ends in a sentence, and nothing is written."""

from __future__ import annotations

import base64
import csv
import json
import pickle
import sqlite3
from pathlib import Path
from random import Random

import pytest
from import_samples import DATA, NOW

from inferometer.api.importing import import_files
from inferometer.errors import UsageError
from inferometer.exchange.importing import read_all, source, sources_of
from inferometer.exchange.importing.writing import frames_of
from inferometer.record.types import PointRecord

VLLM = (DATA / "vllm/appended.jsonl").read_text("utf-8").splitlines()[0]


def refused(path: Path, out: Path, **how: str) -> str:
    """The error of an import; nothing of it may be left."""
    with pytest.raises(UsageError) as caught:
        import_files([path], out, now_utc=NOW, **how)  # type: ignore[arg-type]
    assert not list(out.iterdir()) if out.exists() else True
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.json", b"  \n", "the file is empty"),
        ("other.json", b'{"answer": 42}', "holds a JSON object with answer"),
        ("cut.json", VLLM.encode()[:400], "no whole JSON (Unterminated string"),
        ("noise.bin", b"\xff\x00\x80\x81" * 40, "binary data, not text"),
        ("latin.txt", b"\xff caf\xe9 ", "neither UTF-8 nor GB18030"),
        ("deep.json", b"[" * 100_000, "no whole JSON (nested too deeply)"),
        ("nested.json", b'{"a":' * 480 + b"1" + b"}" * 480, "no whole JSON (nested more than 64 deep)"),
        (
            "far.json",
            VLLM.replace('"completed": 6', '"completed": 1e300').encode(),
            "is 1e+300, which is not",
        ),
        ("prose.txt", b"It was quick.", "text that begins with 'It was quick.'"),
        (
            "perf.csv",
            b"FirstTokenTime,GenerateTime\n1 ms,2 ms\n",
            "1 rows without names, where MindIE writes 8",
        ),
        ("m.txt", b'# TYPE a counter\na{x="1"} 3\nthis is no sample\n', "line 3 is no sample"),
    ],
)
def test_what_is_no_result_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(path, tmp_path / "runs")
    assert name in message
    assert says in message


def test_pictures_and_empty_logs_beside_the_results_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "plot.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe\x80\x81")
    (folder / "stderr.log").write_bytes(b"")
    (folder / "result.json").write_text(VLLM)
    found, files = read_all(sources_of(folder))
    assert [file.name for file in files] == ["result.json"]
    assert "not read: plot.png, stderr.log" in found.notes


def test_half_a_character_of_a_cut_answer_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps(json.loads(VLLM) | {"model_id": "m\ud83d", "label": "\U0001f600"}))
    [result] = import_files([path], tmp_path / "runs", now_utc=NOW)
    assert result.summary.model == "m?"
    assert result.summary.imported is not None
    assert result.summary.imported.stated["label"] == "\U0001f600"


def test_a_time_before_all_calendars_is_no_time(tmp_path: Path) -> None:
    content = json.loads((DATA / "made_inference_benchmarker/results.json").read_text("utf-8"))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content | {"start_time": "0001-01-01T00:00:00+14:00"}))
    [result] = import_files([path], tmp_path / "runs", now_utc=NOW)
    assert result.summary.created_utc == NOW.isoformat(timespec="seconds")


def test_folders_are_read_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    for name in ("c16.json", "c1.json", "c4.json", "b.json"):
        (tmp_path / name).write_text("{}")
    assert [each.name for each in sources_of(tmp_path)] == ["b.json", "c1.json", "c4.json", "c16.json"]


def test_places_that_hold_nothing_are_named(tmp_path: Path) -> None:
    assert "there is no such file or folder" in refused(tmp_path / "gone.json", tmp_path / "runs")
    (tmp_path / "void").mkdir()
    assert "the folder is empty" in refused(tmp_path / "void", tmp_path / "runs")
    assert "did you mean 'vllm'" in refused(DATA / "vllm/detailed.json", tmp_path / "runs", form="vlm")
    assert "no part of a MindIE" in refused(DATA / "vllm/detailed.json", tmp_path / "runs", form="mindie")


def test_results_of_two_tools_are_not_one_run(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(VLLM)
    (tmp_path / "b.csv").write_bytes((DATA / "made_mindie/result_perf_1755518818114.csv").read_bytes())
    assert "results of several tools: vllm: a.json; mindie: b.csv" in refused(tmp_path, tmp_path / "runs")


def test_size_and_number_of_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.json").write_text(VLLM)
    monkeypatch.setattr(source, "MOST_FILES", 2)
    assert "more than 2 files" in refused(tmp_path / "in", tmp_path / "runs")
    monkeypatch.setattr(source, "MOST_BYTES", 100)
    assert "the limit is 100" in refused(tmp_path / "in" / "0.json", tmp_path / "runs")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(VLLM)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text(VLLM)
    (tmp_path / "in" / "b.json").symlink_to(secret)
    assert [each.name for each in sources_of(tmp_path / "in")] == ["a.json"]


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "harmed"),)  # type: ignore[return-value]

    database = tmp_path / "benchmark_data.db"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE result (start_time REAL, latency REAL, success INTEGER, first_chunk_latency REAL, "
            "completion_tokens INTEGER, inter_token_latencies TEXT)"
        )
        gaps = base64.b64encode(pickle.dumps(Harm())).decode()
        connection.execute("INSERT INTO result VALUES (1.0, 0.5, 1, 0.1, 8, ?)", (gaps,))
    connection.close()
    found, _ = read_all(sources_of(database))
    assert not (tmp_path / "harmed").exists()
    assert found.points[0].requests[0].gaps_s is None
    assert any("pickled, which is never opened" in note for note in found.notes)


def test_yaml_makes_no_objects_and_does_not_explode(tmp_path: Path) -> None:
    body = (DATA / "made_llm_d/report_v0.1.yaml").read_text("utf-8")
    tagged = tmp_path / "tagged.yaml"
    tagged.write_text(body + f"x: !!python/object/apply:os.system ['touch {tmp_path / 'harmed'}']\n")
    assert "no known result file" in refused(tagged, tmp_path / "runs")
    assert not (tmp_path / "harmed").exists()
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text(body + "a: &a [1, 1]\nb: [*a, *a]\n")
    assert "no known result file" in refused(bomb, tmp_path / "runs")


def test_json_inside_of_cells_is_bounded_too(tmp_path: Path) -> None:
    deep = "[" * 100_000
    database = tmp_path / "benchmark_data.db"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE result (start_time REAL, latency REAL, success INTEGER, inter_token_latencies TEXT)"
        )
        connection.execute("INSERT INTO result VALUES (1.0, 0.5, 1, ?)", (deep,))
    connection.close()
    assert read_all(sources_of(database))[0].points[0].requests[0].gaps_s is None
    rows = (DATA / "guidellm_table/benchmarks.csv").read_text("utf-8").splitlines()
    cells = next(csv.reader([rows[3]]))
    cells[next(csv.reader([rows[1]])).index("Backend")] = deep
    path = tmp_path / "benchmarks.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*csv.reader(rows[:3]), cells])
    assert "nested too deeply" in refused(path, tmp_path / "runs")


def test_numbers_that_are_none_stay_visible_and_are_not_taken(tmp_path: Path) -> None:
    content = json.loads(VLLM) | {"mean_ttft_ms": float("nan"), "p99_ttft_ms": float("inf"), "duration": None}
    path = tmp_path / "nan.json"
    path.write_text(json.dumps(content))
    [point] = read_all(sources_of(path))[0].points
    assert point.reported.stats["ttft_ms"].mean is None
    assert point.reported.stated["mean_ttft_ms"] == "NaN"
    assert point.reported.stated["p99_ttft_ms"] == "inf"
    assert point.reported.duration_s is None


def test_other_encodings_and_old_keys_are_read(tmp_path: Path) -> None:
    content = json.loads(VLLM)
    content["request_goodput:"] = content.pop("request_goodput")
    content["label"] = "测试"
    for encoding in ("utf-8-sig", "gb18030", "utf-16"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
        found, _ = read_all(sources_of(path))
        assert found.stated["label"] == "测试"
        assert found.points[0].reported.values["goodput_per_s"] == content["request_goodput:"]


def test_a_line_that_was_cut_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "appended.jsonl"
    path.write_text(VLLM + "\n" + VLLM[:300])
    found, _ = read_all(sources_of(path))
    assert len(found.points) == 1
    assert "the last line of appended.jsonl is cut and was left out" in found.notes


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    content = json.loads((DATA / "vllm/detailed.json").read_text("utf-8"))
    content["itls"].pop()
    path = tmp_path / "short.json"
    path.write_text(json.dumps(content))
    assert "arrays differ in length" in refused(path, tmp_path / "runs")


def test_secrets_are_not_among_what_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("benchmark_summary.json", "benchmark_args.json"):
        (folder / name).write_bytes((DATA / "evalscope" / name).read_bytes())
    arguments = json.loads((folder / "benchmark_args.json").read_text("utf-8")) | {
        "api_key": "sk-very-secret"
    }
    (folder / "benchmark_args.json").write_text(json.dumps(arguments))
    [result] = import_files([folder], tmp_path / "runs", now_utc=NOW)
    shown = [path for path in result.path.iterdir() if path.is_file() and path.suffix == ".json"]
    assert shown
    assert not any("sk-very-secret" in path.read_text("utf-8") for path in shown)


JSON_SAMPLES = (
    "vllm/detailed.json", "made_sglang/sglang.jsonl", "evalscope/benchmark_summary.json", "guidellm/benchmarks.json",
    "evalscope/benchmark_percentile.json", "aiperf/profile_export_aiperf.json", "aiperf/profile_export.jsonl",
    "made_llmperf/m_550_150_summary.json", "made_inference_benchmarker/results.json",
    "made_pytorch/sample.pytorch.json",
    "made_inference_perf/stage_0_lifecycle_metrics.json", "made_inferencex/agg_sample.json",
    "made_aisbench/vllm-api-stream-chat/gsm8k.json", "made_llmperf/m_550_150_individual_responses.json",
)  # fmt: skip
STRANGE = (None, "x", "", -1, 10**30, 1e300, True, [], {}, [None], {"mean": "x"}, float("nan"), "1e999")


@pytest.mark.parametrize("name", JSON_SAMPLES)
def test_whatever_stands_in_any_place_ends_in_a_run_or_a_sentence(tmp_path: Path, name: str) -> None:
    random = Random(name)
    text = (DATA / name).read_text("utf-8")
    first = text.splitlines()[0] if name.endswith("l") else text
    path = tmp_path / Path(name).name
    for _ in range(15):
        content = json.loads(first)
        _spoil(content, random)
        path.write_text(json.dumps(content))
        try:
            found, _ = read_all(sources_of(path))
        except UsageError as error:
            assert error.message  # noqa: PT017 - either end is right, only others are not
            continue
        for number, point in enumerate(found.points):
            record = PointRecord(index=number, kind="measure", load=point.load, epoch_ns=0)
            assert len(list(frames_of(record, point.requests))) == len(point.requests)


def _spoil(content: object, random: Random) -> None:
    """Put something strange in one place."""
    where: list[tuple[object, object]] = []
    waiting = [content]
    while waiting:
        each = waiting.pop()
        places = each.keys() if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        where += [(each, place) for place in places]
        waiting += [each[place] for place in places]  # type: ignore[index]
    holder, place = random.choice(where)
    holder[place] = random.choice(STRANGE)  # type: ignore[index]
