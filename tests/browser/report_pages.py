"""Reports to look at in a browser, and what a page must not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, Page

from inferometer.api.simulating import simulate
from inferometer.metrics.counts import ErrorGroup
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord
from inferometer.spec import RunSpec

HOSTILE = '<script>window.hurt=1</script></script><!--"><img src=x onerror="window.hurt=2">{{7*7}}${7*7}\u2028`\'&lt;'


def simulated(folder: Path) -> tuple[RunRecord, RunSummary]:
    """Three loads with limits in virtual time, one of which is too much; some seconds of traffic, in an instant."""
    spec = RunSpec.model_validate(
        {
            "simulation": {"device": "h100", "model_config_file": "llama-3.1-8b"},
            "load": {"max_concurrency": [1, 8, 64], "num_prompts": [100, 200, 400]},
            "workload": {"input_len": [256], "output_len": [16], "range_ratio": "0.5"},
            "measure": {"slo": ["tpot:9", "p90_ttft<=150ms"]},
            "output": {"out": str(folder), "html": False},
        }
    )
    record = read_run(simulate(spec).path)
    return record, summarize(record)


def hostile(record: RunRecord, summary: RunSummary) -> tuple[RunRecord, RunSummary]:
    """The same run, with text that would be markup or script wherever a run can hold text from others."""
    record.meta.spec["endpoint"]["url"] = HOSTILE
    record.meta.spec["sampling"]["stop"] = [HOSTILE]
    record.meta.server["server"] = HOSTILE
    record.meta.environment[HOSTILE] = HOSTILE
    error = ErrorGroup(status="http_error", http_status=500, example=HOSTILE, first_request=0, count=3)
    counts = msgspec.structs.replace(summary.points[0].counts, errors=[error], failed=3)
    load: dict[str, Any] = summary.points[0].load
    points = [msgspec.structs.replace(summary.points[0], counts=counts, load=load), *summary.points[1:]]
    for table in record.measured:
        table.text("status")[:5] = "http_error"
        table.text("error")[:5] = HOSTILE
    texts = {
        "model": HOSTILE,
        "label": HOSTILE,
        "labels": {HOSTILE: HOSTILE},
        "run_id": HOSTILE,
        "notes": [HOSTILE],
    }
    return record, msgspec.structs.replace(summary, points=points, **texts)


@contextmanager
def opened(browser: Browser, file: Path, anchor: str = "", **context: Any) -> Iterator[Page]:
    """The file without a network; at the end nothing was asked for but itself, and nothing was complained about."""
    settings = {"offline": True, "viewport": {"width": 1280, "height": 900}} | context
    with browser.new_context(**settings) as own:
        page = own.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri() + anchor)
        yield page
        strange = [url for url in asked if not url.startswith((file.as_uri(), "data:", "blob:"))]
        assert (strange, said) == ([], [])


def see_all(page: Page) -> None:
    """Bring every picture into view, those of every choice too, so that it is drawn."""
    page.evaluate(
        """async () => {
          const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          for (const details of document.querySelectorAll("details.folded")) details.open = true;
          const selects = [...document.querySelectorAll(".choice select")];
          const most = Math.max(1, ...selects.map((select) => select.options.length));
          for (let i = 0; i < most; i++) {
            for (const select of selects) {
              if (i < select.options.length) {
                select.value = String(i);
                select.dispatchEvent(new Event("change"));
              }
            }
            for (const figure of document.querySelectorAll("figure")) {
              if (figure.clientWidth) {
                figure.scrollIntoView({ behavior: "instant" });
                await frame();
              }
            }
          }
        }"""
    )


def drawn(page: Page) -> dict[str, dict[str, Any]]:
    """What ECharts holds of each figure: values, axis names, and the caption beside it."""
    found: dict[str, dict[str, Any]] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => {
          const chart = echarts.getInstanceByDom(figure.querySelector(".plot"));
          const option = chart && chart.getOption();
          return [figure.id, chart && {
            values: option.series.reduce((sum, series) => sum + (series.data || []).length, 0),
            axes: [...option.xAxis, ...option.yAxis].map((axis) => axis.name || (axis.data ? "category" : "")),
            zoom: option.dataZoom.map((zoom) => [Math.round(zoom.start), Math.round(zoom.end)]),
            title: figure.querySelector("h3").innerText,
            caption: figure.querySelector("figcaption p").innerText,
          }];
        }))"""
    )
    return found
