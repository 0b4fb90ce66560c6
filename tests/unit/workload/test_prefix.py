from collections import Counter
from itertools import combinations, islice

import pytest

from inferometer.errors import DataError
from inferometer.spec import Endpoint, Prefix, RunSpec, Workload
from inferometer.spec.lengths import LengthPlan, Uniform
from inferometer.testing.datasets import check_dataset
from inferometer.workload import open_dataset
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.exact import make_maker
from inferometer.workload.prefix import PrefixedDataset, Prefixes, prefix_texts
from inferometer.workload.random_text import RandomDataset, fixed_lengths
from inferometer.workload.request import DatasetInfo, Request

BUILTIN = BuiltinTokenizer()


def prefixes(kind="words", **part):
    return Prefixes(Prefix(**part), make_maker(BUILTIN, kind))


def common(first, second):
    one, other = BUILTIN.encode(first.text), BUILTIN.encode(second.text)
    return next(at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)


@pytest.mark.parametrize("kind", ["words", "english", "chinese"])
def test_prompts_of_a_group_share_exactly_the_prefix_and_keep_their_length(kind):
    maker = make_maker(BUILTIN, kind)
    shared = Prefixes(Prefix(prefix_len=40, prefix_groups=3), maker)
    dataset = RandomDataset(BUILTIN, fixed_lengths(100, 8), maker, shared)
    requests = list(islice(dataset.requests(1, "salt"), 30))
    assert {BUILTIN.count(request.text) for request in requests} == {100}
    assert {request.group for request in requests} == {0, 1, 2}
    for first, second in combinations(requests, 2):
        assert common(first, second) == (40 if first.group == second.group else 0)


def test_conformance():
    maker = make_maker(BUILTIN, "words")
    shared = prefixes(prefix_len=20, prefix_groups=2, prefix_share=0.5)
    check_dataset(lambda: RandomDataset(BUILTIN, fixed_lengths(64, 8), maker, shared))


def test_the_share_is_kept_in_every_stretch():
    groups = list(islice(prefixes(prefix_len=9, prefix_share=0.3).groups(0), 640))
    for start in range(0, 640, 64):
        having = sum(group is not None for group in groups[start : start + 64])
        assert having in (19, 20)
    assert sum(group is not None for group in groups) == 192


def test_popular_groups_come_first_in_zipf():
    shared = prefixes(prefix_len=9, prefix_groups=4, prefix_popularity="zipf", prefix_zipf=1.0)
    counted = Counter(islice(shared.groups(0), 6400))
    assert [group for group, _ in counted.most_common()] == [0, 1, 2, 3]
    assert 1.8 < counted[0] / counted[1] < 2.2
    even = Counter(islice(prefixes(prefix_len=9, prefix_groups=4).groups(0), 6400))
    assert max(even.values()) < 1.2 * min(even.values())


def test_each_load_point_has_prefixes_of_its_own_and_the_same_groups():
    shared = prefixes(prefix_len=30, prefix_groups=5)
    first, second = shared.leads(0, "a"), shared.leads(0, "b")
    assert first == shared.leads(0, "a")
    assert not set(first) & set(second)
    assert len(set(first)) == 5


def test_the_expected_hit_share():
    maker = make_maker(BUILTIN, "words")
    shared = prefixes(prefix_len=30, prefix_share=0.5)
    dataset = RandomDataset(BUILTIN, fixed_lengths(100, 8), maker, shared)
    assert dataset.info().expected_hit_share == 0.15
    varied = RandomDataset(BUILTIN, LengthPlan(Uniform(40, 80)), maker, shared)
    assert varied.info().expected_hit_share == 0.25
    assert RandomDataset(BUILTIN, fixed_lengths(100, 8)).info().expected_hit_share is None


def test_more_groups_than_short_prefixes_are_refused():
    with pytest.raises(DataError, match="--prefix-groups 2000 different prefixes of 2 tokens do not exist"):
        prefixes(prefix_len=2, prefix_groups=2000)


def open_file(write, make_point, rows, **prefix):
    spec = RunSpec(
        endpoint=Endpoint(url="http://h"),
        workload=Workload(dataset="openqa", dataset_path=str(write("q.jsonl", rows))),
        prefix=Prefix(**prefix),
    )
    return open_dataset(spec, make_point(output_len=8), BUILTIN)


def test_the_prefix_comes_before_the_prompts_of_a_file(write, make_point):
    rows = '{"question": "One two three four"}\n{"question": "Five six seven eight"}\n'
    dataset = open_file(write, make_point, rows, prefix_len=20)
    first, second = dataset.requests(0, "salt")
    lead, _, question = first.text.rpartition("\n")
    assert question == "One two three four"
    assert second.text == f"{lead}\nFive six seven eight"
    assert BUILTIN.count(f"{lead}\n") == 20
    assert (first.input_tokens_target, first.group, first.row) == (24, 0, 0)
    assert dataset.info().expected_hit_share == 20 / 24


def test_prefixes_by_themselves_for_a_cache_that_is_to_be_warm(make_point):
    spec = RunSpec(workload=Workload(input_len=64), prefix=Prefix(prefix_len=16, prefix_groups=3))
    point = make_point(input_len=64, output_len=4)
    alone = prefix_texts(spec, point, BUILTIN, "salt")
    assert [request.group for request in alone] == [0, 1, 2]
    for request in islice(open_dataset(spec, point, BUILTIN).requests(point.seed, "salt"), 20):
        assert request.text.startswith(alone[request.group].text)
    assert prefix_texts(RunSpec(), point, BUILTIN, "salt") == []


class Rows:
    """A data set of the requests it was given."""

    def __init__(self, *requests):
        self._requests = requests

    def info(self):
        return DatasetInfo(name="rows", rows_total=len(self._requests))

    def requests(self, seed, salt):
        yield from self._requests


CHAT = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say yes"}]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Request(messages=CHAT), lambda r: r.messages[0]["content"]),
        (Request(body={"messages": CHAT, "n": 1}), lambda r: r.body["messages"][0]["content"]),
        (Request(body={"prompt": "be brief"}), lambda r: r.body["prompt"]),
    ],
)
def test_messages_and_whole_bodies_begin_with_the_prefix_too(request_, text):
    shared = prefixes(prefix_len=9)
    (found,) = PrefixedDataset(Rows(request_), shared, BUILTIN).requests(0, "a")
    assert text(found) == f"{shared.leads(0, 'a')[0]}be brief"
    assert found.group == 0


def test_a_request_without_text_cannot_have_a_prefix():
    dataset = PrefixedDataset(Rows(Request(token_ids=[1], row=3)), prefixes(prefix_len=9), BUILTIN)
    with pytest.raises(DataError, match="data set rows, row 3: --prefix-len puts text"):
        next(dataset.requests(0, "a"))


def test_a_count_without_the_prefix_is_not_kept():
    rows = Rows(Request(text="be brief", input_tokens_target=2, input_tokens_counted=2))
    (found,) = PrefixedDataset(rows, prefixes(prefix_len=9), BUILTIN).requests(0, "a")
    assert (found.input_tokens_target, found.input_tokens_counted) == (11, None)


def test_a_shared_prefix_takes_its_part_of_the_models_length(write, make_point):
    path = write("q.jsonl", '{"prompt": "one two three"}\n')

    def first(limit):
        workload = Workload(dataset="custom", dataset_path=str(path), max_model_len=limit)
        spec = RunSpec(workload=workload, prefix=Prefix(prefix_len=9))
        return next(open_dataset(spec, make_point(output_len=4), BUILTIN).requests(0, "a"))

    assert first(16).input_tokens_target == 12
    with pytest.raises(
        DataError, match=r"prompt of 12 tokens \(9 of them the shared prefix\) \+ answer of 4 is 16"
    ):
        first(15)
