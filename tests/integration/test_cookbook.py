"""Every line of the cookbook is understood, and both of its pages hold the same lines with what they printed."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from inferometer import cli
from inferometer.simulator import SimSettings, start_simulated_server

ROOT = Path(__file__).parents[2]
LABELS = ("alpaca", "sharegpt", "parallel")  # of the runs that the page reports together


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cookbook", ROOT / "scripts/cookbook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COOKBOOK = _script()
ENGLISH, CHINESE = (path.read_text("utf-8") for path in COOKBOOK.PAGES)
LINES = list(dict.fromkeys(COOKBOOK.commands(ENGLISH)))
LOADS = [line for line in LINES if line.split()[0] in ("run", "perf", "search")]
DATA = [line for line in LINES if line.startswith("data ")]
REPORTS = [line for line in LINES if line.startswith("report ")]
SERVERS = [line for line in LINES if line.startswith("serve-sim")]
# The programs of the source documents that put load on a server or make data for it.
SOURCES = (
    "evalscope-perf http", "benchmark_serving.py --backend vllm --model", "evalscope perf", "speed_benchmark_vllm.py",
    "profile_restful_api.py", "benchmark --DatasetType", "performance_maxbs", "ais_bench --models",
    "python benchmark_parallel.py", "modal_benchmark_parallel.py", "speculative_benchmark_parallel.py",
    "generate_dataset.py", "benchmark_serving.py --backend vllm --host", "python benchmark.py",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the page's lines find their files."""
    place = tmp_path_factory.mktemp("cookbook")
    COOKBOOK.make_files(place)
    return place


@pytest.fixture
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def test_every_line_is_of_a_kind_that_is_tried_here() -> None:
    assert len(LOADS) + len(DATA) + len(REPORTS) + len(SERVERS) == len(LINES)
    assert all((LOADS, DATA, REPORTS, SERVERS))


def test_the_data_line_makes_the_file_that_later_lines_read(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = DATA
    assert cli.main([*shlex.split(line), "--num-requests", "20"]) == 0, capsys.readouterr().err
    assert (there / "custom_datasets.json").exists()


@pytest.mark.parametrize("line", LOADS)
def test_a_load_line_makes_a_plan(line: str, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "custom_datasets.json").touch()
    code = cli.main([*shlex.split(line), "--dry-run"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert said.out.endswith("nothing was sent: --dry-run\n")


def test_the_reports_find_their_runs(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split("--max-concurrency 1 --num-prompts 2 --input-len 8 --output-len 2 --warmup 0 -q")
    with start_simulated_server(SimSettings()) as server:
        for label in LABELS:
            assert cli.main(["run", "--url", server.url, *words, "--label", label]) in (0, 5)
    for line in REPORTS:
        assert cli.main(shlex.split(line)) == 0, capsys.readouterr().err
    assert (there / "output.xlsx").stat().st_size > 0


@pytest.mark.parametrize("line", SERVERS)
def test_a_server_line_has_flags_that_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve-sim", "--help"]) == 0
    flags = capsys.readouterr().out
    assert all(flag in flags for flag in re.findall(r"--[a-z-]+", line))


def test_each_line_of_the_source_documents_has_a_section() -> None:
    sections = ENGLISH.split("\n## ")
    for source in SOURCES:
        (section,) = [each for each in sections if source in each]
        assert COOKBOOK.commands(section), source
        assert COOKBOOK.QUOTED.search(section), f"no quoted output beside {source}"


def test_every_quoted_line_has_its_output_in_both_languages() -> None:
    blocks = [found[0] for found in COOKBOOK.QUOTED.finditer(ENGLISH)]
    assert blocks == [found[0] for found in COOKBOOK.QUOTED.finditer(CHINESE)]
    assert ENGLISH.count("<!-- keep:") == len(blocks)
    for found in COOKBOOK.QUOTED.finditer(ENGLISH):
        *_, output = COOKBOOK.COMMAND.split(found["body"])
        kept = COOKBOOK.trimmed(output, found["keep"])
        assert kept == output, "what stands there is what the expression keeps"


def test_both_languages_show_the_same_lines() -> None:
    assert COOKBOOK.commands(CHINESE) == COOKBOOK.commands(ENGLISH)


PAGE = """text
<!-- keep: ^kept|^ +\\d -->
```console
$ inferometer run --a \\
    --b
kept 1
$ inferometer report x
kept 2
```
"""


def test_the_script_quotes_each_line_anew_and_nothing_else() -> None:
    said = {"run --a --b": "gone\nkept 3   \n  4\n", "report x": "kept 5\n"}
    page = COOKBOOK.requoted(PAGE, said.__getitem__)
    assert page == PAGE.replace("kept 1\n", "kept 3\n  4\n").replace("kept 2", "kept 5")
    assert COOKBOOK.with_blocks_of(PAGE.replace("text", "文字"), page) == page.replace("text", "文字")
    with pytest.raises(ValueError, match="no line matches"):
        COOKBOOK.requoted(PAGE, lambda line: "nothing\n")
