import json

import pytest

from inferometer.errors import DataError
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.request import Request
from inferometer.workload.samples import Blocks, encoded, row_writer, samples, trace_row

BUILTIN = BuiltinTokenizer()
CHAT = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say yes"}]


def one(**fields):
    (sample,) = samples([Request(**fields)], BUILTIN)
    return sample


def test_a_sample_keeps_known_lengths_and_counts_others():
    assert one(text="one two", input_tokens_target=9, output_tokens_target=3).input_tokens == 9
    assert one(text="one two").input_tokens == 2
    assert one(messages=CHAT).prompt == "be brief\nsay yes"
    assert one(body={"model": "m", "prompt": "one two three"}).input_tokens == 3
    assert one(body={"messages": CHAT}).messages == CHAT


def test_a_sample_needs_text():
    with pytest.raises(DataError, match="row 0 has neither text nor messages"):
        one(token_ids=[1, 2])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("custom", {"prompt": "one two", "output_tokens": 3}),
        ("openai", {"messages": [{"role": "user", "content": "one two"}], "max_tokens": 3}),
        ("fixed", {"id": 0, "input": "one two"}),
        (
            "mooncake",
            {"timestamp": 0, "input_length": 2, "output_length": 3, "hash_ids": [0]},
        ),
    ],
)
def test_rows_of_each_format(name, row):
    assert row_writer(name, BUILTIN)(one(text="one two", output_tokens_target=3)) == row


@pytest.mark.parametrize(
    ("name", "where"), [("records", ("output",)), ("sharegpt", ("conversations", 1, "value"))]
)
def test_answers_that_nobody_knows_have_their_length(name, where):
    row = row_writer(name, BUILTIN)(one(text="one two", output_tokens_target=30))
    for key in where:
        row = row[key]
    assert BUILTIN.count(row) == 30


def test_blocks_are_equal_for_equal_beginnings_alone():
    blocks = Blocks(BUILTIN, 2)
    assert blocks.of("one two three four five") == [0, 1, 2]
    assert blocks.of("one two three other") == [0, 3]
    assert blocks.of("new old three four five") == [4, 5, 6]
    assert blocks.of("one two three four five") == [0, 1, 2]


def test_a_trace_row_holds_no_text():
    sample = one(text="one two three", output_tokens_target=7, at_ns=1_500_000_000)
    assert trace_row(sample, Blocks(BUILTIN, 2)) == {
        "timestamp_ms": 1500,
        "input_tokens": 3,
        "output_tokens": 7,
        "hash_ids": [0, 1],
        "block_size": 2,
    }


@pytest.mark.parametrize("rows", [[], [{"a": 1}], [{"a": 1}, {"b": "ä"}]])
def test_files_are_json(rows):
    assert json.loads(b"".join(encoded(rows, array=True))) == rows
    lines = b"".join(encoded(rows, array=False)).splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_the_parts_of_a_message_are_text_too():
    content = [{"type": "text", "text": "one two three"}, {"type": "image_url", "image_url": {"url": "x"}}]
    sample = one(messages=[{"role": "user", "content": content}], input_tokens_target=3)
    assert sample.prompt == "one two three"
    assert len(trace_row(sample, Blocks(BUILTIN, 2))["hash_ids"]) == 2
