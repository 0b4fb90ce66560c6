from itertools import islice, pairwise

import numpy as np
import pytest
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from inferometer.errors import DataError
from inferometer.testing.datasets import check_dataset
from inferometer.workload import load_tokenizer
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.corpus import corpus, is_cjk, passages
from inferometer.workload.exact import IdMaker, TextMaker, make_maker
from inferometer.workload.random_text import RandomDataset, fixed_lengths

KINDS = ("words", "english", "chinese", "mixed")
LENGTHS = (1, 2, 3, 9, 60, 511, 513, 900)
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def trained(split, to_text, model, **settings):
    backend = Backend(model)
    backend.pre_tokenizer, backend.decoder = split, to_text
    texts = [corpus("english")[:60_000], corpus("chinese")[:12_000]]
    backend.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **settings))
    return backend


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """One that splits as current models do, one that marks words with a sign as SentencePiece does."""
    folder = tmp_path_factory.mktemp("exact")
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_bpe = trained(
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), to_bytes]),
        decoders.ByteLevel(),
        models.BPE(),
        vocab_size=3000,
        initial_alphabet=alphabet,
        special_tokens=["<s>"],
    )
    signs = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    marked = trained(
        pre_tokenizers.Metaspace(),
        decoders.Metaspace(),
        models.BPE(byte_fallback=True, unk_token="<unk>"),
        vocab_size=4000,
        special_tokens=signs,
    )
    found = {"builtin": BuiltinTokenizer()}
    for name, backend in (("bytes", bytes_bpe), ("marked", marked)):
        path = folder / f"{name}.json"
        backend.save(str(path))
        found[name] = load_tokenizer(str(path))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["builtin", "bytes", "marked"])
def test_every_prompt_has_exactly_its_tokens_and_none_comes_twice(tokenizers, name, kind):
    tokenizer = tokenizers[name]
    maker = make_maker(tokenizer, kind)
    for length in LENGTHS:
        requests = RandomDataset(tokenizer, fixed_lengths(length, 1), maker).requests(3, "salt")
        texts = [request.text for request in islice(requests, 12)]
        assert {len(tokenizer.encode(text)) for text in texts} == {length}
        assert len(set(texts)) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_conformance(tokenizers, kind):
    check_dataset(
        lambda: RandomDataset(
            tokenizers["bytes"], fixed_lengths(600, 8), make_maker(tokenizers["bytes"], kind)
        )
    )


@pytest.mark.parametrize("kind", ["english", "chinese", "mixed"])
def test_prose_differs_from_its_first_token_on(tokenizers, kind):
    tokenizer = tokenizers["bytes"]
    dataset = RandomDataset(tokenizer, fixed_lengths(600, 1), make_maker(tokenizer, kind))
    firsts = [tokenizer.encode(r.text)[0] for r in islice(dataset.requests(0, "a"), 40)]
    assert len(set(firsts)) == 40


def test_a_prompt_longer_than_the_corpus_goes_round(tokenizers):
    tokenizer = tokenizers["builtin"]
    total = tokenizer.count(corpus("english"))
    text = make_maker(tokenizer, "english").prompt(5, 2 * total + 77, np.random.default_rng(0))
    assert tokenizer.count(text) == 2 * total + 77


def test_chinese_prompts_are_chinese(tokenizers):
    text = make_maker(tokenizers["builtin"], "chinese").prompt(7, 600, np.random.default_rng(0))
    letters = [sign for sign in text if sign.isalpha()]
    assert all(map(is_cjk, letters))


def test_parts_of_the_corpus_add_up(tokenizers):
    assert passages(tokenizers["bytes"], "english").additive
    assert passages(tokenizers["bytes"], "mixed").additive
    assert passages(tokenizers["builtin"], "chinese").additive


class Joining(BuiltinTokenizer):
    """Counts one token less for each pair of neighbours that begin alike, wherever they stand."""

    name = "joining"

    def count(self, text):
        words = text.split()
        return len(words) - sum(a[0] == b[0] for a, b in pairwise(words))

    def starts(self, text):
        return [0] * self.count(text)


class Bare:
    """A tokenizer that can only count, as a server's."""

    name, exact = "bare", True

    def count(self, text):
        return BuiltinTokenizer().count(text)

    def encode(self, text):
        return BuiltinTokenizer().encode(text)

    def decode(self, ids):
        raise NotImplementedError


@pytest.mark.parametrize("tokenizer", [Joining(), Bare()])
@pytest.mark.parametrize("kind", ["words", "english"])
def test_a_tokenizer_whose_parts_do_not_add_up_gets_whole_counts(tokenizer, kind):
    maker = make_maker(tokenizer, kind)
    for number in range(6):
        text = maker.prompt(number, 700, np.random.default_rng(number))
        assert tokenizer.count(text) == 700


def test_ids_are_of_the_vocabulary_and_differ_at_once(tokenizers):
    tokenizer = tokenizers["bytes"]
    dataset = RandomDataset(tokenizer, fixed_lengths(50, 1), make_maker(tokenizer, "token-ids"))
    requests = list(islice(dataset.requests(0, "a"), 100))
    assert {len(r.token_ids) for r in requests} == {50}
    assert len({r.token_ids[0] for r in requests}) == 100
    assert 0 not in {token for r in requests for token in r.token_ids}  # the special one
    assert requests == list(islice(dataset.requests(0, "a"), 100))


def test_ids_need_a_vocabulary():
    with pytest.raises(DataError, match="no vocabulary to draw token ids from"):
        IdMaker(BuiltinTokenizer())


@pytest.mark.parametrize("kind", KINDS)
def test_a_lead_keeps_its_tokens_before_any_prompt(tokenizers, kind):
    tokenizer = tokenizers["bytes"]
    maker, rng = TextMaker(tokenizer, kind), np.random.default_rng(0)
    for tokens in (2, 7, 100, 700):
        lead = maker.lead(tokens, tokens, rng)
        ids = tokenizer.encode(lead)
        assert len(ids) == tokens
        for number in (1, 2, 3):
            whole = tokenizer.encode(maker.prompt(number, tokens + 600, rng, lead))
            assert len(whole) == tokens + 600
            assert whole[:tokens] == ids
