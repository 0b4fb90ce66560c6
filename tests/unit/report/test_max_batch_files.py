"""The largest batch of each case as performance_maxbs writes it, and as text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec

from inferometer.metrics.targets import BatchRound, MaxBatchResult
from inferometer.report.max_batch import max_batch_lines, round_lines, write_max_batch

HEADER = [
    "Model",
    "Batchsize",
    "In_seq",
    "Out_seq",
    "Total time(s)",
    "Prefill all time(ms)",
    "Prefill average time(ms)",
    "Non-first token time(ms)",
    "Non-first token Throughput(Tokens/s)",
    "E2E Throughput(Tokens/s)",
    "Non-first token Throughput Average",
    "E2E Throughput Average",
]


def entry(batch: int, step_ms: float | None, repeat: int = 1, **other: Any) -> BatchRound:
    total_s = None if step_ms is None else 0.5 + step_ms / 10
    fields: dict[str, Any] = {
        "index": 1, "carried": True, "met": step_ms is not None and step_ms <= 50.0,
        "total_time_s": total_s, "prefill_all_ms": 400.0, "prefill_average_ms": 250.5,
        "non_first_token_ms": step_ms,
        "non_first_token_throughput": None if step_ms is None else batch / (step_ms / 1e3),
        "e2e_throughput": None if total_s is None else batch * 256 / total_s,
    }  # fmt: skip
    return BatchRound(batch=batch, repeat=repeat, **(fields | other))


def result(
    *rounds: BatchRound, best: BatchRound | None, input_tokens: int = 256, **other: Any
) -> MaxBatchResult:
    fields: dict[str, Any] = {
        "input_tokens": input_tokens, "output_tokens": 256, "low": 1, "high": 300, "limit_ms": 50.0,
        "statistic": "mean TPOT", "batch": None if best is None else best.batch, "best": best,
        "at_least": None if best is None else best.batch, "at_most": None if best is None else best.batch,
        "limited_by": "mean TPOT: 62.5 ms at batch 8, the limit is 50 ms", "sure": True, "why": [], "doubts": [],
    }  # fmt: skip
    return MaxBatchResult(rounds=list(rounds), **(fields | other))


TWO_CASES = (
    result(entry(4, 40.0), entry(8, 62.5), entry(4, 40.0, 2), best=entry(4, 40.0)),
    result(entry(1, 20.0), entry(2, None, carried=False, remark="errors: out of memory"), best=entry(1, 20.0),
           input_tokens=512),
)  # fmt: skip


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def test_the_round_file_has_every_probe_and_blank_averages(tmp_path: Path) -> None:
    rounds, _ = write_max_batch(TWO_CASES, tmp_path, "qwen")

    assert rounds.name == "qwen_round_result.csv"
    assert rows(rounds) == [
        HEADER,
        ["qwen", "4", "256", "256", "4.5", "400.0", "250.5", "40.0", "100.0", "227.5555555556", "", ""],
        ["qwen", "8", "256", "256", "6.75", "400.0", "250.5", "62.5", "128.0", "303.4074074074", "", ""],
        ["qwen", "4", "256", "256", "4.5", "400.0", "250.5", "40.0", "100.0", "227.5555555556", "", ""],
        ["qwen", "1", "512", "256", "2.5", "400.0", "250.5", "20.0", "50.0", "102.4", "", ""],
        ["qwen", "2", "512", "256", "", "400.0", "250.5", "", "", "", "", ""],
    ]


def test_the_final_file_has_the_best_of_each_case_and_the_averages_in_its_last_row(tmp_path: Path) -> None:
    _, final = write_max_batch(TWO_CASES, tmp_path, "qwen")

    assert final.name == "qwen_final_result.csv"
    assert rows(final) == [
        HEADER,
        ["qwen", "4", "256", "256", "4.5", "400.0", "250.5", "40.0", "100.0", "227.5555555556", "", ""],
        [
            "qwen",
            "1",
            "512",
            "256",
            "2.5",
            "400.0",
            "250.5",
            "20.0",
            "50.0",
            "102.4",
            "75.0",
            "164.9777777778",
        ],
    ]


def test_a_case_without_an_answer_has_no_row_in_the_final_file(tmp_path: Path) -> None:
    rounds, final = write_max_batch([result(entry(1, 70.0), best=None)], tmp_path, "org/a model")

    assert (rounds.name, final.name) == ("org-a-model_round_result.csv", "org-a-model_final_result.csv")
    assert rows(final) == [HEADER]
    assert len(rows(rounds)) == 2


def test_the_text_has_the_answer_its_reason_and_a_table() -> None:
    doubted = msgspec.structs.replace(TWO_CASES[0], sure=False, doubts=["too noisy"], at_least=3, at_most=5)

    lines = max_batch_lines([doubted])

    assert lines[:3] == [
        "max batch 4 (not sure) with mean TPOT <= 50 ms",
        "  limited by mean TPOT: 62.5 ms at batch 8, the limit is 50 ms",
        "  not sure: too noisy",
    ]
    assert lines[-1].split() == ["256", "256", "4", "3", "to", "5", "4.500", "40.00", "100.00", "227.56", "3"]


def test_several_cases_are_told_apart_and_one_without_an_answer_says_so() -> None:
    lines = max_batch_lines([TWO_CASES[0], result(entry(1, 70.0), best=None, input_tokens=1024)])

    assert lines[0] == "in 256, out 256: max batch 4 with mean TPOT <= 50 ms"
    assert "in 1024, out 256: no batch from 1 to 300 keeps mean TPOT <= 50 ms" in lines
    assert lines[-1].split() == ["1024", "256", *["n/a"] * 6, "1"]


def test_the_rounds_name_what_the_server_refused() -> None:
    lines = round_lines(TWO_CASES[1])

    assert lines[1].split() == ["1", "1", "yes", "2.500", "400.00", "20.00", "50.00", "102.40"]
    assert lines[2].split() == ["2", "1", "no", "n/a", "400.00", "n/a", "n/a", "n/a", "errors"]
