import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import UsageError
from inferometer.workload.builtin import WORDS, BuiltinTokenizer

TOKENIZER = BuiltinTokenizer()

ENGLISH = (
    "The quick response of a model depends on how many requests are waiting in front of it. When the queue grows, "
    "every user sees a longer delay before the first word appears, even though the machine itself is not slower."
)
CHINESE = "大模型推理服务的性能取决于请求的到达方式和输出长度。当并发增加时，首字延迟会上升，吞吐量也会逐渐接近上限。"
CODE = (
    "def total(rows):\n    result = 0\n    for row in rows:\n        result += row.value\n    return result\n"
)


def test_each_word_counts_one_alone_and_after_a_space():
    assert len(WORDS) >= 500
    assert len(set(WORDS)) == len(WORDS)
    assert [w for w in WORDS if TOKENIZER.count(w) != 1 or TOKENIZER.count(f" {w}") != 1] == []
    assert TOKENIZER.count(" ".join(WORDS)) == len(WORDS)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [(ENGLISH, 3.8, 5.2), (CHINESE, 1.2, 1.7), (CODE, 2.5, 4.2)],
    ids=["english", "chinese", "code"],
)
def test_characters_per_token_are_those_of_modern_vocabularies(text, low, high):
    assert low <= len(text) / TOKENIZER.count(text) <= high


def test_gsm8k_questions_come_to_about_four_characters_a_token(gsm8k):
    text = gsm8k.read_text()
    assert 2.5 <= len(text) / TOKENIZER.count(text) <= 4.5


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("understanding", 2),
        ("getName", 2),
        ("12345", 2),
        ("it's", 2),
        ("你好", 2),
        ("你好吗", 2),
        ("カタカナ", 3),
        ("안녕하세요 세계", 6),
        ("Привет", 2),
        ("\n\n", 1),
        ("   x", 2),
    ],
)
def test_rules_by_script(text, tokens):
    assert TOKENIZER.count(text) == tokens


@given(st.text())
def test_count_is_the_number_of_ids_for_any_text(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.count(text) == len(ids)
    assert (not ids) == (not text)
    assert len(ids) <= len(text)


@given(st.text(), st.integers(min_value=0, max_value=20))
def test_ids_depend_on_the_text_alone(text, words):
    prefix = " ".join(WORDS[:words])
    assert TOKENIZER.encode(prefix) == TOKENIZER.encode(prefix + "\n" + text)[:words]


def test_ids_are_the_same_in_every_version():
    assert TOKENIZER.encode("hello world") == [907060870, 1245397707]


def test_an_estimate_cannot_be_decoded():
    with pytest.raises(UsageError, match=r"builtin tokenizer cannot decode 2 ids.*--tokenizer"):
        TOKENIZER.decode([1, 2])
