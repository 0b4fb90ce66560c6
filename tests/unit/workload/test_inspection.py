import numpy as np
import pytest

from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.inspection import inspect, inspection_lines, language, shared_share
from inferometer.workload.recognise import recognise
from inferometer.workload.request import Request
from inferometer.workload.samples import samples

BUILTIN = BuiltinTokenizer()


def ids(*tokens):
    return np.array(tokens, dtype=">u4").tobytes()


def test_what_an_endless_cache_would_serve():
    assert shared_share([ids(1, 2, 3, 4), ids(1, 2, 9), ids(5, 6, 7)]) == 2 / 10
    assert shared_share([ids(1, 2), ids(1, 2), ids(1, 2)]) == 4 / 6
    assert shared_share([ids(1, 2, 3), ids(1, 2), ids(1)]) == 3 / 6
    assert shared_share([ids(256), ids(1)]) == 0
    assert shared_share([]) == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How many apples are left?", "english"),
        ("def main(): return 0", "english"),
        ("还剩下多少苹果？", "chinese"),
        ("Please explain the idiom 守株待兔 to me, with an example of its use.", "mixed"),
        ("Сколько яблок осталось?", "other"),
        ("12 + 30 = ?", "other"),
    ],
)
def test_languages(text, name):
    assert language(text) == name


def test_a_small_data_set():
    texts = ["one two three", "one two four five", "one two three", "学而时习之"]
    requests = [Request(text=text, output_tokens_target=7) for text in texts]
    found = inspect(samples(requests, BUILTIN), BUILTIN)
    assert (found.rows, found.duplicates) == (4, 1)
    assert found.languages == {"english": 3, "chinese": 1}
    assert (found.inputs[0], found.inputs[-1]) == (3, 4)
    assert set(found.outputs) == {7}
    assert found.shared == 5 / 14
    assert sum(number for _, number in found.bins) == 4
    text = "\n".join(inspection_lines(found, BUILTIN))
    assert "35.7 % of prompt tokens" in text
    assert "estimated" in text


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "hello", ("line", ())),
        ("a.json", [{"conversations": []}], ("sharegpt", ())),
        (
            "a.json",
            [{"input": "x", "output": "y", "instruction": "NA"}],
            ("custom", ("prompt=input", "output=output")),
        ),
        ("a.json", [{"input": "x", "output": "y", "instruction": "do"}], ("alpaca", ())),
        ("a.json", [{"id": 1, "input": "x"}], ("custom", ("prompt=input",))),
        (
            "a.jsonl",
            {"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": []},
            ("mooncake", ()),
        ),
        (
            "a.jsonl",
            {"chat_id": 1, "timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": []},
            ("bailian", ()),
        ),
        ("a.csv", "Timestamp,Model,Request tokens,Response tokens\n1,x,2,3\n", ("burstgpt", ())),
        ("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n", ("azure", ())),
        ("a.jsonl", {"prompt": "x"}, ("custom", ())),
        ("a.csv", "prompt,answer\nx,y\n", ("custom", ())),
    ],
)
def test_a_file_is_recognised_by_its_first_row(write, name, content, expected):
    assert recognise(str(write(name, content))) == expected
