"""What the documents show works, both languages say the same, and no link leads nowhere."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from inferometer import cli
from inferometer.api.calibrating_engine import Measured
from inferometer.api.calibration_sources import RunFacts
from inferometer.api.measured_engine import MeasuredEngine, Told, measured_engine
from inferometer.errors import UsageError
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile
from inferometer.spec.speed import SpeedSpec

ROOT = Path(__file__).parents[2]
SIMULATOR = ROOT / "docs/simulator.md"
ENGLISH = [ROOT / "README.md", *sorted((ROOT / "docs/en").glob("*.md")), SIMULATOR]
CHINESE = [ROOT / "README.zh.md", *sorted((ROOT / "docs/zh").glob("*.md"))]
# The cookbook has tests of its own (test_cookbook.py).
PAGES = [ENGLISH[0], *sorted([*ENGLISH[1:], ROOT / "docs/cookbook.md"], key=lambda path: path.name)]
PROFILE, TRACE = "engine.json", "trace.jsonl"  # that the commands about the simulator name
OTHERS = [ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs/decisions").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
A_STORED_RUN = "20261121-005153-sim-llama-8b-490d"  # the one that the documents speak of
NAMES_A_FILE = ("--dataset-path", "--api-key-file", "--ca-file", "--client-cert", "--client-key")
COSTS = Coefficients(weights_s=7e-3, token_s=4e-5, step_s=1.5e-3)
NOT_OURS = re.compile("INFEROMETER_|OPENAI_API_KEY")


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return FENCE.findall(path.read_text("utf-8"))


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ .*$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)


def levels(path: Path) -> list[int]:
    return [len(heading.split(" ", 1)[0]) for heading in headings(path)]


def anchors(path: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.split(" ", 1)[1].lower()) for heading in headings(path))
    return {text.replace(" ", "-") for text in plain}


def commands(path: Path) -> list[str]:
    """Every ``$ inferometer ...`` line of the console blocks."""
    text = "".join(block for language, block in blocks(path) if language == "console")
    return re.findall(r"^\$ inferometer (.*)$", text.replace("\\\n", " "), re.MULTILINE)


def commands_of_verbs(*verbs: str) -> list[str]:
    known = dict.fromkeys(command for path in ENGLISH for command in commands(path))
    return [command for command in known if command.split()[0] in verbs]


PLANNED = commands_of_verbs("run", "perf", "bench", "search")
LOAD = [command for command in PLANNED if "--resume" not in command]
RESUME = [command for command in PLANNED if "--resume" in command]
SERVE = commands_of_verbs("serve-sim")
DATA = commands_of_verbs("data")
PYTHON = [path for path in ENGLISH if any(language == "python" for language, _ in blocks(path))]
CHECK = commands_of_verbs("check")
STARTS = [command for command in commands_of_verbs("launch") if command.split()[1] != "warmup"]
WARMUPS = [command for command in commands_of_verbs("launch") if command.split()[1] == "warmup"]
SPEED = commands_of_verbs("speed")
LOOK = commands_of_verbs("report", "runs", "metrics", "config", "export", "--version")
COMPARE = commands_of_verbs("compare")
IMPORT = commands_of_verbs("import")
COMPAT = commands_of_verbs("compat")
PAGES_SERVED = commands_of_verbs("ui")
SIMULATE = commands_of_verbs("simulate")
CALIBRATE = [command for command in SIMULATE if command.split()[1] == "calibrate"]
DEVICES = [command for command in SIMULATE if command.split()[1] == "devices"]
PREDICT = [command for command in SIMULATE if command not in (*CALIBRATE, *DEVICES)]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if NOT_OURS.match(name)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with start_simulated_server(SimSettings()) as server:
        yield server.url


@pytest.fixture(scope="module")
def notebook_lines(server_url: str, workplace: Path) -> list[str]:
    """What examples/notebook_api.py says of a run that then lies under the name that the documents use."""
    spec = importlib.util.spec_from_file_location("notebook_api", ROOT / "examples/notebook_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = module.measure(server_url, str(workplace / "runs"))
    folder = (workplace / "runs/latest").resolve().rename(workplace / "runs" / A_STORED_RUN)
    (workplace / "runs/latest").unlink()
    (workplace / "runs/latest").symlink_to(folder.name)
    return lines


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the commands name."""
    place = tmp_path_factory.mktemp("workplace")
    shutil.copytree(ROOT / "examples", place / "examples")
    words = [word for command in LOAD for word in shlex.split(command)]
    for flag, file in pairwise(words):
        if flag in NAMES_A_FILE:
            (place / file).touch()
    (template,) = (code for language, code in blocks(ROOT / "docs/en/servers.md") if language == "yaml")
    (place / "ask.yaml").write_text(template, "utf-8")
    write_profile(
        Profile(coefficients=COSTS, engine="vllm", provenance=Provenance(method="steps")), place / PROFILE
    )
    (place / TRACE).write_text(
        '{"timestamp": 0, "input_length": 6, "output_length": 2, "hash_ids": [1]}\n', "utf-8"
    )
    return place


def test_the_documents_show_commands_of_every_kind() -> None:
    shown = {command.split()[0] for path in ENGLISH for command in commands(path)}
    kinds = "demo run search perf speed launch data serve-sim simulate report runs metrics config"
    kinds += " compare export import compat ui"
    assert set(kinds.split()) <= shown
    tested = [*PLANNED, *SERVE, *DATA, *CHECK, *LOOK, *STARTS, *WARMUPS, *SPEED, *commands_of_verbs("demo")]
    tested += [*CALIBRATE, *DEVICES, *PREDICT, *COMPARE, *IMPORT, *COMPAT, *PAGES_SERVED]
    assert len(tested) == len({command for path in ENGLISH for command in commands(path)})


def planned(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says it would do."""
    code = cli.main([*shlex.split(command), "--dry-run"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


@pytest.mark.parametrize("command", LOAD)
def test_a_load_command_makes_a_plan(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert planned(command, capsys).endswith("nothing was sent: --dry-run\n")


@pytest.mark.parametrize("command", RESUME)
def test_a_stored_run_can_be_gone_on_with(
    command: str,
    workplace: Path,
    notebook_lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert notebook_lines
    monkeypatch.chdir(workplace)
    assert f"Going on with run {A_STORED_RUN}" in planned(command, capsys)


@pytest.mark.parametrize("command", CHECK)
def test_a_check_looks_at_this_machine(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measuring itself takes a minute and has its own tests; here its flag is only understood."""
    monkeypatch.setenv("INFEROMETER_CACHE_DIR", str(tmp_path))
    words = shlex.split(command)
    assert cli.main([word for word in words if word != "--calibrate"]) == 0
    assert "source ports" in capsys.readouterr().out
    assert cli.main([*words, "--help"]) == 0
    assert "--calibrate" in capsys.readouterr().out


@pytest.mark.parametrize("command", STARTS)
def test_what_would_be_started_is_shown(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)
    place = words.index("--") if "--" in words else len(words)
    code = cli.main([*words[:place], "--dry-run", *words[place:]])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert said.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", WARMUPS)
def test_a_warmup_asks_every_rank(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command.replace("n0,n1", "127.0.0.1"))
    assert cli.main([*words, "--retries", "0"]) == 6
    assert re.search(r"do(es)? not answer", capsys.readouterr().err)


@pytest.mark.parametrize("command", SPEED)
def test_a_speed_command_is_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measuring takes an engine and has its own tests; here the rules of its flags are applied."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").touch()
    asked: list[SpeedSpec] = []

    def measure(spec: SpeedSpec, *_: object) -> None:
        asked.append(spec)
        raise UsageError("no engine here", "none")

    monkeypatch.setattr("inferometer.api.speeding.speed", measure)
    assert cli.main(shlex.split(command)) == 2
    assert "no engine here" in capsys.readouterr().err
    (spec,) = asked
    assert spec.model


@pytest.mark.parametrize("command", PREDICT)
def test_what_would_be_simulated_is_shown(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert planned(command, capsys).endswith("nothing was simulated: --dry-run\n")


@pytest.mark.parametrize("command", CALIBRATE)
def test_a_calibration_is_understood(
    command: str,
    workplace: Path,
    tmp_path: Path,
    notebook_lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fitting takes a while and has its own tests; here the run is found and the engine's flags are read."""
    assert notebook_lines
    monkeypatch.chdir(tmp_path)
    asked: list[MeasuredEngine] = []

    def calibrate(measured: Measured, told: Told, *_: object) -> None:
        asked.append(measured_engine(RunFacts(), None, told)[0])
        raise UsageError("nothing is fitted here", "none")

    monkeypatch.setattr("inferometer.api.calibrating_engine.calibrate_engine", calibrate)
    assert cli.main([*shlex.split(command), "--out", str(workplace / "runs")]) == 2
    assert "nothing is fitted here" in capsys.readouterr().err
    (engine,) = asked
    assert not [note for note in engine.notes if note.startswith("not simulated")]


@pytest.mark.parametrize("command", DEVICES)
def test_device_sheets_are_listed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(shlex.split(command)) == 0
    assert "Sources" in capsys.readouterr().out


@pytest.mark.parametrize("command", SERVE)
def test_a_simulated_server_starts(command: str, workplace: Path, tmp_path: Path) -> None:
    shutil.copy(workplace / PROFILE, tmp_path)
    words = [sys.executable, "-m", "inferometer", *shlex.split(command), "--port", "0"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout.readline().startswith("simulated server  http://127.0.0.1:")
        finally:
            process.terminate()
        assert process.wait(5) == 0


def test_the_data_commands_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in DATA:
        assert cli.main(shlex.split(command)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", LOOK)
def test_a_look_at_what_is_stored(
    command: str,
    workplace: Path,
    notebook_lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert notebook_lines
    monkeypatch.chdir(workplace)
    code = cli.main(shlex.split(command))
    said = capsys.readouterr()
    assert code == 0, said.err
    assert said.out


@pytest.fixture(scope="module")
def sides(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose runs have the names that the comparisons speak of, with what repeats differ by."""
    place = tmp_path_factory.mktemp("sides")
    load = ["--max-concurrency", "4", "--num-prompts", "8", "--repeat", "4", "--input-len", "8"]
    load += ["--output-len", "4", "--warmup", "0", "--out", str(place / "runs"), "--quiet", "--no-html"]
    cli.main(["run", "--url", server_url, "--label", "before", *load])
    folder = (place / "runs/latest").resolve()
    shutil.copytree(folder, folder.with_name(folder.name.replace("before", "after")))
    assert cli.main(["compare", "--aa", "before", "--out", str(place / "runs")]) == 0
    return place


@pytest.mark.parametrize("command", COMPARE)
def test_a_comparison_says_what_it_found(
    command: str, sides: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that could not keep up on a busy machine is not comparable (5), and said to be that."""
    monkeypatch.chdir(sides)
    code = cli.main(shlex.split(command))
    said = capsys.readouterr()
    assert code in (0, 5), said.err
    if code == 0:
        assert re.search(r"^metric +", said.out, re.MULTILINE)
    else:
        assert "client verdict" in said.out + said.err


@pytest.mark.parametrize("command", IMPORT)
def test_results_of_others_become_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = ROOT / "tests/data/exchange"
    for name in ("result.json", "first.json", "second.json"):
        shutil.copy(results / "vllm/detailed.json", tmp_path / name)
    shutil.copytree(results / "made_mindie", tmp_path / "mindie")
    assert cli.main(shlex.split(command)) == 0, capsys.readouterr().err
    assert [path for path in (tmp_path / "runs").iterdir() if (path / "imported.json").exists()]


@pytest.mark.parametrize("command", COMPAT)
def test_commands_of_others_are_translated(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is in the documents, as it is printed."""
    assert cli.main(shlex.split(command)) == 0
    said = capsys.readouterr().out.strip()
    page = ROOT / "docs/en/compat.md"
    if command in commands(page) and "--list" not in command:
        assert said in page.read_text("utf-8")


@pytest.mark.parametrize("command", PAGES_SERVED)
def test_the_pages_are_served(command: str, tmp_path: Path) -> None:
    words = [word for word in shlex.split(command) if word != "--open"]
    out = [*words, "--out", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "inferometer", *out],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline().startswith("pages  http://127.0.0.1:")
        finally:
            process.terminate()
        process.wait(20)


def test_the_demo_needs_no_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(commands_of_verbs("demo")) == {"demo", "demo --engine llamacpp"}
    assert cli.main(["demo", "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: inferometer demo" in said
    assert "--engine {sim,llamacpp}" in said


def test_the_notebook_example_measures(notebook_lines: list[str]) -> None:
    verdict, one, four = notebook_lines
    assert verdict.split()[0] in ("VALID", "WARN", "INVALID")
    assert one.startswith("concurrency 1: ")
    assert four.startswith("concurrency 4: ")


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.stem)
def test_python_in_the_documents_runs(
    path: Path, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, code in blocks(path):
        if language == "python":
            names: dict[str, object] = {}
            exec(code.replace("http://127.0.0.1:8000", server_url), names)
            assert names["result"].path.is_dir()


def test_the_query_in_the_documents_counts_the_run(
    workplace: Path, notebook_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    (query,) = (code for language, code in blocks(ROOT / "docs/en/run-folder.md") if language == "sql")
    rows = duckdb.sql(query).fetchall()
    assert {(point, count) for file, point, count, _ in rows if A_STORED_RUN in file} == {
        (0, 4),
        (1, 10),
        (2, 40),
    }
    assert notebook_lines


def test_the_run_file_example_measures(
    server_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--url", server_url, "--num-prompts", "4", "8", "32", "--output-len", "8", "--warmup", "1"]
    words += ["--out", str(tmp_path), "--json", "--quiet"]
    code = cli.main(["run", "-c", str(ROOT / "examples/run.yaml"), *words])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == told["exit_code"]
    summary = json.loads((Path(told["run"]) / "summary.json").read_text("utf-8"))
    assert [point["load"]["max_concurrency"] for point in summary["points"]] == [1, 4, 16]
    assert [point["counts"]["ok"] for point in summary["points"]] == [4, 8, 32]


@pytest.mark.parametrize(
    ("english", "chinese"), list(zip(PAGES, CHINESE, strict=True)), ids=[path.stem for path in PAGES]
)
def test_both_languages_have_the_same_structure(english: Path, chinese: Path) -> None:
    assert chinese.name in (english.name, "README.zh.md")
    assert levels(chinese) == levels(english)
    assert blocks(chinese) == blocks(english)
    rows = [len(re.findall(r"^\|", path.read_text("utf-8"), re.MULTILINE)) for path in (english, chinese)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("path", [*PAGES, *CHINESE, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(found), target
