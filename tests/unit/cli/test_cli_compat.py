"""``inferometer compat``: what is printed is a shell script, and nothing of the text is executed."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from pathlib import Path

import pytest

from inferometer import cli
from inferometer.cli import compat

LINE = "vllm bench serve --model m --random-input-len 64 --save-result --warp 9"


def test_what_is_printed_is_a_script_whose_comments_tell_of_every_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["compat", LINE]) == 0
    out = capsys.readouterr().out
    code = [line for line in out.splitlines() if not line.startswith("#")]
    assert shlex.split(" ".join(code).replace("\\ ", " "))[:4] == [
        "inferometer",
        "run",
        "--url",
        "http://127.0.0.1:8000",
    ]
    for flag in (
        "--random-input-len is --input-len",
        "--save-result: every run is stored",
        "--warp: is no flag",
    ):
        assert flag in out
    assert "inferometer report latest --as vllm" in out
    parsed = subprocess.run(["sh", "-n"], input=out, text=True, capture_output=True, check=False)
    assert parsed.returncode == 0, parsed.stderr


def test_quiet_leaves_the_command_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", LINE, "-q"]) == 0
    assert "#" not in capsys.readouterr().out


def test_words_need_no_quotation(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(["compat", "-q", "--", "evalscope", "perf", "–parallel", "2", "--dataset-path", "a b.jsonl"])
        == 0
    )
    out = capsys.readouterr().out
    assert "--max-concurrency 2" in out
    assert "--dataset-path 'a b.jsonl'" in out


def test_a_script_comes_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "pip install x\nguidellm benchmark --target http://h:1 \\\n"
        f"  --rate-type synchronous --data 'prompt_tokens=8'\n{LINE}"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(script))
    assert cli.main(["compat", "-"]) == 0
    out = capsys.readouterr().out
    assert out.count("inferometer run \\") == 2
    assert "# left alone, as no load test: pip install" in out


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", "--json", LINE]) == 0
    found = json.loads(capsys.readouterr().out)
    (command,) = found["commands"]
    assert command["tool"] == "vllm bench serve"
    assert shlex.split(command["command"]) == command["argv"]
    assert {"kind": "renamed", "word": "--random-input-len", "text": "is --input-len"} in command["remarks"]


def test_keys_become_variables(capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        "genai-bench benchmark --api-backend openai --api-base http://h:1 --api-key sk-1 --github-token gh-2"
    )
    cli.main(
        [
            "compat",
            f"{line} --storage-aws-secret-access-key aws-3 --max-time-per-run 1 --max-requests-per-run 1",
        ]
    )
    cli.main(["compat", "--json", "vllm bench serve --header Authorization=hush-4 X-Api-Key=hush-5"])
    told = capsys.readouterr()
    assert '--api-key "$OPENAI_API_KEY"' in told.out
    assert "Authorization: $AUTHORIZATION" in told.out
    for secret in ("sk-1", "gh-2", "aws-3", "hush-4", "hush-5"):
        assert secret not in told.out + told.err


def test_a_machine_gets_a_command_whose_keys_a_shell_fills_in(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["compat", "--json", "vllm bench serve --api-key sk-1 --base-url http://me:hush-2@h:1"])
    out = capsys.readouterr().out
    (command,) = json.loads(out)["commands"]
    assert command["variables"] == ["PASSWORD", "OPENAI_API_KEY"]
    assert '--url "http://me:$PASSWORD@h:1"' in command["command"]
    assert '--api-key "$OPENAI_API_KEY"' in command["command"]
    assert "sk-1" not in out
    assert "hush-2" not in out


@pytest.mark.parametrize("argv", [["--run", LINE, "--dry-run"], ["--run", "--", *shlex.split(LINE)]])
def test_run_may_stand_in_front(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = compat._parsed(argv)
    assert asked.extra == argv[2:] * ("--" not in argv)
    assert shlex.split(asked.text) == shlex.split(LINE)


@pytest.mark.parametrize("argv", [[LINE, "--jsn"], ["--jsn", LINE]])
def test_a_flag_that_is_not_known_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", *argv]) == 2
    assert "--jsn is no flag of inferometer compat" in capsys.readouterr().err


def test_a_command_inside_the_line_is_written_out_and_never_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = f"vllm bench serve --model $(touch {tmp_path}/x; echo m)"
    assert cli.main(["compat", "-q", line]) == 0
    assert f'--model "$(touch {tmp_path}/x; echo m)"' in capsys.readouterr().out
    assert cli.main(["compat", line, "--run", "--dry-run"]) == 2
    assert "none of it is executed" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_what_our_own_rules_refuse_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", "vllm bench serve --num-prompts none"]) == 0
    assert "# as it stands this is refused: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wrk -t 4 http://h", "wrk is not translated\nnext: it measures whole answers"),
        ("vllm bench throughput --model m", "--launch"),
        ("make -j 4 all", "no load test that is known here: make"),
        ("'", "a quotation is not closed"),
        ("", "no command line to translate"),
    ],
)
def test_where_nothing_sensible_is_left(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", line]) == 2
    assert said in capsys.readouterr().err


def test_run_hands_the_command_on_with_further_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("host", "127.0.0.1")
    code = cli.main(["compat", "vllm bench serve --host ${host} --port 8001 --model m", "--run", "--dry-run"])
    told = capsys.readouterr()
    assert code == 0
    assert "nothing was sent: --dry-run" in told.out
    assert 'url: "http://127.0.0.1:8001"' in told.out


def test_run_asks_for_variables_that_have_no_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATASET", raising=False)
    assert cli.main(["compat", "vllm bench serve --dataset-name sharegpt", "--run"]) == 2
    assert "DATASET: no value is known" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["vllm", "aiperf", "guidellm", "benchmark_serving.py"])
def test_a_command_of_another_tool_leads_here(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word, "--model", "m"]) == 2
    assert f'inferometer compat "{word} ..."' in capsys.readouterr().err


def test_the_tools_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", "--list"]) == 0
    assert "genai-bench benchmark" in capsys.readouterr().out
    assert cli.main(["compat", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tools"]) > 20


def test_help_shows_how_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", "--help"]) == 0
    assert 'inferometer compat "vllm bench serve' in capsys.readouterr().out
    assert compat.main(["-h"]) == 0
