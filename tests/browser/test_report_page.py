"""The report as a browser shows it: offline, in two languages, on paper, without JavaScript, and with hostile text."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parent))

from report_pages import HOSTILE, drawn, hostile, opened, see_all, simulated

from inferometer.metrics.summary import RunSummary
from inferometer.record.tables import RunRecord
from inferometer.report.html import report_page
from inferometer.report.page.in_numbers import plots_of
from inferometer.report.page.render import render_page
from inferometer.report.plots.table import columns_of
from inferometer.report.search import Told


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, RunSummary]:
    return simulated(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def file(run: tuple[RunRecord, RunSummary], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(report_page([run])), encoding="utf-8")
    return path


def test_every_picture_is_drawn_offline_with_title_units_and_n(browser: Browser, file: Path) -> None:
    with opened(browser, file) as page:
        assert page.locator("nav .simulated").is_visible()
        see_all(page)
        found = drawn(page)
    assert {"throughput_ttft", "ttft_cdf", "e2el_tail", "timeline-1", "in_flight-3"} <= set(found)
    assert [key for key, chart in found.items() if chart is None] == []
    for key, chart in found.items():
        assert chart["values"] > 0, key
        assert all(chart["axes"]), (key, chart["axes"])
        assert chart["title"], key
        assert "n = " in chart["caption"], key
    assert found["throughput_ttft"]["axes"] == ["output throughput (tok/s)", "TTFT p90 (ms)"]
    assert "n = 700 requests" in found["ttft_cdf"]["caption"]


def test_charts_of_one_load_point_zoom_together_and_back(browser: Browser, file: Path) -> None:
    with opened(browser, file) as page:
        see_all(page)
        whole = drawn(page)["timeline-3"]["zoom"]
        page.locator("#timelines select").select_option("2")
        page.locator("#in_flight-3").get_by_label("zoom in").click()
        page.wait_for_function("echarts.getInstanceByDom(document.querySelector('#timeline-3 .plot'))"
                               ".getOption().dataZoom[0].start === 25")  # fmt: skip
        found = drawn(page)
        assert found["output_rate-3"]["zoom"] == found["timeline-3"]["zoom"] == [[25, 75]] * 2
        page.locator("#timeline-3").get_by_label("reset the zoom").click()
        page.wait_for_function("echarts.getInstanceByDom(document.querySelector('#in_flight-3 .plot'))"
                               ".getOption().dataZoom[0].start === 0")  # fmt: skip
        assert drawn(page)["in_flight-3"]["zoom"] == whole == [[0, 100]] * 2


def test_pictures_are_saved_as_png_and_their_columns_as_csv(
    browser: Browser, file: Path, run: tuple[RunRecord, RunSummary]
) -> None:
    with opened(browser, file, accept_downloads=True) as page:
        saved = {}
        for name in ("PNG", "CSV"):
            with page.expect_download() as waiting:
                page.locator("#throughput_ttft").get_by_text(name, exact=True).click()
            saved[waiting.value.suggested_filename] = waiting.value.path().read_bytes()
        tables = page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('figure')].map((f) => [f.id, inferometerPage.csv(f)]))"
        )
    assert saved["throughput_ttft.png"].startswith(b"\x89PNG")
    assert saved["throughput_ttft.csv"].decode("utf-8-sig") == tables["throughput_ttft"]
    for plot in plots_of([list(section.blocks) for section in report_page([run]).sections]):
        header, rows = columns_of(plot)
        read = list(csv.reader(io.StringIO(tables[plot.key])))
        assert read[0] == header
        assert len(read) == len(rows) + 1
        for ours, row in zip(read[1:], rows, strict=True):
            numbers = [(float(a), b) for a, b in zip(ours, row, strict=True) if isinstance(b, float)]
            assert all(a == pytest.approx(b, rel=1e-6, abs=1e-9) for a, b in numbers), plot.key
            assert [a for a, b in zip(ours, row, strict=True) if isinstance(b, str)] == [
                b for b in row if isinstance(b, str)
            ]


def test_language_is_switched_by_button_kept_and_named_by_the_address(browser: Browser, file: Path) -> None:
    with opened(browser, file) as page:
        heading = page.locator("#loads > h2")
        assert heading.inner_text() == "Throughput and latency"
        page.locator("#throughput_ttft").scroll_into_view_if_needed()
        page.locator("#language").click()
        assert heading.inner_text() == "吞吐与延迟"
        assert "输出吞吐" in drawn(page)["throughput_ttft"]["axes"][0]
        assert page.title().endswith("推理性能报告")
        page.reload()
        assert page.evaluate("document.documentElement.lang") == "zh"
    with opened(browser, file, "#lang=zh") as page:
        assert page.locator("#result > h2").inner_text() == "结论"


def test_dark_is_followed_and_switched(browser: Browser, file: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, file, color_scheme="dark") as page:
        assert page.evaluate(paper) == "rgb(20, 24, 29)"
        page.locator("#theme").click()
        assert page.evaluate(paper) == "rgb(255, 255, 255)"
        page.reload()
        assert page.evaluate(paper) == "rgb(255, 255, 255)"


def test_a_narrow_screen_never_scrolls_sideways(browser: Browser, file: Path) -> None:
    with opened(browser, file, viewport={"width": 400, "height": 800}) as page:
        see_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_keys_reach_the_content_and_the_tools(browser: Browser, file: Path) -> None:
    with opened(browser, file) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.locator("#timelines select").focus()
        page.keyboard.press("ArrowUp")
        assert page.locator("#timeline-2").is_visible()
        assert not page.locator("#timeline-3").is_visible()
        page.locator("#throughput_ttft button").first.focus()
        page.keyboard.press("Enter")
        assert drawn(page)["throughput_ttft"]["zoom"][0] == [25, 75]
        named = page.evaluate(
            "[...document.querySelectorAll('button')].every((b) => b.ariaLabel || b.innerText)"
        )
        assert named


def test_print_opens_and_draws_everything_in_light_colours_and_closes_it_again(
    browser: Browser, file: Path
) -> None:
    with opened(browser, file, color_scheme="dark") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert [key for key, chart in drawn(page).items() if chart is None] == []
        assert page.locator("#timeline-1").is_visible()
        assert page.locator("#timeline-3").is_visible()
        assert page.locator("#glossary-table").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.emulate_media(media="screen")
        assert not page.locator("#glossary-table").is_visible()
        assert not page.locator("#timeline-1").is_visible()


def test_without_javascript_tables_choices_and_the_numbers_of_pictures_are_there(
    browser: Browser, file: Path
) -> None:
    with opened(browser, file, java_script_enabled=False) as page:
        assert page.locator("#load-table tbody tr").count() == 3
        for key in ("timeline-1", "timeline-3", "ttft_cdf", "ttft_tail"):
            assert page.locator(f"#{key}").is_visible()
            assert page.locator(f"#{key} .nojs").is_visible()
            assert page.locator(f"#{key} details table tbody tr").count() > 0
        assert not page.locator("#language").is_visible()


def hurt(page: Page) -> object:
    return page.evaluate("window.hurt === undefined ? document.querySelectorAll('img').length : 'ran'")


def test_hostile_text_is_read_as_text_and_nothing_of_it_runs(
    browser: Browser, run: tuple[RunRecord, RunSummary], tmp_path: Path
) -> None:
    ours = copied(run)
    path = tmp_path / "report.html"
    path.write_text(render_page(report_page([hostile(*ours)], answers=[Told((HOSTILE,))])), encoding="utf-8")
    with opened(browser, path) as page:
        see_all(page)
        assert [key for key, chart in drawn(page).items() if chart is None] == []
        page.locator("#language").click()
        assert hurt(page) == 0
        shown = page.locator("body").text_content() or ""
        assert shown.count("<script>window.hurt=1</script>") >= 8
        assert "{{7*7}}" in shown
        plot = page.evaluate("JSON.parse(document.querySelector('#timeline-1 script').textContent).label[0]")
    assert HOSTILE[:20] in plot


def copied(run: tuple[RunRecord, RunSummary]) -> tuple[RunRecord, RunSummary]:
    """A copy that may be spoilt."""
    import copy

    return copy.deepcopy(run)
