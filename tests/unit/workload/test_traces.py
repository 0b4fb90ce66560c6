"""Traces as data sets: what they share, when requests are due, and how they are scaled and cut."""

import json
from pathlib import Path

import pytest

from inferometer.errors import DataError, UsageError
from inferometer.spec import Endpoint, RunSpec, Trace, Workload
from inferometer.testing.datasets import check_dataset
from inferometer.workload import RowFeed, load_tokenizer, open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
# Second request: two of the first one's blocks; third: one; fourth: the name of a known block after another one.
ROWS = [
    {"timestamp": 1000, "input_length": 1100, "output_length": 10, "hash_ids": [1, 2, 3]},
    {"timestamp": 2000, "input_length": 1200, "output_length": 20, "hash_ids": [1, 2, 4]},
    {"timestamp": 2000, "input_length": 600, "output_length": 30, "hash_ids": [1, 5]},
    {"timestamp": 5000, "input_length": 1024, "output_length": 40, "hash_ids": [6, 2]},
]
EXPECTED = (1024 + 512) / (1100 + 1200 + 600 + 1024)


@pytest.fixture
def spec_of(write):
    def make(rows=ROWS, workload=None, **trace):
        path = write("t.jsonl", "\n".join(map(json.dumps, rows)))
        return RunSpec(
            endpoint=Endpoint(url="http://h:1"),
            workload=Workload(dataset="mooncake", dataset_path=str(path), **(workload or {})),
            trace=Trace(**trace),
        )

    return make


@pytest.fixture
def replayed(make_point):
    return make_point(max_concurrency=None, num_prompts=None, trace=True)


def texts(dataset, salt="salt"):
    return [request.text for request in dataset.requests(3, salt)]


def common(first, second):
    """Words that two prompts have in common at their beginning."""
    pairs = zip(first.split(), second.split(), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first.split()), len(second.split())))


def test_prompts_share_exactly_the_blocks_that_the_trace_names(spec_of, replayed):
    first, second, third, fourth = texts(open_dataset(spec_of(), replayed, BUILTIN))
    assert [BUILTIN.count(text) for text in (first, second, third, fourth)] == [1100, 1200, 600, 1024]
    assert 1024 <= common(first, second) <= 1026
    assert 512 <= common(first, third) <= 514
    assert common(first, fourth) <= 2
    assert first.split()[512:1024] == fourth.split()[512:]


def test_another_salt_shares_nothing(spec_of, replayed):
    dataset = open_dataset(spec_of(), replayed, BUILTIN)
    assert texts(dataset) == texts(dataset)
    assert common(texts(dataset)[0], texts(dataset, "other")[0]) <= 2


def test_the_expected_share_is_that_of_an_endless_cache(spec_of, replayed, make_point):
    dataset = open_dataset(spec_of(), replayed, BUILTIN)
    assert dataset.info().expected_hit_share == pytest.approx(EXPECTED)
    cut = dataset.for_point(make_point(max_concurrency=None, num_prompts=2, trace=True))
    assert cut.info().expected_hit_share == pytest.approx(1024 / 2300)


def test_the_conformance_suite(spec_of, replayed, bpe_file):
    for tokenizer in (BUILTIN, load_tokenizer(str(bpe_file))):
        check_dataset(lambda tokenizer=tokenizer: open_dataset(spec_of(), replayed, tokenizer))


def test_with_the_model_s_own_tokenizer_lengths_are_exact(spec_of, replayed, bpe_file):
    tokenizer = load_tokenizer(str(bpe_file))
    for request in open_dataset(spec_of(), replayed, tokenizer).requests(3, "salt"):
        assert tokenizer.count(request.text) == request.input_tokens_target == request.input_tokens_counted


def test_what_has_to_be_known_of_a_trace_is_told(spec_of, replayed, bpe_file):
    info = open_dataset(spec_of(trace_loop=2), replayed, BUILTIN).info()
    assert (info.name, info.rows_total, info.rows_usable, info.tokenizer_exact) == ("mooncake", 4, 4, False)
    assert info.notes == [
        "prompt lengths are estimates of the builtin tokenizer",
        "replayed 2 times, with made prompts of their own each time",
    ]
    exact = open_dataset(spec_of(), replayed, load_tokenizer(str(bpe_file))).info()
    assert (exact.tokenizer, exact.tokenizer_exact, exact.notes) == (str(bpe_file), True, [])


def test_a_tokenizer_that_joins_words_is_refused(spec_of, replayed):
    class Joining(BuiltinTokenizer):
        name = "joining"

        def count(self, text):
            return super().count(text) - text.count(" a")

    with pytest.raises(DataError, match=r"tokenizer joining counts .* it joins words"):
        open_dataset(spec_of(), replayed, Joining()).requests(3, "salt")


def test_requests_are_due_at_their_recorded_times(spec_of, replayed):
    dataset = open_dataset(spec_of(trace_speed=20), replayed, BUILTIN)
    assert list(dataset.offsets_ns()) == [0, 50_000_000, 50_000_000, 200_000_000]
    assert [request.at_ns for request in dataset.requests(1, "s")] == list(dataset.offsets_ns())


def test_a_window_keeps_the_distance_to_its_beginning(spec_of, replayed):
    dataset = open_dataset(spec_of(trace_window="500ms-4s"), replayed, BUILTIN)
    assert list(dataset.offsets_ns()) == [500_000_000, 500_000_000]
    assert dataset.info().dropped == {"outside --trace-window": 2}
    assert dataset.info().expected_hit_share == pytest.approx(512 / 1800)


def test_a_window_with_nothing_in_it_says_how_long_the_trace_is(spec_of, replayed):
    with pytest.raises(
        DataError, match=r"no usable row of 4 .left out: outside --trace-window 4.; it is 4 s long"
    ):
        open_dataset(spec_of(trace_window="10m-15m"), replayed, BUILTIN)


def test_loops_follow_each_other_with_prompts_of_their_own(spec_of, replayed):
    dataset = open_dataset(spec_of(trace_loop=2), replayed, BUILTIN)
    # A mean gap, 4 s / 3, lies between the last arrival of a pass and the first of the next.
    assert list(dataset.offsets_ns())[3:6] == [4_000_000_000, 5_333_333_333, 6_333_333_333]
    made = texts(dataset)
    assert len(made) == 8
    assert common(made[0], made[4]) <= 2
    assert 1024 <= common(made[4], made[5]) <= 1026
    assert dataset.info().expected_hit_share == pytest.approx(EXPECTED)


def test_a_window_is_as_long_as_it_is_when_it_is_replayed_again(spec_of, replayed):
    dataset = open_dataset(spec_of(trace_loop=2, trace_window="1s-3s"), replayed, BUILTIN)
    assert list(dataset.offsets_ns()) == [0, 0, 2_000_000_000, 2_000_000_000]


def test_scaled_lengths_keep_the_blocks(spec_of, replayed):
    dataset = open_dataset(spec_of(trace_input_scale=0.1, trace_output_scale=2), replayed, BUILTIN)
    requests = list(dataset.requests(1, "s"))
    assert [r.input_tokens_target for r in requests] == [51 * 2 + 8, 51 * 2 + 18, 51 + 9, 102]
    assert [r.output_tokens_target for r in requests] == [20, 40, 60, 80]
    assert 102 <= common(requests[0].text, requests[1].text) <= 104
    assert all(BUILTIN.count(r.text) == r.input_tokens_target for r in requests)


def test_a_load_point_cuts_the_trace_by_number_and_by_time(spec_of, make_point):
    spec = spec_of()
    feed = RowFeed(lambda point: open_dataset(spec, point, BUILTIN))
    point = make_point(max_concurrency=None, num_prompts=None, trace=True)
    assert feed.settle(point).num_prompts == 4
    for changes, number in (({"num_prompts": 3}, 3), ({"duration_s": 1.0}, 1), ({"duration_s": 1.5}, 3)):
        cut = feed.settle(make_point(max_concurrency=None, **({"num_prompts": None} | changes), trace=True))
        assert cut.num_prompts == number
        assert len(list(feed.take(cut, "s"))) == len(feed.offsets_ns(cut)) == number


def test_each_load_point_sends_the_trace_from_its_beginning(spec_of, make_point):
    spec = spec_of()
    feed = RowFeed(lambda point: open_dataset(spec, point, BUILTIN))
    for point in (make_point(num_prompts=2, kind="warmup"), make_point(num_prompts=3)):
        assert [request.row for request in feed.take(point, "s")] == [0, 1, 2][: point.num_prompts]
        assert (feed.reused, feed.repeated) == (0, 0)


def test_a_trace_that_is_too_short_says_how_often_it_would_have_to_be_replayed(spec_of, make_point):
    spec = spec_of()
    with pytest.raises(DataError) as error:
        open_dataset(spec, make_point(num_prompts=9), BUILTIN)
    assert "has 4 requests to send, and 9 were asked for" in error.value.message
    assert "--trace-loop 3" in error.value.next_step
    again = spec_of(workload={"oversample": True})
    assert len(texts(open_dataset(again, make_point(num_prompts=9), BUILTIN))) == 9


def test_a_time_limit_before_the_first_request_is_refused(spec_of, make_point):
    point = make_point(max_concurrency=None, num_prompts=None, trace=True, duration_s=0.2)
    with pytest.raises(DataError, match=r"within --duration 0\.2s; the first comes after 0\.5 s"):
        open_dataset(spec_of(trace_window="500ms-"), point, BUILTIN)


def test_a_replay_that_cannot_be_planned_is_refused(spec_of, replayed):
    for trace in ({"trace_loop": 100_000_000}, {"trace_speed": 1e-12}):
        with pytest.raises(UsageError, match="more than can be planned"):
            open_dataset(spec_of(**trace), replayed, BUILTIN)


def test_a_context_limit_makes_long_rows_bad(spec_of, replayed):
    with pytest.raises(DataError, match="1200 prompt and 20 answer tokens are above --max-model-len 1150"):
        open_dataset(spec_of(workload={"max_model_len": 1150}), replayed, BUILTIN)
    info = open_dataset(
        spec_of(workload={"max_model_len": 1150, "on_bad_row": "skip"}), replayed, BUILTIN
    ).info()
    assert (info.skipped, info.rows_usable) == ({"max_model_len": 1}, 3)


def test_models_can_be_mixed_into_a_trace(spec_of, make_point):
    spec = spec_of(workload={"model_mix": ("a=1", "b=1")})
    feed = RowFeed(lambda point: open_dataset(spec, point, BUILTIN))
    point = feed.settle(make_point(max_concurrency=None, num_prompts=None, trace=True))
    assert {request.model for request in feed.take(point, "s")} == {"a", "b"}
    assert len(feed.offsets_ns(point)) == 4


def test_the_mooncake_trace(replayed):
    path = DATA / "traces" / "mooncake_conversation.jsonl"
    if not path.exists():
        pytest.skip(f"sample data is not here: {path}")
    spec = RunSpec(
        endpoint=Endpoint(url="http://h:1"),
        workload=Workload(dataset="mooncake", dataset_path=str(path)),
        trace=Trace(trace_speed=20, trace_window="0s-20m"),
    )
    dataset = open_dataset(spec, replayed, BUILTIN)
    info, offsets = dataset.info(), dataset.offsets_ns()
    assert (info.rows_total, info.rows_usable) == (12031, 3658)
    assert (len(offsets), offsets[0], offsets[-1]) == (3658, 0, 59_999_950_000)
    assert info.expected_hit_share == pytest.approx(0.3236, abs=1e-4)
    for place, request in enumerate(dataset.requests(0, "salt")):
        if place % 500 == 0:
            assert BUILTIN.count(request.text) == request.input_tokens_target
