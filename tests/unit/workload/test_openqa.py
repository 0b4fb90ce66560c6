import pytest

from inferometer.errors import DataError
from inferometer.testing.datasets import check_dataset
from inferometer.workload import load_tokenizer
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.files import read_text
from inferometer.workload.openqa import OpenqaDataset

BUILTIN = BuiltinTokenizer()


def open_file(path, tokenizer=BUILTIN, **limits):
    return OpenqaDataset(read_text(str(path)), tokenizer, **limits)


def test_conformance_on_gsm8k(gsm8k):
    check_dataset(lambda: open_file(gsm8k, output_len=64))


def test_gsm8k_in_file_order(gsm8k):
    dataset = open_file(gsm8k, output_len=64)
    requests = list(dataset.requests(5, "any"))
    assert [r.row for r in requests] == list(range(1319))
    assert requests[0].text.startswith("Janet’s ducks lay 16 eggs per day.")
    assert requests[0].input_tokens_target == BUILTIN.count(requests[0].text)
    assert {r.output_tokens_target for r in requests} == {64}
    info = dataset.info()
    assert (info.rows_total, info.rows_usable, info.dropped) == (1319, 1319, {})


def test_compressed_rows_with_prompt(gsm8k):
    dataset = open_file(gsm8k.with_name("HumanEval.jsonl.gz"))
    check_dataset(lambda: dataset)
    assert dataset.info().rows_total == 164


def test_question_or_prompt_stripped_and_answers_unknown(write):
    path = write("q.jsonl", '{"question": " one \\n", "answer": 3}\n{"prompt": "two"}\n')
    requests = list(open_file(path).requests(0, ""))
    assert [(r.text, r.output_tokens_target) for r in requests] == [("one", None), ("two", None)]


def test_limits_count_characters_with_the_estimate(write):
    path = write(
        "q.jsonl", '{"question": "123"}\n{"question": "1234"}\n{"question": "12345"}\n{"question": ""}\n'
    )
    dataset = open_file(path, shortest=4, longest=4)
    assert dataset.info().rows_usable is None
    assert [r.text for r in dataset.requests(0, "")] == ["1234"]
    info = dataset.info()
    assert info.dropped == {"prompt_too_short": 1, "prompt_too_long": 1, "prompt_empty": 1}
    assert (info.rows_total, info.rows_usable) == (4, 1)
    assert [r.text for r in dataset.requests(0, "")] == ["1234"]
    assert dataset.info() == info


def test_limits_count_tokens_with_the_models_tokenizer(write, bpe_file):
    path = write("q.jsonl", '{"question": "about"}\n{"question": "about able about able"}\n')
    dataset = open_file(path, load_tokenizer(str(bpe_file)), longest=2)
    assert [r.text for r in dataset.requests(0, "")] == ["about"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"question": "a"}\n{"text": "b", "id": 1}\n',
            r"line 2: no 'question' or 'prompt'.*fields: text, id",
        ),
        ('{"question": 3}\n', r"line 1: Expected `str \| null`, got `int`"),
        ('{"question": "a"}\n{"question": \n', r"line 2, column 14"),
        ('[{"question": "a"}]', r"is a JSON array.*--dataset sharegpt.*jq"),
        ("plain words\n", r"line 1, column 1.*plain words"),
    ],
)
def test_broken_rows_are_named(write, content, message):
    with pytest.raises(DataError, match=message):
        open_file(write("q.jsonl", content))
