from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import DataError
from inferometer.spec import RunSpec, Workload
from inferometer.workload import RowFeed, open_dataset
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.entries import Entries, Entry, FileDataset, Plan, PromptLimits
from inferometer.workload.rows import Source

BUILTIN = BuiltinTokenizer()


def questions(count, shortest=0, output_len=None):
    entries = [Entry(row=n, place=f"line {n + 1}", text=f"question number {n}") for n in range(count)]
    source = Source("q.jsonl", "0", (), iter(()))
    plan = Plan("q.jsonl", output_len=output_len)
    return FileDataset("openqa", source, Entries(entries, count), plan, PromptLimits(shortest), BUILTIN)


def feed_of(count, oversample=False):
    dataset = questions(count)
    return RowFeed(lambda point: dataset, oversample)


def rows(requests):
    return [request.row for request in requests]


def test_each_load_point_continues_where_the_one_before_stopped(make_point):
    feed = feed_of(10)
    assert rows(feed.take(make_point(num_prompts=2, kind="warmup"), "w")) == [0, 1]
    assert rows(feed.take(make_point(num_prompts=3), "0")) == [2, 3, 4]
    assert rows(feed.take(make_point(num_prompts=5), "1")) == [5, 6, 7, 8, 9]
    assert (feed.reused, feed.repeated) == (0, 0)


def test_a_short_rest_is_used_up_then_the_file_starts_from_the_top(make_point):
    feed = feed_of(10)
    list(feed.take(make_point(num_prompts=8), "0"))
    assert rows(feed.take(make_point(num_prompts=5), "1")) == [8, 9, 0, 1, 2]
    assert (feed.reused, feed.repeated) == (3, 0)
    assert rows(feed.take(make_point(num_prompts=5), "2")) == [3, 4, 5, 6, 7]
    assert feed.reused == 5
    assert rows(feed.take(make_point(num_prompts=4), "3")) == [8, 9, 0, 1]


def test_a_file_that_is_too_short_is_refused_with_two_ways_out(make_point):
    feed = feed_of(3)
    with pytest.raises(DataError) as caught:
        feed.take(make_point(num_prompts=5), "0")
    assert "q.jsonl has 3 usable rows of 3" in str(caught.value)
    assert "5 requests were asked for" in str(caught.value)
    assert "--num-prompts 3" in str(caught.value)
    assert "--oversample" in str(caught.value)


def test_oversample_repeats_rows_in_order_and_counts_them(make_point):
    feed = feed_of(3, oversample=True)
    assert rows(feed.take(make_point(num_prompts=8), "0")) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert (feed.reused, feed.repeated) == (0, 5)


def test_a_point_bounded_by_time_repeats_rows_as_needed(make_point):
    feed = feed_of(3)
    list(feed.take(make_point(num_prompts=2), "0"))
    endless = feed.take(make_point(num_prompts=None, duration_s=1.0), "1")
    assert rows(islice(endless, 2)) == [2, 0]
    assert (feed.reused, feed.repeated) == (1, 0)
    assert rows(islice(endless, 5)) == [1, 2, 0, 1, 2]
    assert (feed.reused, feed.repeated) == (2, 4)


@pytest.mark.parametrize("number", [None, 1])
def test_a_file_without_usable_rows_is_refused_before_the_load(make_point, number):
    dataset = questions(3, shortest=999)
    with pytest.raises(DataError, match=r"0 usable rows of 3 \(dropped: prompt_too_short 3\).*loosen"):
        RowFeed(lambda point: dataset, oversample=True).take(make_point(num_prompts=number), "0")


@given(
    total=st.integers(1, 12),
    takes=st.lists(st.integers(1, 12), max_size=6),
    oversample=st.booleans(),
)
def test_rows_are_fresh_as_long_as_there_are_any(make_point, total, takes, oversample):
    feed = feed_of(total, oversample)
    sent = []
    for count in takes:
        if count > total and not oversample:
            with pytest.raises(DataError):
                feed.take(make_point(num_prompts=count), "")
            return
        got = rows(feed.take(make_point(num_prompts=count), ""))
        assert len(got) == count
        assert feed.repeated == count - len(set(got)) == max(0, count - total)
        assert feed.reused == len(set(got) & set(sent))
        assert feed.reused == max(0, min(count, total) - (total - len(set(sent))))
        sent += got


def test_generated_text_is_opened_anew_for_each_length(make_point):
    feed = RowFeed(lambda point: open_dataset(RunSpec(), point, BUILTIN))
    short = list(feed.take(make_point(num_prompts=3, input_len=8, output_len=4), "0"))
    long = list(feed.take(make_point(num_prompts=2, input_len=32, output_len=4), "1"))
    assert [r.input_tokens_target for r in short + long] == [8, 8, 8, 32, 32]
    endless = feed.take(make_point(num_prompts=None, input_len=32, output_len=4), "2")
    assert len(list(islice(endless, 50))) == 50
    assert feed.dataset.info().name == "random"


def test_a_file_is_opened_once_while_the_lengths_stay_the_same(make_point):
    opened = []

    def open_point(point):
        opened.append(point.output_len)
        return questions(9, output_len=point.output_len)

    feed = RowFeed(open_point)
    taken = []
    for seed, output_len in enumerate((None, None, 4)):
        taken += rows(feed.take(make_point(num_prompts=2, output_len=output_len, seed=seed), ""))
    assert opened == [None, 4]
    assert taken == [0, 1, 2, 3, 4, 5]


def test_another_seed_still_gives_fresh_rows(make_point, write):
    turns = [{"value": "one two three four"}, {"value": "five six seven eight"}]
    path = str(write("s.json", [{"conversations": turns}] * 20))
    workload = Workload(dataset="sharegpt", dataset_path=path)
    feed = RowFeed(lambda point: open_dataset(RunSpec(workload=workload), point, BUILTIN))
    taken = [r for seed in range(4) for r in feed.take(make_point(num_prompts=5, seed=seed), "")]
    assert sorted(rows(taken)) == list(range(20))


def test_a_warm_up_may_repeat_the_rows_of_a_short_file(make_point):
    feed = feed_of(2)
    assert rows(feed.take(make_point(kind="warmup", num_prompts=5), "0")) == [0, 1, 0, 1, 0]
    assert rows(feed.take(make_point(num_prompts=2), "1")) == [0, 1]
    with pytest.raises(DataError, match="2 usable rows"):
        feed.take(make_point(num_prompts=3), "2")
