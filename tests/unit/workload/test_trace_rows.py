"""Each kind of trace, row by row: what is read, and what is told of rows that cannot be used."""

import pytest

from inferometer.errors import DataError
from inferometer.spec import Endpoint, RunSpec, Trace, Workload
from inferometer.workload import open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
MOONCAKE = '{"timestamp": %s, "input_length": %s, "output_length": %s, "hash_ids": %s}\n'
GOOD = MOONCAKE % (0, 513, 3, [7, 8])


@pytest.fixture
def opened(write, make_point):
    def open_it(dataset, content, name="t.jsonl", on_bad_row="fail", **trace):
        spec = RunSpec(
            endpoint=Endpoint(url="http://h:1"),
            workload=Workload(dataset=dataset, dataset_path=str(write(name, content)), on_bad_row=on_bad_row),
            trace=Trace(**trace),
        )
        return open_dataset(spec, make_point(max_concurrency=None, num_prompts=None, trace=True), BUILTIN)

    return open_it


def facts(dataset):
    """Time in s, prompt tokens as asked for and as they are, answer tokens."""
    return [
        (r.at_ns / 1e9, r.input_tokens_target, r.text and BUILTIN.count(r.text), r.output_tokens_target)
        for r in dataset.requests(1, "salt")
    ]


def test_mooncake(opened):
    text = GOOD + MOONCAKE % (1500, 512, 4, [7]) + '{"timestamp":3000,"input_length":5,"output_length":6}\n'
    assert facts(opened("mooncake", text)) == [(0, 513, 513, 3), (1.5, 512, 512, 4), (3, 5, 5, 6)]


def test_bailian_names_the_last_block_or_not(opened):
    row = (
        '{"chat_id": 159, "parent_chat_id": -1, "timestamp": %s, "input_length": 17, "output_length": 2, '
        '"type": "text", "turn": 1, "hash_ids": %s}\n'
    )
    dataset = opened("bailian", row % (61.114, [5, 6]) + row % (62.5, [5]))
    assert facts(dataset) == [(0, 17, 17, 2), (1.386, 17, 17, 2)]
    first, second = (request.text for request in dataset.requests(1, "salt"))
    assert first.split()[:16] == second.split()[:16]
    assert first != second


def test_burstgpt_leaves_out_failures_and_counts_them(opened):
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    rows = (
        "5,ChatGPT,472,18,490,Conversation log\n45.0,GPT-4,20,0,20,API log\n118,GPT-4,1087,230,1317,API log\n"
    )
    dataset = opened("burstgpt", head + rows, "b.csv")
    assert facts(dataset) == [(0, 472, 472, 18), (113, 1087, 1087, 230)]
    assert dataset.info().dropped == {"failed in the trace": 1}
    assert [request.model for request in dataset.requests(1, "s")] == [None, None]


@pytest.mark.parametrize(
    ("head", "first", "second"),
    [
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens",
            "2023-11-16 18:15:46.6805900",
            "2023-11-16 18:15:50.9951690",
        ),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens",
            "2024-05-10 00:00:00.009930+00:00",
            "2024-05-10 00:00:04.324509Z",
        ),
        (
            "\ufeffTIMESTAMP,ContextTokens,GeneratedTokens",
            "2024-05-10T02:00:00+02:00",
            "2024-05-10T00:00:04.314579",
        ),
        ("arrival_timestamp,prompt_size,token_size", "0.0", "4.314579"),
    ],
)
def test_azure_of_both_years(opened, head, first, second):
    dataset = opened("azure", f"{head}\n{first},374,44\n{second},396,109\n", "a.csv")
    assert facts(dataset) == [(0, 374, 374, 44), (4.314579, 396, 396, 109)]


def test_own_format(opened):
    text = (
        '{"timestamp_s": 2, "input_tokens": 10, "output_tokens": 4, "hash_ids": ["a", 1], "block_size": 5}\n'
        '{"timestamp_ms": 2500, "prompt": "Who is it?", "output_tokens": 5, "model": "lora-a", "session": 9}\n'
        '{"timestamp_ms": 2600, "messages": [{"role": "user", "content": "Hi"}], "output_tokens": 6}\n'
    )
    dataset = opened("trace", text)
    made, written, chat = dataset.requests(1, "salt")
    assert (made.at_ns, made.input_tokens_counted, BUILTIN.count(made.text)) == (0, 10, 10)
    assert (written.at_ns, written.text, written.model, written.session) == (5e8, "Who is it?", "lora-a", "9")
    assert written.input_tokens_counted is None
    assert (chat.text, chat.messages) == (None, [{"role": "user", "content": "Hi"}])
    assert dataset.info().expected_hit_share is None


BAD = [
    ("mooncake", MOONCAKE % (-1, 513, 3, [7, 8]), "back_in_time", "it came 0.001 s before the row above it"),
    (
        "mooncake",
        MOONCAKE % (1, -5, 3, [7]),
        "input_length",
        "the input length of -5 tokens has to be at least 1",
    ),
    (
        "mooncake",
        MOONCAKE % (1, 5, 0, [7]),
        "output_length",
        "the output length of 0 tokens has to be at least 1",
    ),
    ("mooncake", MOONCAKE % (1, 10**12, 1, [7]), "input_length", "is above 100000000"),
    ("mooncake", MOONCAKE % (1, 513, 3, [7]), "hash_ids", "1 hash_ids, but 513 tokens are 2 blocks of 512"),
    ("mooncake", MOONCAKE % (1, 513, 3, []), "hash_ids", "0 hash_ids, but 513 tokens are 2 blocks of 512"),
    ("mooncake", MOONCAKE % (1e30, 513, 3, [7, 8]), "time", "is out of range"),
    ("mooncake", '{"timestamp": 1, "input_length": 3}\n', "wrong_type", "output_length"),
    ("mooncake", '{"timestamp": 1, "input_len\n', "broken_json", "line 2"),
    (
        "trace",
        '{"input_tokens": 3, "output_tokens": 1}\n',
        "no_time",
        "exactly one of timestamp_s and timestamp_ms",
    ),
    ("trace", '{"timestamp_s": 9, "output_tokens": 1}\n', "no_length", "input_tokens is missing"),
    ("trace", '{"timestamp_s": 9, "prompt": "", "output_tokens": 1}\n', "prompt_empty", "prompt is empty"),
    (
        "trace",
        '{"timestamp_s": 9, "prompt": "a", "hash_ids": [1], "input_tokens": 1, "output_tokens": 1}\n',
        "two_prompts",
        "prompt and hash_ids both say what the prompt is",
    ),
]


@pytest.mark.parametrize(("dataset", "row", "reason", "words"), BAD)
def test_bad_rows_are_named_or_counted(opened, dataset, row, reason, words):
    good = GOOD if dataset == "mooncake" else '{"timestamp_s": 5, "input_tokens": 2, "output_tokens": 1}\n'
    with pytest.raises(DataError) as error:
        opened(dataset, good + row)
    assert "t.jsonl, line 2" in error.value.message
    assert words in error.value.message
    assert error.value.next_step
    info = opened(dataset, good + row, on_bad_row="skip").info()
    assert info.skipped == {reason: 1}
    assert (info.rows_total, info.rows_usable) == (2, 1)


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ("soon,4,4", "no_number", "TIMESTAMP 'soon' is no number"),
        ("2024-13-10 00:00:00,4,4", "time", "TIMESTAMP '2024-13-10 00:00:00'"),
        ("2024-05-10 00:00:00,many,4", "no_number", "ContextTokens 'many' is no number"),
        ("2024-05-10 00:00:00,4.5,4", "no_number", "ContextTokens 4.5 is no whole number"),
    ],
)
def test_bad_cells_are_named(opened, row, reason, words):
    text = f"TIMESTAMP,ContextTokens,GeneratedTokens\n{row}\n2024-05-10 00:00:00,4,4\n"
    with pytest.raises(DataError) as error:
        opened("azure", text, "a.csv")
    assert words in error.value.message
    assert "a.csv, line 2" in error.value.message
    assert opened("azure", text, "a.csv", on_bad_row="skip").info().skipped == {reason: 1}


def test_a_table_of_another_kind_says_which_column_is_missing(opened):
    with pytest.raises(DataError, match=r"column 'Response tokens' is missing \(there are: a, b\)"):
        opened("burstgpt", "a,b\n1,2\n", "b.csv")


def test_a_row_that_goes_back_in_time_does_not_set_the_clock_back(opened):
    text = "".join(MOONCAKE % (at, 5, 1, [1]) for at in (0, 100, 50, 60, 120))
    dataset = opened("mooncake", text, on_bad_row="skip")
    assert [fact[0] for fact in facts(dataset)] == [0, 0.1, 0.12]
    assert dataset.info().skipped == {"back_in_time": 2}


def test_a_table_of_ones_own_is_read_like_json(opened):
    dataset = opened("trace", "timestamp_s,input_tokens,output_tokens\n0,10,5\n1.5,20,6\n", "own.csv")
    assert facts(dataset) == [(0.0, 10, 10, 5), (1.5, 20, 20, 6)]
