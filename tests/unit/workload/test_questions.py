import json

import duckdb
import pytest

from inferometer.errors import DataError, UsageError
from inferometer.spec import RunSpec, Sampling, Sessions, Workload
from inferometer.testing.datasets import check_dataset
from inferometer.workload import load_tokenizer, open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()


@pytest.fixture
def opened(make_point):
    """Open a file under a data set's name."""

    def open_it(path, dataset="openqa", *, tokenizer=BUILTIN, output_len=None, turns=None, **fields):
        sampling = Sampling(max_tokens=fields.pop("max_tokens", None))
        workload = Workload(dataset=dataset, dataset_path=str(path), **fields)
        sessions = Sessions() if turns is None else Sessions(multi_turn=True, turns=turns)
        spec = RunSpec(workload=workload, sessions=sessions, sampling=sampling)
        return open_dataset(spec, make_point(output_len=output_len), tokenizer)

    return open_it


def texts(dataset):
    return [request.text for request in dataset.requests(0, "")]


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_conformance_on_gsm8k(gsm8k, opened):
    check_dataset(lambda: opened(gsm8k, output_len=64))


def test_gsm8k_in_file_order(gsm8k, opened):
    dataset = opened(gsm8k, output_len=64)
    requests = list(dataset.requests(5, "any"))
    assert [r.row for r in requests] == list(range(1319))
    assert requests[0].text.startswith("Janet’s ducks lay 16 eggs per day.")
    assert requests[0].input_tokens_target == BUILTIN.count(requests[0].text)
    assert {r.output_tokens_target for r in requests} == {64}
    info = dataset.info()
    assert (info.rows_total, info.rows_usable, info.dropped, info.skipped) == (1319, 1319, {}, {})


def test_humaneval_packed_with_its_white_space(gsm8k, opened):
    path = gsm8k.with_name("HumanEval.jsonl.gz")
    check_dataset(lambda: opened(path, "humaneval"))
    requests = list(opened(path, "humaneval").requests(0, ""))
    assert len(requests) == 164
    assert requests[0].text.startswith("from typing import List\n\n\ndef has_close_elements(")
    assert requests[0].text.endswith('"""\n')
    assert {r.output_tokens_target for r in requests} == {None}


def test_question_or_prompt_stripped_and_answers_unknown(write, opened):
    path = write("q.jsonl", '{"question": " one \\n", "answer": 3}\n{"prompt": "two"}\n')
    requests = list(opened(path).requests(0, ""))
    assert [(r.text, r.output_tokens_target) for r in requests] == [("one", None), ("two", None)]


def test_hc3_with_its_lists_of_answers_as_table_too(write, opened, tmp_path):
    row = {"question": "为什么天是蓝的？", "human_answers": ["a"], "chatgpt_answers": ["b"]}
    assert texts(opened(write("q.jsonl", lines(row)))) == ["为什么天是蓝的？"]
    path = tmp_path / "test-00000-of-00001.parquet"
    duckdb.connect().execute(f"COPY (SELECT 'how many?' AS question, '#### 3' AS answer) TO '{path}'")
    assert texts(opened(path)) == ["how many?"]
    assert texts(opened(write("q.csv", "question,answer\nhow many?,3\n"))) == ["how many?"]


def test_limits_count_characters_with_the_estimate(write, opened):
    path = write("q.jsonl", lines(*({"question": text} for text in ("123", "1234", "12345", ""))))
    dataset = opened(path, min_prompt_length=4, max_prompt_length=4)
    assert dataset.info().rows_usable is None
    assert texts(dataset) == ["1234"]
    info = dataset.info()
    assert info.dropped == {"prompt_too_short": 2, "prompt_too_long": 1}
    assert (info.rows_total, info.rows_usable) == (4, 1)
    assert texts(dataset) == ["1234"]
    assert dataset.info() == info


def test_limits_count_tokens_with_the_models_tokenizer(write, opened, bpe_file):
    path = write("q.jsonl", '{"question": "about"}\n{"question": "about able about able"}\n')
    assert texts(opened(path, tokenizer=load_tokenizer(str(bpe_file)), max_prompt_length=2)) == ["about"]


BAD = '{"question": "good"}\n{"question": 3}\n{"question": \n{"text": "b"}\n{"question": " "}\n"text"\n'


def test_bad_rows_are_counted_by_reason_when_they_are_skipped(write, opened):
    dataset = opened(write("q.jsonl", BAD), on_bad_row="skip")
    check_dataset(lambda: dataset)
    assert texts(dataset) == ["good"]
    info = dataset.info()
    assert info.skipped == {"wrong_type": 2, "broken_json": 1, "no_prompt": 1, "prompt_empty": 1}
    assert (info.rows_total, info.rows_usable) == (6, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"question": "a"}\n{"text": "b", "id": 1}\n',
            r"line 2: no 'question' or 'prompt'.*fields: text, id.*--column prompt=NAME",
        ),
        ('{"question": 3}\n', r"line 1: 'question' is a text, not int: {\"question\": 3}"),
        ('{"question": "a"}\n{"question": \n', r"line 2, column 14"),
        ('{"question": "a"}\n{"question": " "}\n', r"line 2: the prompt is empty.*--on-bad-row skip"),
        ("plain words\n", r"line 1, column 1.*plain words"),
        ("[]", r"has no rows"),
        ("[3]", r"line 1: a row is an object with named fields, not int: 3"),
    ],
)
def test_broken_rows_are_named(write, opened, content, message):
    with pytest.raises(DataError, match=message):
        opened(write("q.jsonl", content))


ALPACA = [
    {"instruction": "Sort the list.", "input": "3 1 2", "output": "1 2 3 4 5"},
    {"instruction": "Say hello.", "input": "", "output": "hello there"},
    {"instruction": "Name a colour.", "input": "", "output": ""},
]


def test_alpaca_joins_instruction_and_input_and_takes_the_length_of_output(write, opened):
    path = write("alpaca_data.json", ALPACA)
    check_dataset(lambda: opened(path, "alpaca"))
    dataset = opened(path, "alpaca")
    requests = list(dataset.requests(0, ""))
    assert [r.text for r in requests] == ["Sort the list.\n3 1 2", "Say hello."]
    assert [r.output_tokens_target for r in requests] == [BUILTIN.count("1 2 3 4 5"), 2]
    assert dataset.info().dropped == {"answer_empty": 1}
    assert [r.output_tokens_target for r in opened(path, "alpaca", output_len=9).requests(0, "")] == [9, 9, 9]


def test_longalpaca_takes_the_instruction_alone(write, opened):
    path = write("LongAlpaca-12k.json", [{"instruction": "a long one", "output": "x", "file": "f"}])
    (request,) = opened(path, "longalpaca").requests(0, "")
    assert (request.text, request.output_tokens_target) == ("a long one", None)


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "Write a sort.", "output": "code"}, "Write a sort."),
        ({"input": " Write a sort. ", "output": "code"}, "Write a sort."),
        ({"instruction": "Write code.", "input": "A sort.", "output": "code"}, "Write code.\nA sort."),
        ({"question": "Write a sort."}, "Write a sort."),
        (
            {
                "chat_rounds": [
                    {"role": "system", "content": "s"},
                    {"role": "human", "content": "Write a sort."},
                    {"role": "bot", "content": "code"},
                ]
            },
            "Write a sort.",
        ),
    ],
    ids=["instruction", "input", "both", "renamed", "rounds"],
)
def test_codefuse_in_all_its_field_names(write, opened, row, prompt):
    (request,) = opened(write("data.json", lines(row)), "codefuse").requests(0, "")
    assert (request.text, request.output_tokens_target) == (prompt, None)


BENCH = [
    {"question_id": 81, "category": "writing", "turns": ["Write a letter.", "Shorten it."]},
    {"question_id": 101, "category": "math", "turns": ["Add 2 and 3.", "And 4?"], "reference": ["5", "9"]},
]


@pytest.mark.parametrize("name", ["mtbench", "specbench"])
def test_the_first_turn_or_all_turns_of_the_categories_asked_for(write, opened, name):
    path = write("question.jsonl", lines(*BENCH))
    check_dataset(lambda: opened(path, name, turns=0))
    assert texts(opened(path, name)) == ["Write a letter.", "Add 2 and 3."]
    dataset = opened(path, name, category=["math"], turns=0)
    (session,) = dataset.requests(0, "")
    assert session.text == "Add 2 and 3."
    assert [(turn.content, turn.reply) for turn in session.later] == [("And 4?", None)]
    assert dataset.info().dropped == {"other_category": 1}
    with pytest.raises(DataError, match=r"no row of category 'maths'.*math, writing"):
        opened(path, name, category=["maths"])


def test_mtbench_as_table_has_its_turns_under_prompt(opened, tmp_path):
    path = tmp_path / "train.parquet"
    select = "SELECT 81 AS prompt_id, ['one', 'two'] AS prompt, 'writing' AS category, [] AS reference"
    duckdb.connect().execute(f"COPY ({select}) TO '{path}'")
    (session,) = opened(path, "mtbench", turns=0).requests(0, "")
    assert (session.text, [turn.content for turn in session.later]) == ("one", ["two"])


def test_turns_that_are_no_texts_are_named(write, opened):
    with pytest.raises(DataError, match=r"line 1: no list of texts under 'turns'.*fields: turns"):
        opened(write("q.jsonl", lines({"turns": [3]})), "mtbench")


def test_a_prompt_and_answer_above_the_models_length_is_a_bad_row(write, opened):
    path = write("q.jsonl", lines({"question": "one two"}, {"question": "one two three"}))
    asked = {"max_model_len": 10, "max_tokens": 8}
    with pytest.raises(
        DataError, match=r"line 2: prompt of 3 tokens \+ answer of 8 is 11, above --max-model-len 10"
    ):
        opened(path, **asked)
    dataset = opened(path, **asked, on_bad_row="skip")
    assert texts(dataset) == ["one two"]
    assert dataset.info().skipped == {"max_model_len": 1}
    with pytest.raises(DataError, match=r"answer of 2048.*--max-tokens N"):
        opened(path, max_model_len=2000)


def test_a_file_is_asked_for(opened, make_point):
    with pytest.raises(UsageError, match=r"'humaneval' needs a file.*--dataset-path FILE"):
        open_dataset(RunSpec(workload=Workload(dataset="humaneval")), make_point(), BUILTIN)


def test_a_limit_in_tokens_counts_tokens_with_the_estimate_too(write, opened):
    path = write("q.jsonl", lines({"question": "able " * 9}, {"question": "able " * 30}))
    assert texts(opened(path, max_prompt_tokens=20)) == [("able " * 9).strip()]
    assert texts(opened(path, max_prompt_length=20)) == [], (
        "characters, as EvalScope counts without a tokenizer"
    )
