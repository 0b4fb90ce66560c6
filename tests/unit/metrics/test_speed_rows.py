"""Offline speed by definition: worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.metrics.speed import outliers, speed_rows
from inferometer.metrics.speed_conditions import summarize_speed
from inferometer.record.speed import Generation, Idleness, SpeedRecord

MS = 1_000_000


def generation(total_ms: int = 1000, batch: int = 1, repeat: int = 1, **values: Any) -> Generation:
    """A batch of 11 tokens each: the first after 200 ms, the last at the end."""
    return Generation(
        **{
            "input_tokens": 100,
            "batch": batch,
            "asked_tokens": 11,
            "repeat": repeat,
            "outcome": "ok",
            "begin_ns": 5 * MS,
            "end_ns": (5 + total_ms) * MS,
            "first_token_ns": [205 * MS] * batch,
            "last_token_ns": [(5 + total_ms) * MS] * batch,
            "output_tokens": [11] * batch,
            "unix_begin_ns": 10**18,
            "unix_end_ns": 10**18 + total_ms * MS,
            **values,
        }
    )


def record(*generations: Generation, **values: Any) -> SpeedRecord:
    about: dict[str, Any] = {
        "idle": [Idleness(device="A100 0", source="nvidia-smi", busy_share=0.0)],
        **values,
    }
    return SpeedRecord(
        run_id="r", state=about.pop("state", "complete"), created_utc="", engine="transformers", model="m",
        spec={"generate_len": 11}, generations=list(generations), **about,
    )  # fmt: skip


def good(**values: Any) -> list[Generation]:
    return [generation(repeat=repeat, **values) for repeat in (1, 2, 3)]


def failing(found: SpeedRecord) -> dict[str, str]:
    return {c.name: c.level for c in summarize_speed(found).verdict.failed}


def test_one_generation() -> None:
    (row,) = speed_rows(record(generation(memory_bytes=7, memory_of="device")))
    assert row.speed_per_s == pytest.approx(11.0)  # 11 tokens in 1 s
    assert row.total_speed_per_s == pytest.approx(111.0)
    assert row.first_token_s == pytest.approx(0.2)
    assert row.prefill_tokens_per_s == pytest.approx(500.0)  # 100 tokens in 0.2 s
    assert row.non_first_token_s == pytest.approx(0.08)  # 0.8 s for 10 tokens
    assert row.non_first_token_throughput_per_s == pytest.approx(12.5)  # 1 / 0.08
    assert row.e2e_throughput_per_s == pytest.approx(11.0)
    assert (row.memory_bytes, row.memory_of, row.spread) == (7, "device", None)


def test_a_batch() -> None:
    (row,) = speed_rows(record(generation(batch=4)))
    assert row.speed_per_s == pytest.approx(11.0)  # of one sequence
    assert row.non_first_token_throughput_per_s == pytest.approx(50.0)  # 4 / 0.08
    assert row.e2e_throughput_per_s == pytest.approx(44.0)  # 4 x 11 / 1
    assert row.prefill_tokens_per_s == pytest.approx(2000.0)


def test_the_prefill_of_a_batch_ends_with_its_last_first_token() -> None:
    (row,) = speed_rows(record(generation(batch=2, first_token_ns=[105 * MS, 405 * MS])))
    assert row.first_token_s == pytest.approx(0.25)
    assert row.prefill_tokens_per_s == pytest.approx(500.0)  # 200 tokens in 0.4 s


def test_repeats_are_averaged_and_warm_ups_left_out() -> None:
    warm = generation(9000, repeat=0, memory_bytes=99)
    (row,) = speed_rows(record(warm, generation(1000), generation(500, repeat=2), generation(2000, repeat=3)))
    assert row.speeds == pytest.approx([11.0, 22.0, 5.5])
    assert row.speed_per_s == pytest.approx(38.5 / 3)
    assert row.e2e_s == pytest.approx(3.5 / 3)
    assert row.spread == pytest.approx(0.6546537)
    assert row.memory_bytes is None


def test_an_answer_of_one_token_has_no_decoding() -> None:
    (row,) = speed_rows(record(generation(output_tokens=[1], last_token_ns=[205 * MS])))
    assert row.non_first_token_s is None
    assert row.non_first_token_throughput_per_s is None


def test_what_did_not_fit_is_a_row_without_numbers() -> None:
    failed = Generation(input_tokens=9, batch=1, asked_tokens=2, repeat=0, outcome="oom", reason="no room")
    first, second = speed_rows(record(generation(), failed))
    assert (first.outcome, second.outcome, second.reason, second.asked_tokens) == ("ok", "oom", "no room", 11)
    assert second.speed_per_s is None
    assert second.memory_bytes is None


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([100, 101, 80], [3]),
        ([100, 101, 99], []),
        ([100, 50], []),
        ([100, 96, 104], []),
        ([10, 100, 101, 99, 100], [1]),
    ],
)
def test_outliers(values: list[float], found: list[int]) -> None:
    assert outliers(values) == found


def test_three_equal_repeats_on_an_idle_device_are_valid() -> None:
    summary = summarize_speed(record(*good()))
    assert summary.verdict.word == "VALID"
    assert not summary.verdict.unknown


def test_oom_and_too_long_spoil_no_verdict() -> None:
    bad = [
        generation(outcome=outcome, repeat=0, input_tokens=n) for n, outcome in ((8, "oom"), (9, "too_long"))
    ]
    assert not failing(record(*good(), *bad))


def test_nothing_measured_is_invalid() -> None:
    assert failing(record(generation(outcome="oom", repeat=0)))["measured"] == "hard"


def test_answers_of_another_length_are_invalid() -> None:
    assert failing(record(*good(output_tokens=[10])))["output length"] == "hard"


def test_prompts_that_the_server_counts_otherwise_are_invalid() -> None:
    assert failing(record(*good(seen_input_tokens=[101])))["prompt length"] == "hard"
    assert not failing(record(*good(seen_input_tokens=[100])))


def test_what_makes_it_doubtful() -> None:
    assert failing(record(generation())) == {"repeats": "warn"}
    assert failing(record(*good(), generation(outcome="crashed", input_tokens=8))) == {
        "rows that broke": "warn"
    }
    assert failing(record(*good(), state="interrupted")) == {"complete": "warn"}
    slow = [generation(total_ms, repeat=place) for place, total_ms in enumerate((1000, 1001, 2000), 1)]
    assert failing(record(*slow)) == {"spread of repeats": "warn", "outlier": "warn"}
    assert failing(record(*good(unix_end_ns=10**18))) == {"clock": "warn"}
    assert failing(record(*good(core_wait_s=0.3))) == {"host busy": "warn"}


def test_a_busy_device_makes_it_doubtful() -> None:
    busy = Idleness(device="A100 0", source="nvidia-smi", busy_share=0.9)
    used = Idleness(device="A100 0", source="nvidia-smi", busy_share=0.0, processes=["python pid 3"])
    assert failing(record(*good(), idle=[busy])) == {"device idle": "warn"}
    assert failing(record(*good(), idle=[used])) == {"device idle": "warn"}
    unknown = summarize_speed(record(*good(), idle=[])).verdict
    assert (unknown.word, [c.name for c in unknown.unknown]) == ("VALID", ["device idle"])


def test_memory_that_somebody_holds_makes_it_doubtful() -> None:
    held = Idleness(device="A100 0", source="nvidia-smi", busy_share=0.0, memory_share=0.9)
    free = Idleness(device="A100 1", source="nvidia-smi", busy_share=0.0, memory_share=0.05)
    assert failing(record(*good(), idle=[free, held])) == {"device memory": "warn"}
    assert not failing(record(*good(), idle=[free]))


def test_tokens_that_nobody_counted_are_no_speed() -> None:
    found = record(*good(output_tokens=[]))
    assert failing(found)["output length"] == "hard"
    (row,) = speed_rows(found)
    assert (row.speed_per_s, row.non_first_token_s, row.e2e_throughput_per_s) == (None, None, None)
    assert row.e2e_s == pytest.approx(1.0)


def test_a_sequence_without_a_count_is_of_no_length() -> None:
    assert failing(record(*good(batch=2, output_tokens=[11])))["output length"] == "hard"


def test_what_the_measuring_line_says_of_itself_counts() -> None:
    assert failing(record(*good(doubts=["!receive clock", "client host busy"]))) == {
        "measuring line": "hard",
        "doubts of the measuring line": "warn",
    }
