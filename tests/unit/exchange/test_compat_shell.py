"""Pieces of shell script, as web pages print them, become the commands that they hold."""

from __future__ import annotations

import subprocess

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


def test_signs_that_are_quoted_are_words_and_a_quoted_dollar_sign_begins_no_variable() -> None:
    (command,) = commands("""tool --a ';' --b "&&" --c '|' --d '$x' --e \\$y --f "$z" """)
    assert command.words[1:8] == ["--a", ";", "--b", "&&", "--c", "|", "--d"]
    assert [variables_in(word) for word in command.words[8::2]] == [[], [], ["z"]]
    assert [quoted(word) for word in command.words[8::2]] == ["'$x'", "'$y'", '"$z"']
    assert quoted(commands("tool '$a'\"$b\"")[0].words[1]) == '"\\$a$b"'
    assert filled(commands("tool '$a'$b")[0].words[1], {"a": "1", "b": "2"}) == "$a2"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("for c in 1 2; do tool --n $c --m $((c * 10)) > log_$c.txt 2>&1; done", [["1", "2"], ["10", "20"]]),
        ("k=3; for c in $(seq 1 3); do tool --n $c --m $((k+$c)); done", [["1", "2", "3"], ["4", "5", "6"]]),
        ("for c in {1..5..2}; do tool --n $c --m $((${c}/2)); done", [["1", "3", "5"], ["0", "1", "2"]]),
        ("for c in {4,8}; do tool --n $c --m $((-c % 3)); done", [["4", "8"], ["-1", "-2"]]),
        ('all="1 2"; for c in $all; do tool --n $c --m 0; done', [["1", "2"], ["0"]]),
        ('all=(1 2); for c in "${all[@]}"; do tool --n $c --m 0; done', [["1", "2"], ["0"]]),
        ("for c in $(seq 1 9999999); do tool --n $c --m 0; done", [["$(seq 1 9999999)"], ["0"]]),
        ("tool --n $((unknown*2)) --m $((2**9))", [["$((unknown*2))"], ["$((2**9))"]]),
        ("tool --n $((1/0)) --m 0", [["$((1/0))"], ["0"]]),
        ("(tool --n 1 --m 0 &); wait", [["1"], ["0"]]),
        ('ARGS="--n 1 --m 0"; tool $ARGS', [["1"], ["0"]]),
    ],
)  # fmt: skip
def test_loops_and_sums_as_scripts_of_sweeps_write_them(text: str, values: list[list[str]]) -> None:
    words = commands(text)[0].words
    at = words.index("--m")
    assert [words[words.index("--n") + 1 : at], words[at + 1 :]] == values


def test_a_text_that_a_command_is_fed_with_is_no_command() -> None:
    assert words_of("cat > x.json <<'EOF'\ntool --n 'not closed\nEOF\ntool --n 1") == [
        ["cat"],
        ["tool", "--n", "1"],
    ]


def test_a_home_directory_and_a_command_inside_stay_what_a_shell_makes_of_them() -> None:
    (command,) = commands('tool --path ~/x --not a~/b --from "$(cat "a b" | head -1)/c" `id`')
    assert [quoted(word) for word in command.words[1:]] == [
        "--path", '"$HOME/x"', "--not", "'a~/b'", "--from", '"$(cat "a b" | head -1)/c"', '"$(id)"',
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["tool $(cat x", "tool `id", 'tool "$(a', "tool \\"])
def test_what_is_not_closed_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="not closed"):
        commands(text)


def test_a_shell_reads_back_what_is_written_for_it() -> None:
    script = """tool 'it'"'"'s' "a\\"b" 'x;y' "$HOME/z" '$HOME' "q \\\\ \\$r ~" "$(echo "s  t")" """
    (command,) = commands(script)
    again = " ".join(quoted(word) for word in command.words[1:])
    told = [subprocess.run(["sh", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True).stdout
            for words in (script.partition(" ")[2], again)]  # fmt: skip
    assert told[0] == told[1] != ""
