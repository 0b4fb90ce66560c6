"""The local pages in a browser: nothing from elsewhere, no error, both languages, dark, narrow, live."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from inferometer import cli
from inferometer.api.keeping import relabel
from inferometer.simulator.server.process import SimulatedServer, start_simulated_server
from inferometer.simulator.server.settings import SimSettings

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Pages(NamedTuple):
    url: str
    engine: SimulatedServer


@pytest.fixture(scope="module")
def pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    out = tmp_path_factory.mktemp("runs")
    engine = ("--device", "h100", "--model-config", "llama-3.1-8b")
    load = ("--max-concurrency", "1", "8", "--num-prompts", "30", "--input-len", "64", "--output-len", "16")
    words = ["simulate", *engine, *load, "--label", "first", f"why={HOSTILE}", "--quiet", "--out", str(out)]
    assert cli.main(words) in (0, 5)
    (first,) = (path.parent for path in out.glob("*/run.json") if not path.parent.is_symlink())
    shutil.copytree(first, out / "20990101-000000-again")
    relabel(out / "20990101-000000-again", HOSTILE, {"why": HOSTILE})
    command = [sys.executable, "-m", "inferometer", "ui", "--out", str(out), "--port", "0"]
    with (
        start_simulated_server(SimSettings(base_s=0.02)) as server,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
    ):
        assert process.stdout is not None
        yield Pages(process.stdout.readline().split()[1], server)
        process.terminate()


@pytest.fixture
def page(browser: Browser, pages: Pages) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, troubles, elsewhere = context.new_page(), [], []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((pages.url, "data:", "blob:")) else elsewhere.append(asked.url)
        ),
    )
    page.goto(pages.url)
    yield page
    # A form that is refused is answered with 422, which browsers note as an error of the network.
    assert [text for text in troubles if "422" not in text] == []
    assert elsewhere == []
    context.close()


def sideways(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def test_list_report_and_comparison(page: Page) -> None:
    boxes = page.locator("input[name=run]")
    assert boxes.count() == 2
    assert page.get_by_text(HOSTILE).count() >= 1
    page.locator("td.name a").first.click()
    page.wait_for_selector("figure canvas")
    assert page.locator("nav .simulated").is_visible()
    page.locator('[name="note"]').fill("a < b & c")
    page.get_by_role("button", name="Keep").click()
    assert page.locator('[name="note"]').input_value() == "a < b & c"
    page.goto(page.url.split("/runs/")[0])
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector("section")
    assert page.locator(".sides li").count() == 2


def test_chinese_dark_narrow_and_by_keyboard(page: Page) -> None:
    page.locator("#language").click()
    assert page.locator("h1 [lang=zh]").is_visible()
    assert not page.locator("h1 [lang=en]").is_visible()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.set_viewport_size({"width": 400, "height": 800})
    base = page.url
    for path in ("", "new"):
        page.goto(base + path)
        assert sideways(page) <= 0
        assert page.evaluate("document.documentElement.lang") == "zh"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_a_run_is_started_and_watched(page: Page, pages: Pages) -> None:
    page.get_by_role("link", name="New run").click()
    page.locator('[name="endpoint.url"]').fill(pages.engine.url)
    page.locator('[name="load.max_concurrency"]').fill("0")
    page.get_by_role("button", name="Show the plan").click()
    assert page.locator(".entry.wrong").count() == 1
    page.locator('[name="load.max_concurrency"]').fill("8")
    page.locator('[name="load.num_prompts"]').fill("40")
    page.locator('[name="load.warmup"]').fill("0")
    page.locator('[name="workload.output_len"]').fill("32")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/live")
    page.wait_for_selector("#pictures figure canvas")
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function(
        "document.documentElement.scrollWidth <= window.innerWidth"
    )  # pictures are drawn anew
    page.wait_for_selector("#keep", timeout=60_000)  # the report
    assert not page.url.endswith("/live")


def test_without_scripts_there_are_lists_forms_and_numbers(browser: Browser, pages: Pages) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages.url + "?sort=throughput")
    page.get_by_label("Text").fill("first")
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody tr").count() == 1
    page.locator("td.name a").click()
    assert page.locator("table").count() > 2
    page.locator("a.nojs").click()
    assert page.locator("html").get_attribute("lang") == "zh"
    context.close()
