"""Acceptance of drafts: from counters of several versions, from answers, from the stream; and when it is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_builder import Chunk, point, request

from inferometer.client.exposition import series_of
from inferometer.metrics.engine_counts import EngineCounts, Unknown, engine_counts
from inferometer.metrics.latency import PointData
from inferometer.metrics.speculative import Speculative, speculative_of
from inferometer.metrics.summary import summarize_point
from inferometer.metrics.views.drafts import accept_length, aisbench_drafts, vllm_drafts
from inferometer.record.tables import PointTable
from inferometer.record.types import PointRecord, ServerCounters
from inferometer.spec import Measure

EXPOSITIONS = Path(__file__).parents[2] / "data" / "expositions"
MODEL = 'engine="0",model_name="m"'


def reading(text: str, source: str = "http://a/metrics") -> ServerCounters:
    return ServerCounters(source=source, values=series_of(text))


def file(name: str) -> str:
    return (EXPOSITIONS / f"{name}.txt").read_text()


def vllm(drafts: float, accepted: tuple[float, ...], created: float = 1.7e9, **labels: str) -> str:
    """vLLM's counters of drafts of as many tokens as ``accepted`` has places."""
    inside = ",".join(
        f'{key}="{value}"' for key, value in {"engine": "0", "model_name": "m", **labels}.items()
    )
    lines = [
        f"vllm:spec_decode_num_drafts_total{{{inside}}} {drafts}",
        f"vllm:spec_decode_num_drafts_created{{{inside}}} {created}",
        f"vllm:spec_decode_num_draft_tokens_total{{{inside}}} {drafts * len(accepted)}",
        f"vllm:spec_decode_num_accepted_tokens_total{{{inside}}} {sum(accepted)}",
    ]
    lines += [
        f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{{inside},position="{place}"}} {count}'
        for place, count in enumerate(accepted)
    ]
    return "\n".join(lines) + "\n"


def answered(tokens: int = 31, requests: int = 1, **fields: Any) -> PointTable:
    """Answers of so many tokens, in chunks of three after the first; counters and such as ``fields``."""
    records = [
        request(index, sent=0, first_token=10, last_token=50, end=51, output_tokens_server=tokens)
        for index in range(requests)
    ]
    chunks = [
        Chunk(record.index, 10 + place, tokens=1 if place == 0 else 3, read=place)
        for record in records
        for place in range(1 + (tokens - 1) // 3)
    ]
    return point(records, chunks, **fields)


def figures(table: PointTable) -> Speculative:
    found = speculative_of(PointData(table))
    assert found is not None
    return found


def test_differences_of_vllm_counters_give_rate_length_and_places() -> None:
    before, after = reading(vllm(1000, (900, 500, 100))), reading(vllm(1010, (908, 506, 103)))
    found = figures(answered(counters_before=[before], counters_after=[after]))
    assert found.source == "engine counters"
    assert (found.drafts, found.draft_tokens, found.accepted_tokens) == (10, 30, 17)
    assert found.acceptance_rate == pytest.approx(17 / 30)
    assert found.acceptance_length == pytest.approx(1 + 17 / 10)
    assert found.per_position == [0.8, 0.6, 0.3]
    assert found.drafted_per_step == 3


def test_engines_and_servers_are_summed_and_late_series_began_at_zero() -> None:
    a0, a1 = vllm(5, (4, 1)), vllm(7, (6, 2), engine="1")
    b0 = vllm(100, (90, 80))
    table = answered(
        counters_before=[reading(a0), reading(b0, "http://b/metrics")],
        counters_after=[reading(vllm(15, (12, 5)) + a1), reading(vllm(120, (100, 85)), "http://b/metrics")],
    )
    found = figures(table)
    assert (found.drafts, found.accepted_tokens) == (10 + 7 + 20, 12 + 8 + 15)
    assert found.per_position == [(8 + 6 + 10) / 37, (4 + 2 + 5) / 37]


def test_a_real_exposition_of_vllm_v1_has_its_created_times_left_out() -> None:
    text = file("vllm_v1")
    later = text.replace("} 50.0", "} 60.0").replace("} 100.0", "} 120.0")
    counts = engine_counts(answered(counters_before=[reading(text)], counters_after=[reading(later)]).point)
    assert isinstance(counts, EngineCounts)
    assert (counts.drafts, counts.draft_tokens, counts.accepted_tokens) == (10, 20, 0)
    assert counts.per_position == [0, 0]


def test_what_vllm_0_32_counted_of_one_answer_of_120_tokens() -> None:
    table = answered(
        tokens=121,
        counters_before=[reading(file("vllm_0.32_before"))],
        counters_after=[reading(file("vllm_0.32_after"))],
    )
    found = figures(table)
    assert (found.drafts, found.draft_tokens, found.accepted_tokens) == (44, 101, 63)
    assert found.per_position == [34 / 44, 19 / 44, 10 / 44]
    assert (found.acceptance_length, found.unexplained) == (1 + 63 / 44, 0.0)
    assert found.drafted_per_step == 101 / 44, "an n-gram drafter finds fewer than it may, or nothing"


def test_steps_without_a_draft_are_told() -> None:
    before, after = reading(vllm(0, (0, 0, 0))), reading(vllm(8, (8, 6, 6)))
    assert (
        "20 % of the steps had no draft"
        in figures(answered(counters_before=[before], counters_after=[after])).notes[0]
    )
    assert "a step without a draft" in figures(answered(speculative_tokens=4)).notes[0]


def test_vllm_v0_counts_no_drafts_so_there_is_a_rate_and_no_length() -> None:
    text = file("vllm_v0")
    later = text.replace("310.0", "370.0").replace("} 500.0", "} 600.0").replace("455.0", "530.0")
    found = figures(answered(counters_before=[reading(text)], counters_after=[reading(later)]))
    assert (found.acceptance_rate, found.acceptance_length, found.drafts) == (pytest.approx(0.6), None, None)
    assert found.source == "engine counters"


def test_sglang_gauges_are_of_the_latest_batch_and_said_to_be() -> None:
    text = file("sglang")
    found = figures(answered(counters_before=[reading(text)], counters_after=[reading(text)]))
    assert (found.source, found.acceptance_rate, found.acceptance_length) == ("engine gauges", 0.6, 2.8)
    assert "latest batch" in found.notes[0]


def test_sglang_verification_calls_give_the_length_of_the_load_point() -> None:
    text = file("sglang_verify_calls")
    later = text.replace("} 200.0", "} 300.0").replace("} 400.0", "} 661.0").replace("} 10.0", "} 11.0")
    table = answered(tokens=301, counters_before=[reading(text)], counters_after=[reading(later)])
    found = figures(table)
    assert (found.source, found.drafts) == ("engine counters", 100)
    assert found.acceptance_length == pytest.approx(260 / 100), "the first token of an answer is no step's"
    assert found.acceptance_rate == 0.55
    assert accept_length(table) == pytest.approx(2.6)


def test_sglang_without_metrics_tells_its_mean_since_the_start() -> None:
    told = ServerCounters(source="x", values={"get_server_info:avg_spec_accept_length": 2.9})
    found = figures(answered(counters_before=[told], counters_after=[told]))
    assert (found.source, found.acceptance_length, found.acceptance_rate) == ("engine gauges", 2.9, None)
    assert "since its start" in found.notes[0]


def test_gauges_of_sglang_at_zero_are_no_speculation() -> None:
    idle = reading(
        "sglang:spec_accept_length 0.0\nsglang:spec_accept_rate 0.0\nsglang:generation_tokens_total 5\n"
    )
    table = answered(counters_before=[idle], counters_after=[idle])
    assert speculative_of(PointData(table)) is None


@pytest.mark.parametrize(
    "after",
    [vllm(3, (1, 1)), vllm(2000, (950, 600), created=1.8e9), "vllm:spec_decode_num_drafts_total 2000\n"],
)
def test_counters_that_began_anew_give_no_figures_but_a_warning(after: str) -> None:
    table = answered(counters_before=[reading(vllm(1000, (900, 500)))], counters_after=[reading(after)])
    assert isinstance(engine_counts(table.point), Unknown)
    summary = summarize_point(table, Measure())
    assert summary.speculative is not None
    assert summary.speculative.acceptance_rate is None
    failed = {condition.name: condition for condition in summary.verdict.failed}
    assert "began anew" in failed["engine counters"].asked
    assert vllm_drafts(table) == {}


def test_a_server_that_no_longer_answers_leaves_the_acceptance_unknown() -> None:
    counts = engine_counts(answered(counters_before=[reading(vllm(1, (1,)))]).point)
    assert isinstance(counts, Unknown)
    assert "http://a/metrics" in counts.reason


def test_more_tokens_from_drafts_than_our_answers_hold_are_somebody_elses() -> None:
    ours = answered(counters_before=[reading(vllm(0, (0, 0)))], counters_after=[reading(vllm(12, (10, 8)))])
    theirs = answered(
        counters_before=[reading(vllm(0, (0, 0)))], counters_after=[reading(vllm(40, (30, 20)))]
    )
    assert figures(ours).unexplained == 0.0, "12 + 18 of 31 tokens"
    assert figures(theirs).unexplained == pytest.approx((90 - 33) / 90), "31 tokens, and 2 of a last step"
    assert [c.name for c in summarize_point(theirs, Measure()).verdict.failed if "drafts" in c.name] == [
        "drafts of others"
    ]


def test_both_formulas_of_the_guide_by_hand() -> None:
    found = figures(answered(speculative_tokens=4))  # 30 tokens after the first, in 10 steps
    assert found.source == "tokens per step"
    assert found.tokens_per_step is not None
    assert found.tokens_per_step.mean == 3.0
    assert found.accept_rate is not None
    assert found.accept_rate.mean == pytest.approx((31 - 1 - 10) / (10 * 4))
    assert found.accept_rate_plain is not None
    assert found.accept_rate_plain.mean == pytest.approx(30 / (10 * 5))
    assert (found.acceptance_rate, found.acceptance_length) == (pytest.approx(0.5), pytest.approx(3.0))


def test_several_steps_of_the_scheduler_in_one_chunk() -> None:
    found = figures(answered(speculative_tokens=1, scheduler_steps=2))
    assert found.accept_rate is not None
    assert found.accept_rate.mean == pytest.approx((30 - 10 * 2) / (10 * 1 * 2))
    assert found.accept_rate_plain is not None
    assert found.accept_rate_plain.mean == pytest.approx(30 / (10 * 2 * 2))
    assert (found.acceptance_length, found.acceptance_rate) == (pytest.approx(1.5), pytest.approx(0.5))


def test_a_stream_that_hides_its_steps_gives_no_figure_and_says_why() -> None:
    joined = figures(answered(speculative_tokens=1))
    assert (joined.accept_rate, joined.acceptance_rate, joined.tokens_per_step) == (None, None, None)
    assert "joins steps" in joined.notes[0]
    single = [Chunk(0, 10 + place, tokens=1, read=place) for place in range(11)]
    record = request(0, sent=0, first_token=10, last_token=20, end=21, output_tokens_server=11)
    apart = figures(point([record], single, speculative_tokens=3))
    assert (apart.accept_rate, apart.acceptance_rate) == (None, None)
    assert "one token" in apart.notes[0]


def test_answers_that_count_accepted_tokens() -> None:
    record = request(
        0, sent=0, first_token=10, last_token=50, end=51, output_tokens_server=31, accepted_draft_tokens=20
    )
    found = figures(point([record], [], speculative_tokens=4))
    assert (found.source, found.accepted_tokens) == ("answers", 20)
    assert found.acceptance_length == pytest.approx(3.0), "10 checks brought 20 accepted tokens and 10 more"
    assert found.acceptance_rate == pytest.approx(0.5)


def test_without_a_word_of_speculation_there_is_none() -> None:
    table = answered()
    assert speculative_of(PointData(table)) is None, "chunks of three tokens may have other reasons"
    assert vllm_drafts(table) == {}


@pytest.mark.parametrize(
    ("dataset", "warned"), [("random", True), ("azure", True), ("humaneval", False), ("trace", False)]
)
def test_acceptance_on_made_up_prompts_is_warned_of(dataset: str, warned: bool) -> None:
    summary = summarize_point(answered(speculative_tokens=4, dataset={"name": dataset}), Measure())
    names = [condition.name for condition in summary.verdict.failed]
    assert ("acceptance on made-up prompts" in names) is warned


def test_the_same_counters_under_the_keys_of_vllm_and_aisbench() -> None:
    table = answered(counters_before=[reading(vllm(0, (0, 0)))], counters_after=[reading(vllm(10, (8, 4)))])
    assert vllm_drafts(table) == {
        "spec_decode_acceptance_rate": pytest.approx(60.0),
        "spec_decode_acceptance_length": pytest.approx(2.2),
        "spec_decode_num_drafts": 10,
        "spec_decode_draft_tokens": 20,
        "spec_decode_accepted_tokens": 12,
        "spec_decode_per_position_acceptance_rates": [0.8, 0.4],
    }
    assert aisbench_drafts(table)["per_position_acceptance_rates"] == {"0": 0.8, "1": 0.4}


def test_the_size_of_the_cache_counts_nothing() -> None:
    told = ServerCounters(
        source="a", values={'vllm:cache_config_info{block_size="16",num_gpu_blocks="9"}': 1.0}
    )
    only = PointRecord(index=1, kind="measure", load={}, counters_before=[told])
    assert engine_counts(only) is None, "nothing lacks after the load either"
