"""One trial of the sweep: what load it makes, and what its run and the server's log say of the generator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from run_builder import Chunk, point, request

from inferometer.checks.calibration import ceiling, envelope_of
from inferometer.checks.envelope import Machine
from inferometer.checks.limits import SystemLimits
from inferometer.checks.text import envelope_text, need_text, rounded, trial_lines, trial_text
from inferometer.checks.trial import (
    EVENT_STREAMS,
    Trial,
    Truth,
    best,
    judge,
    pace,
    reached,
    spec_of,
    timing,
)
from inferometer.checks.truth import parse_log
from inferometer.clock import utc_now
from inferometer.metrics.summary import summarize_point
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, ClientHealth
from inferometer.spec import Measure, Sampling, load_points
from inferometer.testing.truth_loop import LogRecord

HERE = Machine(cpu="x", cores=2, kernel="x", python="x", inferometer="x")
REQUESTS, TOKENS, GAP_MS = 200, 5, 10.0


def us(value: float) -> int:
    return round(value * 1e3)


def table(
    error_us: float = 5.0, epoch_ns: int = 1_000_000, count: int = REQUESTS, **health: Any
) -> PointTable:
    """200 requests one after another, five chunks each; every chunk is received ``error_us`` after it was sent."""
    requests, chunks = [], []
    for i in range(count):
        at = i * GAP_MS
        last = at + TOKENS
        requests.append(
            request(i, planned=at, sent=at, first_token=at + 1, first_answer=at + 1, last_token=last, end=last,
                    output_tokens_server=TOKENS, output_tokens_target=TOKENS, input_tokens_server=8,
                    finish_reason="length")
        )  # fmt: skip
        chunks.append(Chunk(i, at + 1, ChunkKind.ROLE, None, read=0))
        chunks += [Chunk(i, at + 1 + k + error_us / 1e3, read=k + 1) for k in range(TOKENS)]
        chunks.append(Chunk(i, last + error_us / 1e3, ChunkKind.DONE, None, read=TOKENS))
    load = {"request_rate": 1e3 / GAP_MS, "max_concurrency": None}
    kept_up = ClientHealth(**({"receive_clock": "kernel", "cpu_s": 0.1, "wall_s": 1.0} | health))
    made = point(requests, chunks, load=load, epoch_ns=epoch_ns, health=[kept_up])
    names = np.array([*(f"r{i}" for i in range(count)), None], dtype=object)[:-1]
    return replace(made, requests={**made.requests, "response_id": names})


def truth(late_us: float = 0.0, epoch_ns: int = 1_000_000) -> dict[str, Truth]:
    """The log of the server that sent what ``table`` received."""
    found = {}
    for i in range(REQUESTS):
        sent_ns = epoch_ns + (np.arange(TOKENS) + 1 + i * GAP_MS) * 1e6
        found[f"r{i}"] = Truth((sent_ns - late_us * 1e3).astype(np.int64), sent_ns.astype(np.int64))
    return found


def verdict(made: PointTable, log: dict[str, Truth]) -> Trial:
    summary = summarize_point(made, Measure(), Sampling())
    return judge("requests", 100.0, made, summary, log)


def test_the_error_of_a_chunk_is_its_receive_time_minus_the_time_at_which_it_was_sent() -> None:
    times = timing(table(error_us=7.0), truth(late_us=30.0))
    assert len(times.error_us) == REQUESTS * TOKENS
    assert times.error_us == pytest.approx(7.0)
    assert times.server_late_us == pytest.approx(30.0)


def test_answers_that_the_log_does_not_know_are_left_out() -> None:
    log = truth()
    del log["r0"]
    log["r1"] = Truth(log["r1"].due_ns[:-1], log["r1"].sent_ns[:-1])
    assert len(timing(table(), log).error_us) == (REQUESTS - 2) * TOKENS


def test_a_generator_that_keeps_its_gates_holds() -> None:
    trial = verdict(table(), truth())
    assert (trial.outcome, trial.why) == ("held", "")
    assert trial.figure == pytest.approx(100.0)
    assert trial.error_p99_us == pytest.approx(5.0)
    assert trial.cpu_us_per_event == pytest.approx(0.1e6 / (REQUESTS * (TOKENS + 2)))


def test_chunk_times_that_are_off_break_it() -> None:
    trial = verdict(table(error_us=501.0), truth())
    assert trial.outcome == "broke"
    assert "chunk times off by 501 us at p99, limit 500" in trial.why


def test_few_chunks_are_judged_by_the_percentile_that_they_carry() -> None:
    held = verdict(table(count=40), truth())  # 200 chunks: ten of them lie beyond p95
    assert (held.outcome, held.error_p99_us) == ("held", None)
    assert "p99" not in trial_text(held)
    trial = verdict(table(error_us=501.0, count=40), truth())
    assert "chunk times off by 501 us at p95, limit 500" in trial.why


def test_without_kernel_times_the_limit_is_a_millisecond() -> None:
    user = {"receive_clock": "user", "loop_turn_max_s": 0.0001, "poll_late_max_s": 0.0}
    assert verdict(table(error_us=900.0, **user), truth()).outcome == "held"
    assert verdict(table(error_us=1100.0, **user), truth()).outcome == "broke"


def test_a_hard_condition_of_the_verdict_breaks_it() -> None:
    trial = verdict(table(cpu_s=0.9), truth())
    assert trial.outcome == "broke"
    assert "client CPU 90.00%, limit 85.00%" in trial.why


def test_chunk_times_that_the_run_itself_is_not_sure_of_break_it() -> None:
    made = table()
    unsure = {"blurred_chunks": np.full(REQUESTS, 1.0), "blur_max_ns": np.full(REQUESTS, 2e6)}
    made = replace(made, requests={**made.requests, **unsure})
    trial = verdict(made, truth())
    assert trial.outcome == "broke"
    assert "chunk times" in trial.why


def test_a_server_that_falls_behind_says_nothing_of_the_generator() -> None:
    trial = verdict(table(), truth(late_us=1100.0))
    assert trial.outcome == "server"
    assert "late by 1,100 us" in trial.why


def test_a_server_behind_a_generator_without_cpu_does_not_excuse_it() -> None:
    assert verdict(table(cpu_s=0.9), truth(late_us=1100.0)).outcome == "broke"


def test_a_run_that_cannot_be_found_in_the_log_does_not_hold() -> None:
    trial = verdict(table(), {})
    assert trial.outcome == "broke"
    assert "no answer could be found in the server's log" in trial.why
    assert trial.error_p99_us is None


def test_a_worker_that_had_to_wait_for_a_core_says_so() -> None:
    assert "wait for a core 40% of the time" in verdict(table(600.0, run_queue_wait_s=0.4), truth()).why
    assert verdict(table(run_queue_wait_s=0.4), truth()).why == ""


def test_the_log_is_read_as_the_truth_server_writes_it() -> None:
    sent = np.array([110, 125, 130], dtype=np.int64)
    record = LogRecord("truth-0-1", 50, 100, 10, sent.tobytes())
    ((name, entry),) = parse_log(msgspec.msgpack.encode([record])).items()
    assert name == "truth-0-1"
    assert entry.due_ns.tolist() == [100, 110, 120]
    assert entry.sent_ns.tolist() == [110, 125, 130]


@pytest.mark.parametrize("level", [3_200.0, 12_800.0, 102_400.0, 819_200.0])
def test_256_streams_make_the_events_that_a_level_asks_for(level: float) -> None:
    asked = pace("events", level)
    (load,) = load_points(spec_of("events", level, "http://h", "runs", 1))
    assert load.max_concurrency == EVENT_STREAMS
    tokens = load.output_len or 0
    answer_s = asked.ttft_s + (tokens - 1) * asked.itl_s
    events = tokens + 4  # role, finish, usage, [DONE]
    assert EVENT_STREAMS * events / answer_s == pytest.approx(level, rel=0.01)
    assert answer_s < 1.1


def test_streams_get_one_event_a_second_and_a_plateau_to_judge() -> None:
    assert pace("streams", 2000.0) == (1.0, 1.0)
    (load,) = load_points(spec_of("streams", 2000.0, "http://h", "runs", 2))
    assert load.max_concurrency == 2000
    assert load.num_prompts == 2201


def test_requests_are_an_open_loop_of_a_second_and_a_half() -> None:
    spec = spec_of("requests", 4000.0, "http://h", "runs", 2)
    (load,) = load_points(spec)
    assert (load.request_rate, load.num_prompts, load.output_len) == (4000.0, 6000, 4)
    assert (spec.load.workers, spec.load.warmup) == (2, 0)


def test_the_event_rate_is_that_of_the_middle_half() -> None:
    made = table()
    assert reached("events", 1.0, made) == pytest.approx(1e3 / GAP_MS * (TOKENS + 2), rel=0.05)


def trial(dimension: Any, level: float, outcome: Any, **fields: Any) -> Trial:
    return Trial(
        **{"dimension": dimension, "level": level, "figure": level - 1, "outcome": outcome, **fields}
    )


def test_the_envelope_is_made_of_the_highest_levels_that_held() -> None:
    trials = [
        trial("events", 100_001.0, "held", error_p99_us=40.0, cpu_us_per_event=7.5, receive_clock="kernel"),
        trial("events", 200_001.0, "broke", error_p99_us=900.0),
        trial("requests", 3_501.0, "held", error_p99_us=20.0, receive_clock="kernel"),
        trial("streams", 12_001.0, "held", error_p99_us=30.0, receive_clock="kernel"),
        trial("streams", 6_001.0, "held", error_p99_us=300.0, receive_clock="kernel"),
    ]
    envelope = envelope_of(trials, ["streams"], 1, HERE, utc_now())
    assert (envelope.events_per_s, envelope.requests_per_s, envelope.streams) == (100_000, 3_500, 12_000)
    assert (envelope.error_p99_us, envelope.cpu_us_per_event) == (40.0, 7.5)
    assert envelope_text(envelope) == (
        "this machine, 1 worker: up to 100,000 events/s, at least 12,000 streams and 3,500 requests/s, chunk times "
        "within 40 us (p99)"
    )
    assert best(trials, "events") is trials[0]


def test_the_envelope_promises_no_more_than_was_asked_of_a_trial() -> None:
    trials = [trial("events", 12_800.0, "held", figure=13_065.0), trial("streams", 9.0, "held", figure=None)]
    envelope = envelope_of(trials, [], 1, HERE, utc_now())
    assert (envelope.events_per_s, envelope.streams) == (12_800.0, None)


def test_a_plan_that_the_envelope_has_no_figure_for() -> None:
    assert need_text(None) == (
        "your plan cannot be compared: the envelope has no figure for such a load with so many workers; measure it "
        "in under two minutes: inferometer check --calibrate"
    )


def test_a_dimension_in_which_nothing_held_has_no_figure() -> None:
    envelope = envelope_of([trial("events", 100.0, "broke")], [], 2, HERE, utc_now())
    assert envelope.events_per_s is None
    assert envelope.error_p99_us is None
    assert "2 workers: up to no tried number of events/s" in envelope_text(envelope)


@pytest.mark.parametrize(("figure", "shown"), [(87_654.0, 87_000), (999.9, 990), (12.7, 12), (7.2, 7)])
def test_figures_are_rounded_down_to_what_a_sweep_knows(figure: float, shown: float) -> None:
    assert rounded(figure) == shown


def test_the_sweep_is_a_table_with_a_reason_for_each_break() -> None:
    lines = trial_lines(
        [trial("events", 12_800.0, "held"), trial("requests", 500.0, "broke", why="send lag")]
    )
    assert lines[0].endswith("reached  off p50 us  p99 us  server late us  CPU")
    assert lines[1].startswith("12,800 events/s")
    assert lines[1].endswith("ok")
    assert lines[2].endswith("BROKE: send lag")
    assert trial_text(trial("streams", 500.0, "server", why="slow")).endswith("server late: slow")


def test_the_ceiling_is_what_the_system_allows() -> None:
    assert ceiling("streams", 1, SystemLimits(1024, 4096, (32768, 60999))) == 4032
    assert ceiling("streams", 1, SystemLimits(1024, None, (32768, 33767))) == 936
    assert ceiling("streams", 4, SystemLimits(1024, 1 << 20, None)) == 20_000
    assert ceiling("requests", 1, SystemLimits(1024, 256, (32768, 60999))) == 32_000
