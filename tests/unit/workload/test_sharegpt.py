import json
import random
from dataclasses import asdict, replace

import pytest

from inferometer.errors import DataError
from inferometer.spec import LoadPoint, RunSpec, Sessions, Workload
from inferometer.testing.datasets import check_dataset
from inferometer.workload import open_dataset
from inferometer.workload.builtin import WORDS, BuiltinTokenizer
from inferometer.workload.sharegpt import ShareGptLimits


class Counting(BuiltinTokenizer):
    """Counts its own calls."""

    def __init__(self):
        self.calls = 0

    def count(self, text):
        self.calls += 1
        return super().count(text)


def words(count):
    return " ".join(WORDS[:count])


def row(prompt_words, answer_words, name="id"):
    turns = [{"from": "human", "value": words(prompt_words)}, {"from": "gpt", "value": words(answer_words)}]
    return {"id": name, "conversations": turns}


POINT = LoadPoint(
    index=1, kind="measure", max_concurrency=1, request_rate=None, burstiness=1.0, num_prompts=1,
    duration_s=None, input_len=None, output_len=None, seed=0,
)  # fmt: skip


def open_file(path, tokenizer=None, *, limits=None, output_len=None, turns=None, **fields):
    """With ``turns``, sessions of at most so many."""
    sharegpt = {f"sharegpt_{name}": value for name, value in asdict(limits or ShareGptLimits()).items()}
    workload = Workload(dataset="sharegpt", dataset_path=str(path), **sharegpt, **fields)
    sessions = Sessions() if turns is None else Sessions(multi_turn=True, turns=turns)
    spec = RunSpec(workload=workload, sessions=sessions)
    point = replace(POINT, output_len=output_len)
    return open_dataset(spec, point, tokenizer or BuiltinTokenizer())


def lengths(dataset, seed=0):
    return [(r.input_tokens_target, r.output_tokens_target) for r in dataset.requests(seed, "any")]


def test_conformance(write):
    path = write("s.json", [row(n, n + 1) for n in range(1, 60)])
    check_dataset(lambda: open_file(path))


EDGES = [row(3, 9), row(4, 4), row(4, 3), row(1000, 4), row(900, 900), row(1, 1)]


def test_the_rules_of_vllm(write):
    dataset = open_file(write("s.json", EDGES), limits=ShareGptLimits(max_input=999, max_total=1799))
    assert lengths(dataset) == [(4, 4)]
    info = dataset.info()
    assert info.dropped == {
        "prompt_too_short": 2, "answer_too_short": 1, "prompt_too_long": 1, "total_too_long": 1,
    }  # fmt: skip
    assert (info.rows_total, info.rows_usable) == (6, 1)


def test_limits_are_kept_at_their_own_value(write):
    dataset = open_file(write("s.json", EDGES), limits=ShareGptLimits(max_input=1000, max_total=1800))
    assert sorted(lengths(dataset)) == [(4, 4), (900, 900), (1000, 4)]


@pytest.mark.parametrize(
    ("limits", "more"),
    [
        (ShareGptLimits(0, 4, 999, 1799), [(3, 9)]),
        (ShareGptLimits(4, 0, 999, 1799), [(4, 3)]),
        (ShareGptLimits(4, 4, 0, 1799), [(1000, 4)]),
        (ShareGptLimits(4, 4, 999, 0), [(900, 900)]),
    ],
)
def test_each_rule_is_switched_off_by_zero(write, limits, more):
    assert sorted(lengths(open_file(write("s.json", EDGES), limits=limits))) == sorted([(4, 4), *more])


def test_a_fixed_answer_length_is_sent_and_not_too_short(write):
    dataset = open_file(write("s.json", EDGES), limits=ShareGptLimits(max_input=999), output_len=2)
    assert sorted(lengths(dataset)) == [(4, 2), (4, 2), (900, 2)]


def test_a_fixed_answer_length_counts_in_the_total(write):
    assert lengths(open_file(write("s.json", [row(10, 10)]), output_len=2039)) == []


def test_other_key_names_and_missing_turns(write):
    rows = [
        {"conversation": [{"role": "user", "content": words(5)}, {"content": words(6)}, {"value": "more"}]},
        {"conversations": [{"from": "human", "value": words(9)}]},
        {"conversations": []},
    ]
    dataset = open_file(write("s.json", rows))
    assert [(r.row, r.text) for r in dataset.requests(0, "")] == [(0, words(5))]
    assert dataset.info().dropped == {"fewer_than_two_turns": 2}


def test_order_is_pythons_shuffle_of_the_two_turn_rows(write):
    path = write("s.json", [{"conversations": []}] + [row(n, 5) for n in range(10, 40)])
    expected = list(range(1, 31))
    random.Random(3).shuffle(expected)
    assert [r.row for r in open_file(path).requests(3, "x")] == expected
    assert [r.row for r in open_file(path).requests(4, "x")] != expected


def test_only_rows_that_are_drawn_are_tokenised_and_only_once(write):
    tokenizer = Counting()
    dataset = open_file(write("s.json", [row(10, 10)] * 500), tokenizer)
    draw = dataset.requests(0, "")
    for _ in range(5):
        next(draw)
    assert tokenizer.calls == 10
    assert dataset.info().rows_usable is None
    list(dataset.requests(0, ""))
    list(dataset.requests(0, ""))
    assert tokenizer.calls == 1000
    assert dataset.info().rows_usable == 500


def test_empty_texts_are_never_sent(write):
    none = ShareGptLimits(0, 0, 0, 0)
    path = write("s.json", [{"conversations": [{"value": "a"}, {"value": ""}]}])
    dataset = open_file(path, limits=none)
    assert lengths(dataset) == []
    assert dataset.info().dropped == {"answer_empty": 1}
    blank = write("s.json", [{"conversations": [{"value": " "}, {"value": "a"}]}])
    with pytest.raises(DataError, match="line 1: the prompt is empty"):
        open_file(blank, limits=none)
    assert lengths(open_file(blank, limits=none, on_bad_row="skip")) == []
    assert lengths(open_file(blank)) == []  # a filter drops it anyway


def test_conversations_one_a_line_and_pairs_as_swift_writes_them(write):
    pair = {"human": words(5), "assistant": words(6)}
    dataset = open_file(write("s.jsonl", json.dumps({"conversation": [pair, pair]}) + "\n"))
    assert [(r.text, r.output_tokens_target) for r in dataset.requests(0, "")] == [(words(5), 6)]


TALK = [
    {"from": "system", "value": "be brief"},
    {"from": "gpt", "value": "hello, how can I help"},
    {"from": "human", "value": words(5)},
    {"from": "gpt", "value": words(6)},
    {"from": "human", "value": words(7)},
    {"from": "gpt", "value": words(8)},
    {"from": "human", "value": words(9)},
    {"from": "gpt", "value": words(10)},
    {"from": "human", "value": "thanks"},
]


def test_a_conversation_is_a_session(write):
    path = write("s.json", [{"conversations": TALK}])
    check_dataset(lambda: open_file(path, turns=0))
    (session,) = open_file(path, turns=0).requests(0, "")
    assert session.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": words(5)},
    ]
    assert session.output_tokens_target == 6
    assert [(t.content, t.reply, t.input_tokens_target, t.output_tokens_target) for t in session.later] == [
        (words(7), words(6), 7, 8),
        (words(9), words(8), 9, 10),
    ]


def test_sessions_are_bounded_and_need_an_answer(write):
    unanswered = {"conversations": [{"from": "human", "value": words(5)}]}
    path = write("s.json", [{"conversations": TALK}, unanswered])
    dataset = open_file(path, turns=2)
    (session,) = dataset.requests(0, "")
    assert [turn.content for turn in session.later] == [words(7)]
    assert dataset.info().dropped == {"fewer_than_two_turns": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n{"conversations": []},\n{"id": 3}\n]', r"line 3: no 'conversations' or .*fields: id.*\"id\": 3"),
        (
            '[{"conversations": [{"text": "a"}, {"value": "b"}]}]',
            r"line 1: a turn without 'value' or 'content'",
        ),
        ('[\n\n{"conversations": "a"}]', r"line 3: Expected `array \| null`"),
        ("[\n3]", r"line 2: Expected `object`"),
        ('[{"conversations": []},\n', r"line 2, column 1: "),
        ('{"question": "a"}\n', r"line 1: no 'conversations'.*--dataset openqa"),
        ('[{"instruction": "a"}]', r"fields: instruction.*--dataset openqa"),
    ],
)
def test_broken_files_are_named(write, content, message):
    with pytest.raises(DataError, match=message):
        open_file(write("s.json", content))


def test_an_unknown_speaker_is_named(write):
    row = {"conversations": [{"from": "narrator", "value": "a"}, {"from": "gpt", "value": "b"}]}
    with pytest.raises(DataError, match=r"line 1: a message by 'narrator'.*human"):
        open_file(write("s.json", [row]), turns=0)


def test_bad_rows_are_counted_when_they_are_skipped(write):
    rows = [row(10, 10), {"id": 3}, 7, {"conversations": "a"}, row(11, 11)]
    dataset = open_file(write("s.json", rows), on_bad_row="skip")
    assert sorted(lengths(dataset)) == [(10, 10), (11, 11)]
    info = dataset.info()
    assert info.skipped == {"no_messages": 1, "wrong_type": 2}
    assert (info.rows_total, info.rows_usable, info.dropped) == (5, 2, {})
