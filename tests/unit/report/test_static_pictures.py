"""Plots as files: everything that a picture has to say is in it, and equal plots are equal bytes."""

import struct
import sys

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.report.plots.model import Axis, Chart, Forest, ForestRow, Gantt, Heat, Mark, Series
from inferometer.report.static import files, look
from inferometer.report.static.draw import draw
from inferometer.report.static.files import font_hint, picture, write_pictures
from inferometer.report.static.look import Look, figure_text, mixed, settings, styles
from inferometer.report.words import Words, same

REQUESTS = Words("requests", "请求")
NAN = float("nan")


def column(*values):
    return np.array(values, dtype=np.float64)


def series(name="loads", **fields):
    row = {"x": column(100, 200, 400), "y": column(10, 20, 80), "draw": "line-points"}
    return Series(name=same(name), **(row | fields))


def chart(*lines, **fields):
    row = {
        "key": "throughput_ttft",
        "title": Words("What does throughput cost?", "吞吐的代价是什么？"),
        "x": Axis(Words("output throughput", "输出吞吐"), "tok/s"),
        "y": Axis(same("TTFT p99"), "ms"),
        "n": 1900,
        "of": REQUESTS,
    }
    return Chart(series=lines or (series(),), **(row | fields))


def gantt():
    return Gantt(
        key="timeline-1",
        title=Words("What stalled when?", "什么时候停顿？"),
        x=Axis(Words("time", "时间"), "s"),
        lane=column(0, 1, 0),
        index=column(0, 1, 2),
        planned=column(0, 0, 1),
        sent=column(0.1, 0, 1),
        first=column(0.5, NAN, 1.2),
        last=column(0.9, NAN, NAN),
        end=column(1, 2, 1.9),
        ok=column(1, 0, 1),
        n=3,
        of=REQUESTS,
        marks=(Mark(name=same("steady window"), kind="window", axis="x", start=0.2, end=1.8, zone=True),),
    )


def heat(**fields):
    row = {
        "key": "lengths",
        "title": same("Which lengths?"),
        "x": Axis(same("input"), "tokens", "log"),
        "y": Axis(same("output"), "tokens"),
        "value": Axis(same("TTFT p50"), "ms"),
        "x_edges": column(16, 64, 256),
        "y_edges": column(0, 100, 200),
        "values": np.array([[10.0, 20.0], [NAN, 40.0]]),
        "counts": np.array([[30.0, 30.0], [0.0, 31.0]]),
        "n": 91,
        "of": REQUESTS,
    }
    return Heat(**(row | fields))


def forest():
    return Forest(
        key="forest",
        title=same("What changed?"),
        x=Axis(same("change"), "%"),
        rows=(
            ForestRow(
                name=same("TTFT p99"), middle=119.0, low=96.0, high=141.0, word="worse", text="412 -> 903 ms"
            ),
            ForestRow(name=same("goodput"), middle=None, low=None, high=None, word="absent"),
        ),
        threshold=2.0,
        n=10,
        of=Words("runs", "次运行"),
    )


def drawn(plot, **fields):
    """The figure, and all text in it."""
    with look.matplotlib().rc_context(settings("x")):
        figure = draw(plot, Look(**fields))
        texts = [text.get_text() for text in figure.findobj(look.matplotlib().text.Text)]
    return figure, [text for text in texts if text]


def test_a_chart_says_its_question_units_n_limit_and_that_it_is_simulated():
    limit = Mark(name=same("SLO 60 ms"), kind="limit", axis="y", start=60.0)
    far = Mark(name=same("SLO 9 s"), kind="limit", axis="y", start=9000.0)
    note = Words("Bars: 95 % interval.", "误差线：95 % 区间。")
    lines = (
        series("a", low=column(9, NAN, 70), high=column(11, NAN, 90)),
        series("b", role="second", draw="steps"),
    )
    figure, texts = drawn(chart(*lines, marks=(limit, far), note=note), subtitle="qwen", simulated=True)
    expected = {"What does throughput cost?", "n = 1,900 requests  ·  qwen", "output throughput (tok/s)",
                "TTFT p99 (ms)", "SLO 60 ms", "SIMULATED", "Bars: 95 % interval.", "a", "b"}  # fmt: skip
    assert expected <= set(texts)
    assert "SLO 9 s" not in texts, "so far off that it would press the data together"
    low, high = figure.axes[0].get_ylim()
    assert (low, 90 < high < 120) == (0.0, True)
    assert {"吞吐的代价是什么？", "输出吞吐 (tok/s)", "模拟结果"} <= set(
        drawn(chart(), language="zh", simulated=True)[1]
    )
    assert "SIMULATED" not in drawn(chart())[1]


def test_points_are_named_where_the_axis_does_not_tell_them():
    labels = ("concurrency 1", "concurrency 4", "concurrency 16")
    words = tuple(Words(label, label.replace("concurrency", "并发数")) for label in labels)
    assert {*labels} <= {*drawn(chart(series(labels=words)))[1]}
    assert "并发数 4" in drawn(chart(series(labels=words)), language="zh")[1]
    loads = Axis(Words("concurrency", "并发数"), "", "log")
    assert not {*labels} & {*drawn(chart(series(labels=words), x=loads))[1]}
    rates = tuple(same(f"rate {rate} req/s") for rate in (1, 2, 4))
    by_rate = chart(series(labels=rates), x=Axis(Words("request rate", "请求率"), "req/s"))
    assert not {label.en for label in rates} & {*drawn(by_rate)[1]}
    close = series(x=column(100, 100.1, 400), y=column(10, 10, 80), labels=words)
    assert {"concurrency 4"} & {*drawn(chart(close))[1]} == set(), "it would cover the first"


def test_a_missing_value_is_a_gap_and_a_right_hand_axis_has_its_own_scale():
    lines = (series(y=column(1, NAN, 3)), series("rate", y=column(1, 2, 9000), right=True, role="second"))
    figure, _ = drawn(chart(*lines, right=Axis(same("rate"), "req/s")))
    left, right = figure.axes
    assert np.isnan(left.lines[0].get_ydata()[1])
    assert left.get_ylim()[1] < 5 < 9000 < right.get_ylim()[1]
    assert right.get_ylabel() == "rate (req/s)"


def test_a_log_axis_leaves_out_what_it_cannot_hold():
    figure, _ = drawn(chart(series(x=column(0, 10, 1000)), x=Axis(same("TTFT"), "ms", "log")))
    low, high = figure.axes[0].get_xlim()
    assert 0 < low <= 10 < 1000 <= high


def test_a_timeline_has_a_bar_for_each_part_of_a_request():
    figure, texts = drawn(gantt())
    waiting, first, decoding, failed = figure.axes[0].collections
    spans = [
        [tuple(map(float, path.vertices[:2, 0])) for path in part.get_paths()]
        for part in (waiting, first, decoding, failed)
    ]
    assert spans == [[(0.0, 0.1)], [(0.1, 0.5), (1.0, 1.2)], [(0.5, 0.9), (1.2, 1.9)], [(0.0, 2.0)]]
    assert {"steady window", "failed", "slot", "n = 3 requests"} <= set(texts)
    assert figure.axes[0].get_ylim() == (2.0, 0.0)


@pytest.mark.parametrize("positions", [False, True])
def test_a_heat_map_writes_value_and_count_into_its_cells(positions):
    edges = {"x_edges": column(0, 1), "x": Axis(same("input"), "")} if positions else {}
    _, texts = drawn(heat(**edges))
    assert [text for text in texts if "\nn " in text] == ["10\nn 30", "20\nn 30", "40\nn 31"]
    assert "TTFT p50 (ms)" in texts


def test_a_comparison_has_a_row_a_metric_and_the_verdict_in_words():
    figure, texts = drawn(forest())
    assert {"TTFT p99", "goodput", "412 -> 903 ms  worse", "absent", "change (%)"} <= set(texts)
    assert figure.axes[0].get_xlim() == pytest.approx((-155.1, 155.1))


@pytest.mark.parametrize("plot", [chart(), gantt(), heat(), forest()], ids=lambda plot: plot.key)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_equal_plots_are_equal_bytes(plot, form):
    content = picture(plot, form, Look())
    assert content == picture(plot, form, Look())
    if form == "png":
        assert content.startswith(b"\x89PNG")
        assert struct.unpack(">I", content[16:20]) == (1200,)
        assert b"Software" in content
        assert b"date" not in content[:400].lower()
    else:
        assert b"<dc:date>" not in content


def test_text_is_text_whatever_it_holds():
    hostile = "$x^{2}$ \\frac <script>alert(1)</script> \x00\x1b[31m %s {0}"
    labels = (same(hostile), same("b"), same("c"))
    content = picture(chart(series(hostile, labels=labels), series("b")), "svg", Look(subtitle=hostile))
    assert b"<script" not in content
    assert b"\x00" not in content
    _, texts = drawn(chart(series(labels=labels)), subtitle=hostile)
    assert any("$x^{2}$ \\frac <script>" in text and "\x00" not in text for text in texts)


def test_pictures_go_into_a_directory_by_key_or_the_first_into_a_file(tmp_path):
    plots = [chart(), forest()]
    folder = tmp_path / "new" / "pictures"
    written = write_pictures(plots, str(folder), "svg", Look())
    assert written == [folder / "throughput_ttft.svg", folder / "forest.svg"]
    with pytest.raises(UsageError, match=r"throughput_ttft\.svg exists already"):
        write_pictures(plots, str(folder), "svg", Look())
    assert write_pictures(plots, str(folder), "svg", Look(), overwrite=True) == written
    (alone,) = write_pictures(plots, str(tmp_path / "one.png"), "png", Look())
    assert alone.read_bytes() == picture(chart(), "png", Look())
    with pytest.raises(UsageError, match="the name says another format"):
        write_pictures(plots, str(tmp_path / "one.svg"), "png", Look())
    with pytest.raises(UsageError, match="nothing to draw"):
        write_pictures([], str(tmp_path), "png", Look())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "one.png"]


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="need matplotlib") as refused:
        write_pictures([chart()], str(tmp_path / "x"), "png", Look())
    assert refused.value.next_step == "pip install 'inferometer[plot]'"
    assert not (tmp_path / "x").exists()


def test_a_font_is_asked_for_where_chinese_text_has_none(monkeypatch):
    monkeypatch.setattr(files, "chinese_fonts", list)
    assert "apt-get install fonts-noto-cjk" in font_hint(Look(language="zh"))
    assert font_hint(Look(language="en")) is None
    monkeypatch.setattr(files, "chinese_fonts", lambda: ["SimHei"])
    assert font_hint(Look(language="zh")) is None


def test_series_of_one_role_differ_in_more_than_colour():
    found = styles([series(role="main", shade=at) for at in (0.0, 0.5, 1.0)])
    assert [style.colour for style in found] == [mixed(0.0), mixed(0.5), mixed(1.0)]
    assert len({style.shape for style in found}) == len({style.dash for style in found}) == 3
    both = styles([series(role="main"), series(role="second"), series(role="asked")])
    assert (len({style.colour for style in both}), len({style.dash for style in both})) == (3, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (12.34, "12.3"),
        (1.5, "1.5"),
        (0.0421, "0.042"),
        (-20.0, "-20"),
        (NAN, "–"),
    ],
)
def test_numbers_read_as_a_person_writes_them(value, text):
    assert figure_text(value) == text
