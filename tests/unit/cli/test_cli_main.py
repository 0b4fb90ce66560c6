"""The command line as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

import inferometer
from inferometer import cli
from inferometer.cli.runs import table
from inferometer.cli.signals import stopping
from inferometer.cli.verbs import VERBS
from inferometer.cli.which import find_run
from inferometer.errors import EndpointError, UsageError
from inferometer.loadgen.stop import StopSignal
from inferometer.spec import RunSpec


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("INFEROMETER_") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)


def test_version_and_overview(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"inferometer {inferometer.__version__}\n"
    assert cli.main([]) == cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb}" in out for verb in VERBS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom inferometer.cli import main\nmain(['--help'])\nmain(['run', '--help'])\n"
        "heavy = {'numpy', 'duckdb', 'rich', 'tokenizers', 'httptools', 'jinja2', 'starlette'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=child_env()
    )
    assert (done.returncode, done.stderr) == (0, "")


def child_env():
    source = str(Path(inferometer.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": source}


def test_help_of_run(capsys):
    assert cli.main(["run", "--help"]) == 0
    short = capsys.readouterr().out
    for heading in ("Target", "Load", "Data", "Request", "Measure", "Output", "General", "Examples"):
        assert f"\n{heading}\n" in short
    assert "--parallel" in short
    assert "--sharegpt-min-input" not in short
    assert sum(line.startswith("  -") for line in short.splitlines()) <= 56
    assert short.count("  inferometer run --url") == 5
    assert max(map(len, short.splitlines())) <= 110
    cli.main(["bench", "--help-all"])
    assert "--sharegpt-min-input" in capsys.readouterr().out


def test_dry_run_shows_values_origins_points_and_time(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key")
    file = tmp_path / "run.yaml"
    file.write_text("load:\n  seed: 9\n")
    argv = [
        "perf",
        "--url",
        "http://h/v1",
        "--parallel",
        "1",
        "10",
        "--number",
        "10",
        "20",
        "-c",
        str(file),
        "--dry-run",
    ]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert "planted" not in out + err
    lines = {line.split(":")[0].strip(): line for line in out.splitlines()}
    assert lines["max_concurrency"].endswith("# flag --parallel")
    assert lines["seed"].endswith(f"# file {file} line 2")
    assert lines["# api_key"].endswith("# environment OPENAI_API_KEY")
    assert "2 load points, 30 requests" in out
    # 4, 10 and 20 requests in 4, 10 and 2 turns of 2.74 s, and 1.5 s and 0.2 s for each load point beside them.
    assert "about 46 s (2 s to start, prepare and store), if" in out
    assert "hint: --parallel is --max-concurrency here" in err


def test_config_show_can_be_read_again(capsys, tmp_path):
    assert (
        cli.main(
            ["config", "show", "--url", "http://h", "--rate", "inf", "--label", "a: b", "--slo", "ttft:200"]
        )
        == 0
    )
    file = tmp_path / "shown.yaml"
    file.write_text(capsys.readouterr().out)
    assert cli.main(["run", "-c", str(file), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert 'label: ["a: b"]' in out
    assert "all at once" in out


def test_config_schema_and_aliases(capsys):
    assert cli.main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["title"] == "RunSpec"
    rate = schema["$defs"]["Load"]["properties"]["request_rate"]
    items = [way["items"]["anyOf"] for way in rate["anyOf"] if way.get("type") == "array"]
    assert {"type": "string"} in items[0], "config show writes an infinite rate as a text"
    for flat in ("url", "duration", "duration_s", "max-concurrency", "slo"):
        assert flat in schema["properties"]
    assert "duration" in schema["$defs"]["Load"]["properties"]
    assert len(schema["properties"]["endpoint"]["anyOf"]) == 2
    assert cli.main(["config", "aliases"]) == 0
    assert "--parallel " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rnu"], "did you mean `inferometer run`?"),
        (["--url", "x"], "write the verb first"),
        (["run"], "--url is missing"),
        (["run", "—url", "http://h"], "inferometer run --url http://h"),
        (["runs", "show"], "needs the name of a run"),
        (["runs", "lst"], "invalid choice"),
        (["runs", "list", "--json"], "see `inferometer runs --help`"),
        (["metrics", "explain"], "needs a NAME"),
        (["report", "latest", "--out", "/none"], "no run 'latest'"),
    ],
)
def test_mistakes_end_with_2_and_a_next_step(argv, words, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "\nnext: " in err
    assert words in err


class StubRooms:
    """Stands in for the rooms below the command line."""

    def __init__(self, monkeypatch, outcome):
        self.spec = None

        def run(spec, observer, stop):
            self.spec = spec
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        api = types.ModuleType("inferometer.api")
        api.run = run
        monkeypatch.setitem(sys.modules, "inferometer.api", api)
        monkeypatch.setattr(inferometer, "api", api, raising=False)
        console = types.ModuleType("inferometer.report.console")
        console.render_run = lambda summary, width, colour, unicode: "the report"
        monkeypatch.setitem(sys.modules, "inferometer.report.console", console)


def outcome(code):
    verdict = types.SimpleNamespace(word="INVALID")
    summary = types.SimpleNamespace(verdict=verdict, state="complete")
    return types.SimpleNamespace(path=Path("/r/x"), summary=summary, exit_code=code, page_fault="")


def test_a_run_ends_with_its_exit_code_and_a_line_for_machines(monkeypatch, capsys):
    rooms = StubRooms(monkeypatch, outcome(5))
    assert cli.main(["run", "--url", "http://h", "--json", "-q", "--parallel", "3"]) == 5
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == {"run": "/r/x", "verdict": "INVALID", "exit_code": 5}
    assert "the report" in out
    assert err == ""
    assert rooms.spec.load.max_concurrency == (3,)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EndpointError("no answer", "start it"), 6, "error: no answer\nnext: start it"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("planted"), 70, "INFEROMETER_DEBUG=1"),
    ],
)
def test_no_traceback_reaches_a_person(monkeypatch, capsys, error, code, words):
    StubRooms(monkeypatch, error)
    assert cli.main(["run", "--url", "http://h", "--json", "-q"]) == code
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert json.loads(out)["exit_code"] == code


def test_a_traceback_for_those_who_ask(monkeypatch, capsys):
    monkeypatch.setenv("INFEROMETER_DEBUG", "1")
    StubRooms(monkeypatch, ZeroDivisionError("why"))
    assert cli.main(["run", "--url", "http://h"]) == 70
    assert "ZeroDivisionError: why" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_fault():
    code = "import sys\nfrom inferometer.cli import main\nsys.exit(main(['config', 'schema']))"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_env()
    )
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(timeout=30), err) == (141, b"")


def test_ctrl_c_asks_to_drain_then_to_stop_then_interrupts(monkeypatch, capfd):
    monkeypatch.setattr("inferometer.cli.signals._SAME_PRESS_NS", 0)
    stop, before = StopSignal(), signal.getsignal(signal.SIGINT)
    with stopping(stop, 30.0):
        signal.raise_signal(signal.SIGINT)
        assert stop.level == 1
        signal.raise_signal(signal.SIGTERM)
        assert stop.level == 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    err = capfd.readouterr().err
    assert "up to 30 s; press Ctrl-C again" in err
    assert "stopping at once" in err


def test_one_press_that_arrives_twice_counts_once(capfd):
    stop = StopSignal()
    with stopping(stop, 1.0):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stop.level == 1


def test_which_run_is_meant(tmp_path):
    for name in ("20260101-m-a-1", "20260101-m-b-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
    (tmp_path / "latest").symlink_to("20260101-m-b-2")
    first, second = tmp_path / "20260101-m-a-1", tmp_path / "20260101-m-b-2"
    assert find_run(str(first), "runs") == first
    assert find_run("m-a", str(tmp_path)) == first
    assert find_run("latest", str(tmp_path)) == second
    with pytest.raises(UsageError, match="fits 2 runs"):
        find_run("2026", str(tmp_path))
    with pytest.raises(UsageError, match="no run"):
        find_run("other", str(tmp_path))


def test_columns_align_with_wide_signs():
    assert table(("a", "b"), [("中文", "1"), ("x", "2")]) == "a     b\n中文  1\nx     2"


def test_the_package_is_light_and_its_names_are_real():
    code = "import sys, inferometer\nsys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=child_env()).returncode == 0
    assert inferometer.RunSpec is RunSpec
    assert all(getattr(inferometer, name) for name in inferometer.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = inferometer.nothing_such


@pytest.mark.parametrize(
    ("flags", "told"), [((), "with report.html"), (("--no-html",), "without report.html")]
)
def test_a_plan_says_whether_a_page_will_be_written(
    flags: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["run", "--url", "http://127.0.0.1:1", "--out", "there", "--dry-run", *flags])
    assert f"would write a run folder in there, {told}\n" in capsys.readouterr().out
