"""The documents as a site: both languages build without a warning, lead to each other, load nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TWIN = re.compile(r'href="([^"]+)">(?:English|中文)</a>')
LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"|<link\b[^>]*\bhref="([^"]+)"')


def build(language: str, site: Path) -> subprocess.CompletedProcess[str]:
    made = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(site / f".{language}"),
    ]
    made += ["-t", "zh"] if language == "zh" else []
    return subprocess.run(
        [*made, str(DOCS), str(site / language)], check=False, capture_output=True, text=True, timeout=110
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda language: build(language, place), ("en", "zh")):
            assert (done.returncode, done.stderr) == (0, "")
    return place


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_is_there_and_leads_to_its_twin(site: Path, language: str) -> None:
    pages = sorted((site / language / language).glob("*.html"))
    assert {page.stem for page in pages} == {path.stem for path in (DOCS / language).glob("*.md")}
    for page in pages:
        [twin] = TWIN.findall(page.read_text("utf-8"))
        assert (page.parent / twin).exists(), f"{page.name} leads to {twin}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_loads_nothing_from_outside(site: Path, language: str) -> None:
    for page in (site / language).rglob("*.html"):
        for pair in LOADED.findall(page.read_text("utf-8")):
            assert not re.match(r"(https?:)?//", "".join(pair)), f"{page.name} loads {pair}"


def test_the_line_of_links_is_left_to_the_sidebar(site: Path) -> None:
    page = (site / "en/en/measuring.html").read_text("utf-8")
    assert "<h1>Measuring" in page
    assert "README" not in page.split("<h1>")[1].split("<h2>")[0]
