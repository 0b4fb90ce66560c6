"""Pieces of shell script, as web pages print them, become the commands that they hold."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.exchange.compat.shell import commands, filled, quoted, variables_in
from inferometer.exchange.compat.signs import straightened


def words_of(text: str) -> list[list[str]]:
    return [command.words for command in commands(text)]


def test_lines_are_continued_also_where_a_space_follows_the_backslash_or_the_line_ends_were_lost() -> None:
    expected = [["tool", "--a", "1", "--b", "2"]]
    assert words_of("tool --a 1 \\\n  --b 2") == expected
    assert words_of("tool --a 1 \\  \n  --b 2") == expected
    assert words_of("tool --a 1\\\n  --b 2") == expected
    assert words_of("tool --a 1 \\ --b 2") == expected


def test_what_a_word_processor_makes_of_dashes_and_quotes_is_set_right() -> None:
    assert words_of("tool –parallel 1 —number 2 —n 3 --name “a b” --x=‘c’") == [
        ["tool", "--parallel", "1", "--number", "2", "-n", "3", "--name", "a b", "--x=c"]
    ]
    assert straightened("tool --text 'don’t'") == "tool --text 'don’t'"
    assert words_of("tool\u00a0--a\u200b 1\r\n") == [["tool", "--a", "1"]]


def test_variables_of_the_script_are_put_in_and_others_stay() -> None:
    script = 'n=10\nexport model="m 1"\ntool --n ${n} --model $model --host ${host} --port ${PORT:-8000}'
    assert words_of(script) == [
        ["tool", "--n", "10", "--model", "m 1", "--host", "${host}", "--port", "8000"]
    ]


def test_a_loop_becomes_the_list_of_its_values() -> None:
    (command,) = commands("for len in 1 2; do\n  tool --len ${len} --name run-$len\ndone")
    assert command.words == ["tool", "--len", "1", "2", "--name", "run-$len"]
    assert command.swept == ["len"]


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("nohup python3 -u -m a.b --x 1 > log 2>&1 &", ["a.b", "--x", "1"]),
        ("A=1 B=2 taskset -c 0-3 /opt/bin/tool --x 1 | tee log", ["tool", "--x", "1"]),
        ("uv run python benchmarks/x.py --x 1", ["x.py", "--x", "1"]),
        ("timeout 60 bash -c 'tool --x 1'", ["tool", "--x", "1"]),
        ("$ tool --x 1  # as yesterday", ["tool", "--x", "1"]),
    ],
)  # fmt: skip
def test_what_stands_around_a_command_is_taken_off(text: str, program: list[str]) -> None:
    (command,) = commands(text)
    assert command.program == program


def test_chains_are_several_commands_and_signs_in_quotations_are_none() -> None:
    assert words_of("cd /x && tool --a 1; other") == [["cd", "/x"], ["tool", "--a", "1"], ["other"]]
    assert words_of("""tool --slo '[{"p99_ttft": "<=1s && >0"}]'""") == [
        ["tool", "--slo", '[{"p99_ttft": "<=1s && >0"}]']
    ]
    assert words_of("tool --body '{\n \"a\": 1}'") == [["tool", "--body", '{\n "a": 1}']]
    assert words_of("tool --label $(date +%s) --n 1") == [["tool", "--label", "$(date +%s)", "--n", "1"]]


def test_a_quotation_that_is_not_closed_is_told() -> None:
    with pytest.raises(UsageError, match="quotation is not closed"):
        commands("tool --name 'a\nb")


def test_words_go_back_into_a_shell_with_their_variables_alive() -> None:
    assert quoted("http://${host}:1") == '"http://${host}:1"'
    assert quoted("a b") == "'a b'"
    assert quoted('${a}"b') == '"${a}\\"b"'
    assert variables_in("${a}-$b") == ["a", "b"]
    assert filled("${a}-$b", {"a": "1"}) == "1-$b"
