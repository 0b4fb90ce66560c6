import json

import duckdb
import pytest

from inferometer.errors import DataError
from inferometer.spec import RunSpec, Sessions, Workload
from inferometer.testing.datasets import check_dataset
from inferometer.workload import open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi there"},
    {"role": "user", "content": "how are you"},
    {"role": "assistant", "content": "very well thanks"},
]


@pytest.fixture
def opened(make_point):
    def open_it(path, dataset="custom", *, turns=None, output_len=None, **fields):
        workload = Workload(dataset=dataset, dataset_path=str(path), **fields)
        sessions = Sessions() if turns is None else Sessions(multi_turn=True, turns=turns)
        spec = RunSpec(workload=workload, sessions=sessions)
        return open_dataset(spec, make_point(output_len=output_len), BUILTIN)

    return open_it


def requests(dataset):
    return list(dataset.requests(0, ""))


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_usual_columns_are_taken_and_told(write, opened):
    rows = [
        {"id": 1, "question": "why", "answer": "because of it"},
        {"id": 2, "question": "who", "answer": None},
    ]
    dataset = opened(write("q.jsonl", lines(*rows)))
    check_dataset(lambda: opened(write("q.jsonl", lines(*rows))))
    assert [(r.text, r.output_tokens_target) for r in requests(dataset)] == [("why", 3), ("who", None)]
    assert dataset.info().notes == ["columns taken: prompt = question, output = answer; not used: id"]


def test_named_columns_are_the_only_ones_taken(write, opened):
    path = write("q.csv", "prompt,mine,n,who\nno,yes,7,lora-a\n")
    dataset = opened(path, column=["prompt=mine", "output_tokens=n", "model=who"])
    (request,) = requests(dataset)
    assert (request.text, request.output_tokens_target, request.model) == ("yes", 7, "lora-a")
    assert dataset.info().notes == []


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables(write, opened, tmp_path, ending):
    if ending == "parquet":
        path = tmp_path / "q.parquet"
        select = "SELECT 'why' AS prompt, 5.0::DOUBLE AS output_tokens, 'be brief' AS system"
        duckdb.connect().execute(f"COPY ({select}) TO '{path}'")
    else:
        rows = [["prompt", "output_tokens", "system"], ["why", "5", "be brief"]]
        path = write(f"q.{ending}", "\n".join({"csv": ",", "tsv": "\t"}[ending].join(row) for row in rows))
    (request,) = requests(opened(path))
    assert request.output_tokens_target == 5
    assert request.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "why"},
    ]


@pytest.mark.parametrize(
    "row",
    [
        TALK,
        {"messages": TALK},
        {"conversations": [{"from": m["role"], "value": m["content"]} for m in TALK]},
        {"system": "be brief", "messages": TALK[1:]},
        {"prompt": TALK},
        {"messages": json.dumps(TALK)},
    ],
    ids=["list", "messages", "from", "system", "prompt", "text"],
)
def test_a_list_of_messages_goes_without_its_last_answer(write, opened, row):
    path = write("q.jsonl", lines(row))
    (request,) = requests(opened(path))
    assert request.messages == TALK[:4]
    assert request.output_tokens_target == 3
    (session,) = requests(opened(path, turns=0))
    assert session.messages == TALK[:2]
    assert session.output_tokens_target == 2
    assert [(t.content, t.reply, t.output_tokens_target) for t in session.later] == [
        ("how are you", "hi there", 3)
    ]
    (bounded,) = requests(opened(path, turns=1))
    assert bounded.later == []


def test_questions_without_answers_are_a_session_too(write, opened):
    (session,) = requests(opened(write("q.jsonl", lines([TALK[1], TALK[3]])), turns=0))
    assert [(turn.content, turn.reply) for turn in session.later] == [("how are you", None)]


BODY = {"model": "x", "messages": TALK[:2], "temperature": 0.3, "max_tokens": 9}


@pytest.mark.parametrize("row", [BODY, {"timestamp": 3, "body": BODY}, {"body": json.dumps(BODY)}])
def test_whole_request_bodies(write, opened, row):
    path = write("q.jsonl", lines(row))
    check_dataset(lambda: opened(path))
    (request,) = requests(opened(path))
    assert (request.body, request.text, request.messages, request.output_tokens_target) == (
        BODY,
        None,
        None,
        9,
    )
    assert request.input_tokens_target == BUILTIN.count("be brief\nhello")


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (
            '{"a": 1}',
            [],
            r"line 1: no prompt in this row \(columns: a\).*--column prompt=NAME.*--dataset line",
        ),
        (
            '{"q": "a"}\n{"p": "b"}',
            ["prompt=q"],
            r"line 2: no column 'q'.*columns: p.*correct --column prompt=q",
        ),
        ('{"prompt": 3}', [], r"line 1: prompt is a text, not int"),
        ('{"prompt": ""}', ["prompt=prompt"], r"line 1: the prompt is empty"),
        ('{"prompt": "a", "max_tokens": "x"}', [], r"tokens of an answer are a whole number.*'x'"),
        ('{"prompt": "a", "max_tokens": -1}', [], r"tokens of an answer are a whole number.*-1"),
        ('{"messages": 3}', [], r"messages is a JSON list, not int"),
        ('{"messages": [{"content": "a"}]}', [], r"a message by None"),
        ('{"messages": [{"role": "user", "content": " "}]}', [], r"the prompt is empty"),
        ('{"body": {"max_tokens": 3}}', [], r"without 'messages' or 'prompt' is no request body"),
        ("3", [], r"a row is an object, a list of messages or text, not int"),
    ],
)
def test_rows_that_cannot_be_used_are_named(write, opened, content, columns, message):
    path = write("q.jsonl", content)
    with pytest.raises(DataError, match=message):
        opened(path, column=columns)
    assert sum(opened(path, column=columns, on_bad_row="skip").info().skipped.values()) == 1


def test_columns_are_found_in_the_first_row_that_has_some(write, opened):
    dataset = opened(write("q.jsonl", '{"id": 1}\n{"query": "why"}\n'), on_bad_row="skip")
    assert [r.text for r in requests(dataset)] == ["why"]
    assert dataset.info().skipped == {"no_prompt": 1}


def test_one_prompt_a_line(write, opened):
    path = write("p.txt", f" plain words \n\n[1] not JSON\n{json.dumps(TALK)}\n{json.dumps(BODY)}\n[1, 2]\n")
    check_dataset(lambda: opened(path, "line"))
    found = requests(opened(path, "line"))
    assert [r.text for r in found] == ["plain words", "[1] not JSON", None, None, "[1, 2]"]
    assert found[2].messages == TALK
    assert found[3].body == BODY


def test_an_object_that_is_no_request_is_no_line(write, opened):
    with pytest.raises(
        DataError, match=r"line 1: a JSON object without 'messages' or 'prompt'.*--dataset custom"
    ):
        opened(write("p.txt", '{"question": "why"}\n'), "line")


def test_a_request_in_a_table_is_sent_in_numbers_of_json(tmp_path, opened):
    path = tmp_path / "rows.parquet"
    select = "SELECT 'hi' AS prompt, 1.50::DECIMAL(4,2) AS temperature, 7::DECIMAL(4,0) AS max_tokens"
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    (request,) = requests(opened(path))
    assert request.body == {"prompt": "hi", "temperature": 1.5, "max_tokens": 7}


@pytest.mark.parametrize("cell", ["'nan'::DOUBLE", "'a'::BLOB", "DATE '2026-01-01'"])
def test_a_request_in_a_table_with_values_that_json_has_not_is_a_bad_row(tmp_path, opened, cell):
    path = tmp_path / "rows.parquet"
    duckdb.connect().execute(f"COPY (SELECT 'hi' AS prompt, {cell} AS seed) TO '{path}' (FORMAT parquet)")
    with pytest.raises(DataError, match="row 1: a request is JSON, which has no"):
        opened(path)


@pytest.mark.parametrize("dataset", ["custom", "line"])
@pytest.mark.parametrize("messages", [["hi"], {"role": "user"}, "hi"])
def test_messages_of_a_request_are_objects(write, opened, dataset, messages):
    with pytest.raises(DataError, match="line 1: the messages of a request are a list of objects"):
        opened(write("q.jsonl", lines({"messages": messages, "temperature": 0})), dataset)
