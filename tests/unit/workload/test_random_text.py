from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.errors import DataError
from inferometer.testing.datasets import check_dataset
from inferometer.workload import load_tokenizer
from inferometer.workload.builtin import WORDS, BuiltinTokenizer
from inferometer.workload.random_text import RandomDataset, fixed_lengths

BUILTIN = BuiltinTokenizer()


def heads(dataset, salt, count, seed=0):
    return [tuple(r.text.split()[:2]) for r in islice(dataset.requests(seed, salt), count)]


def test_conformance_with_builtin():
    check_dataset(lambda: RandomDataset(BUILTIN, fixed_lengths(64, 16)))


def test_conformance_with_a_file_tokenizer(bpe_file):
    tokenizer = load_tokenizer(str(bpe_file))
    check_dataset(lambda: RandomDataset(tokenizer, fixed_lengths(64, 16)))


@settings(deadline=None, max_examples=50)
@given(length=st.integers(1, 400), seed=st.integers(-(2**40), 2**40), salt=st.text(max_size=8).map(repr))
def test_every_prompt_has_exactly_the_asked_length(length, seed, salt):
    dataset = RandomDataset(BUILTIN, fixed_lengths(length, 32))
    for request in islice(dataset.requests(seed, salt), 3):
        assert BUILTIN.count(request.text) == length == request.input_tokens_target
        assert request.output_tokens_target == 32


@pytest.mark.parametrize("length", [1, 2, 3, 17, 500])
def test_a_file_tokenizer_counts_exactly_the_asked_length(bpe_file, length):
    tokenizer = load_tokenizer(str(bpe_file))
    dataset = RandomDataset(tokenizer, fixed_lengths(length, 8))
    texts = [r.text for r in islice(dataset.requests(1, "a"), 20)]
    assert {tokenizer.count(text) for text in texts} == {length}
    assert len(set(texts)) == 20


def test_one_load_point_shares_no_first_token_in_any_thousand_prompts():
    seen = heads(RandomDataset(BUILTIN, fixed_lengths(2, 1)), "point", 3 * len(WORDS))
    for start in (0, 500, 2000):
        assert len({first for first, _ in seen[start : start + len(WORDS)]}) == len(WORDS)
    assert len(set(seen)) == len(seen)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    salts=st.lists(st.text("abcdefghij-0123456789", max_size=12), min_size=2, max_size=2, unique=True),
)
def test_two_salts_share_no_prefix_of_more_than_one_token(seed, salts):
    dataset = RandomDataset(BUILTIN, fixed_lengths(16, 1))
    one, other = (set(heads(dataset, salt, 4, seed)) for salt in salts)
    assert not one & other


def test_three_long_points_share_hardly_any_two_tokens():
    points = [heads(RandomDataset(BUILTIN, fixed_lengths(8, 1)), f"point-{i}", 300) for i in range(3)]
    everything = [head for point in points for head in point]
    assert len(everything) - len(set(everything)) <= 2


def test_seed_and_salt_decide_the_text():
    dataset = RandomDataset(BUILTIN, fixed_lengths(8, 1))
    first = next(dataset.requests(0, "a")).text
    assert first == next(RandomDataset(BUILTIN, fixed_lengths(8, 1)).requests(0, "a")).text
    assert first != next(dataset.requests(1, "a")).text
    assert first != next(dataset.requests(0, "b")).text


def test_info_says_what_is_estimated_and_when_prompts_repeat():
    long, short = (
        RandomDataset(BUILTIN, fixed_lengths(8, 1)).info(),
        RandomDataset(BUILTIN, fixed_lengths(1, 1)).info(),
    )
    assert (long.path, long.rows_total, long.tokenizer, long.tokenizer_exact) == (
        None,
        None,
        "builtin",
        False,
    )
    assert long.notes == ["prompt lengths are estimates of the builtin tokenizer"]
    assert short.notes[1] == f"prompts of 1 tokens repeat after {len(WORDS)} requests"


class Merging(BuiltinTokenizer):
    """Counts one token less for each pair of equal neighbours: a length that must be mended."""

    name = "merging"
    words = WORDS[:20]

    def count(self, text):
        words = text.split()
        return len(words) - sum(a == b for a, b in pairwise(words))


class Doubling(BuiltinTokenizer):
    """Counts two tokens a word, so that odd lengths do not exist."""

    name = "doubling"

    def count(self, text):
        return 2 * len(text.split())


def test_text_that_comes_out_short_is_mended():
    tokenizer = Merging()
    for request in islice(RandomDataset(tokenizer, fixed_lengths(200, 1)).requests(0, "a"), 10):
        assert tokenizer.count(request.text) == 200


def test_text_that_comes_out_long_is_cut():
    tokenizer = Doubling()
    for request in islice(RandomDataset(tokenizer, fixed_lengths(200, 1)).requests(0, "a"), 10):
        assert tokenizer.count(request.text) == 200


def test_a_length_out_of_reach_is_refused():
    with pytest.raises(DataError, match=r"no random prompt of exactly 201 tokens in \d+ tries.*doubling"):
        next(RandomDataset(Doubling(), fixed_lengths(201, 1)).requests(0, "a"))


def test_a_tokenizer_without_words_is_refused():
    class Wordless(BuiltinTokenizer):
        words = ("one", "two")

    with pytest.raises(DataError, match="has 2 one-token English words"):
        RandomDataset(Wordless(), fixed_lengths(8, 1))
