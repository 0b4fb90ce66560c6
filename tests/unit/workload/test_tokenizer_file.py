import pytest

from inferometer.errors import DataError, UsageError
from inferometer.workload import load_tokenizer
from inferometer.workload.builtin import BuiltinTokenizer


@pytest.mark.parametrize("name", ["builtin", "none"])
def test_builtin_by_name(name):
    assert isinstance(load_tokenizer(name), BuiltinTokenizer)


def test_a_file_counts_exactly_without_start_token_or_truncation(bpe_file):
    tokenizer = load_tokenizer(str(bpe_file))
    text = "about the able action " * 10
    ids = tokenizer.encode(text)
    assert tokenizer.exact
    assert tokenizer.name == str(bpe_file)
    assert len(ids) == tokenizer.count(text) > 8
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode([0, *ids]) == text


def test_a_directory_stands_for_the_file_in_it(bpe_file):
    assert load_tokenizer(str(bpe_file.parent)).name == str(bpe_file)


def test_words_are_one_token_at_the_start_and_after_a_space(bpe_file):
    tokenizer = load_tokenizer(str(bpe_file))
    assert len(tokenizer.words) >= 50
    assert all(tokenizer.count(w) == 1 and tokenizer.count(f"{w} {w}") == 2 for w in tokenizer.words)


def test_a_directory_without_tokenizer_json_says_what_it_has_and_what_to_do(write):
    path = write("tokenizer.model", b"x").parent
    write("tokenizer_config.json", {})
    with pytest.raises(DataError) as caught:
        load_tokenizer(str(path))
    assert "found: tokenizer_config.json, tokenizer.model" in str(caught.value)
    assert "save_pretrained" in str(caught.value)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B-Instruct", "gpt2"])
def test_a_hub_name_says_which_file_to_fetch(name):
    with pytest.raises(UsageError, match=r"no local path.*fetch tokenizer.json of .* by hand"):
        load_tokenizer(name)


@pytest.mark.parametrize("name", ["/no/such/tokenizer.json", "./model", "models/tokenizer.json"])
def test_a_missing_path(name):
    with pytest.raises(DataError, match="does not exist"):
        load_tokenizer(name)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"{}"])
def test_a_broken_file(write, content):
    with pytest.raises(DataError, match="cannot be loaded"):
        load_tokenizer(str(write("tokenizer.json", content)))
