"""Blocks as HTML: what is text stays text, what is data can be read back, what runs is named by its hash."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.report.page import render
from inferometer.report.page.columns import column_text, csv_header, data_text, escaped
from inferometer.report.page.in_numbers import in_numbers, spans_of
from inferometer.report.page.model import (
    Block,
    Card,
    Cards,
    Cell,
    Choice,
    Code,
    Facts,
    Head,
    Note,
    Page,
    Picture,
    Section,
    Table,
    Verdict,
)
from inferometer.report.plots.model import Axis, Chart, Forest, ForestRow, Gantt, Heat, Plot, Series
from inferometer.report.plots.table import columns_of
from inferometer.report.words import Words, same

VENDOR = Path(render.__file__).parent / "vendor"
MARKUP = '</script><b onclick="x">{{ 1 }}&amp;\u2028'
AXIS = Axis(same("x"), "s")
N = {"n": 3, "of": Words("requests", "请求")}


def chart(
    key: str = "c", name: str = "a", x: Sequence[float] = (1.0, 2.0, 4.0), link: str | None = None
) -> Chart:
    values = np.array(x)
    series = Series(
        name=same(name),
        x=values,
        y=values * 2,
        low=values,
        high=values * 3,
        labels=(same(name),) * len(values),
    )
    return Chart(key=key, title=same("t"), x=AXIS, y=Axis(same("y"), "ms"), series=(series,), link=link, **N)


def gantt() -> Gantt:
    ones = np.ones(3)
    times = {
        "planned": ones * 0,
        "sent": ones,
        "first": ones * 2,
        "last": ones * 3,
        "end": np.array([4.0, 5.0, 9.0]),
    }
    lanes = np.array([0.0, 1.0, 0.0])
    return Gantt(
        key="g",
        title=same("t"),
        x=AXIS,
        lane=lanes,
        index=lanes,
        ok=np.array([1.0, 0, 1]),
        link="time",
        **times,
        **N,
    )


def heat() -> Heat:
    values = np.array([[1.0, np.nan], [3.0, 4.0]])
    edges = np.array([0.0, 10.0, 20.0])
    return Heat(
        key="h",
        title=same("t"),
        x=AXIS,
        y=AXIS,
        value=AXIS,
        x_edges=edges,
        y_edges=edges,
        values=values,
        counts=values,
        **N,
    )


def forest() -> Forest:
    rows = (
        ForestRow(name=same("a"), middle=1.0, low=-1.0, high=3.0, word="unsure"),
        ForestRow(name=same("b"), middle=None, low=None, high=None, word="absent"),
    )
    return Forest(key="f", title=same("t"), x=AXIS, rows=rows, threshold=2.0, **N)


EVERY_PLOT: tuple[Plot, ...] = (chart(), gantt(), heat(), forest())


def unpacked(text: str) -> list[float]:
    found = json.loads(text)
    if isinstance(found, list):
        return [float("nan") if value is None else value for value in found]
    return np.frombuffer(base64.b64decode(found["f"]), "<f4").tolist()


@given(st.lists(st.floats(width=32, allow_infinity=False)))
def test_a_column_is_read_back_as_float32_holds_it(values: list[float]) -> None:
    column = np.array(values, dtype=np.float64)
    read = np.array(unpacked(column_text(column)), dtype=np.float64)
    np.testing.assert_allclose(read, column, rtol=1e-6)


def test_a_column_takes_the_shorter_form() -> None:
    assert column_text(np.array([1.0, 2.0, np.nan])) == "[1,2,null]"
    assert column_text(np.linspace(0, 1, 1000)).startswith('{"f":"')


@given(st.text())
def test_no_text_leaves_its_script_element(text: str) -> None:
    safe = escaped(json.dumps(text, ensure_ascii=False))
    assert not set(safe) & set("<>&\u2028\u2029")
    assert json.loads(safe) == text


@pytest.mark.parametrize("plot", EVERY_PLOT, ids=lambda plot: plot.key)
def test_every_plot_has_its_data_header_and_numbers(plot: Plot) -> None:
    data = json.loads(data_text(plot))
    assert (data["key"], data["title"]) == (plot.key, ["t", "t"])
    assert json.loads(csv_header(plot)) == columns_of(plot)[0]
    table = in_numbers(plot)
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.head)}


def test_a_picture_in_numbers_says_from_where_to_where() -> None:
    texts = [cell.text.en for cell in in_numbers(chart()).rows[0]]
    assert texts == ["a", "3", "1.00 – 4.00", "2.00", "4.00", "8.00", "ms"]


def test_linked_charts_share_one_span() -> None:
    plots = [chart("a", x=(0.0, 3.0), link="time"), gantt(), chart("b", x=(-5.0, 99.0))]
    assert spans_of(iter(plots)) == {"time": (0.0, 9.0)}


def blocks(text: str) -> tuple[Block, ...]:
    word = same(text)
    return (
        Table(
            key="t",
            head=(Head(word, about=word),),
            rows=((Cell(word, title=word),),),
            caption=word,
            note=word,
        ),
        Cards(cards=(Card(name=word, value=word, under=word),)),
        Verdict(word="WARN", reasons=(word, word), tone="warn"),
        Note(text=word, evidence=word, next_step=word),
        Code(text=text, about=word),
        Facts(facts=((word, word),)),
        Choice(key="ch", name=word, options=((word, (Picture(plot=chart(name=text)),)),)),
    )


def test_text_of_every_block_is_text() -> None:
    page = render.render_blocks(blocks(MARKUP))
    plain = render.render_blocks(blocks("plain"))
    tags = re.compile(r"<[^>]*?(?=[\s>])")
    assert tags.findall(page) == tags.findall(plain), "markup in a text adds no element"
    assert "onclick" not in re.sub(r'="[^"]*"|>[^<]*<', "", page)
    assert html.unescape(page).count(MARKUP) > 15


def test_a_page_names_its_scripts_and_style_by_their_hashes_and_links_nowhere() -> None:
    page = render.render_page(Page(title=same("t"), subtitle=same("s"), sections=(), simulated=True))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    inside = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert len(inside) == 3
    for part in inside:
        assert base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    own = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="([^#][^"]*)"', own) == ["data:,"]
    assert "SIMULATED" in own


def test_sections_fold_and_both_languages_are_there() -> None:
    section = Section(key="k", title=Words("Loads", "负载"), blocks=blocks("plain"), folded=True)
    page = render.render_page(
        Page(title=same("t"), subtitle=same("s"), sections=(section,), simulated=False, language="zh")
    )
    assert '<html lang="zh"' in page
    assert '<span lang="en">Loads</span><span lang="zh">负载</span>' in page
    assert '<details class="folded">' in page
    assert "SIMULATED" not in page


def test_halves_of_characters_do_not_stop_a_page() -> None:
    assert "a?b" in render.render_blocks([Note(text=same("a\ud800b"))])


def test_echarts_is_the_release_that_was_looked_at() -> None:
    digest = hashlib.sha256((VENDOR / "echarts.min.js").read_bytes()).hexdigest()
    assert digest == "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
    assert "Apache License" in (VENDOR / "echarts.LICENSE").read_text()
    assert "Apache ECharts" in (VENDOR / "echarts.NOTICE").read_text()
    assert "Mike" in (VENDOR / "d3.LICENSE").read_text() or "Bostock" in (VENDOR / "d3.LICENSE").read_text()
