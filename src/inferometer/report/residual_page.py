"""A calibration as one HTML page: what was fitted, how well, where it was not looked, and how far to trust it.

One file without any link: it can be mailed, and read offline, light or dark, on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import numpy as np

from inferometer.report.calibration import KINDS, MEANINGS, METRICS, error_rows, seconds, share, spread_of
from inferometer.report.residual_plots import Floats, Series, Whisker, over_order, scatter, thinned, whiskers
from inferometer.simulator.calibration.calibrated import Calibrated
from inferometer.simulator.calibration.residuals import METRICS as OF_REQUESTS
from inferometer.simulator.calibration.residuals import Compared, off

_UNITS: Final = {"ttft": ("ms", 1e3), "tpot": ("ms", 1e3), "e2el": ("s", 1.0), "step": ("ms", 1e3)}
_AXES: Final = {
    "step_tokens": ("tokens of the largest steps", "最大步的 token 数"),
    "decodes": ("sequences that decode together", "同时 decode 的序列数"),
    "kv_tokens": ("context that a decode step reads, tokens", "一步 decode 读取的上下文 token 数"),
    "input_tokens": ("prompt tokens", "输入 token 数"),
    "output_tokens": ("output tokens", "输出 token 数"),
}
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--paper:#ffffff;--card:#f5f7f9;--line:#d5dbe1;
--fit:#0072b2;--out:#d55e00;--band:#0072b21a;--warn:#8a5a00;--warnbg:#fff4dc;--good:#00734f}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaee;--soft:#9aa5b1;--paper:#14181d;--card:#1d232a;--line:#39424d;
--fit:#56b4e9;--out:#e69f00;--band:#56b4e926;--warn:#f0c46c;--warnbg:#33290f;--good:#4cc99a}}
*{box-sizing:border-box}body{margin:0 auto;padding:1.2rem;max-width:76rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI","Noto Sans","Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .6rem;border-bottom:1px solid var(--line);
padding-bottom:.2rem}p{margin:.4rem 0}[lang=zh]{color:var(--soft);font-size:.93em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.7rem;margin:1rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.card span{font-size:.85rem;color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.5rem}
figcaption{font-weight:600;padding:.1rem .3rem .3rem}svg{display:block;width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}svg .row{fill:var(--ink);font-size:12px}
.grid{stroke:var(--line);stroke-width:.6;fill:none}.frame{fill:none;stroke:var(--line)}.band,.block{fill:var(--band)}
.equal{stroke:var(--soft);stroke-width:1;fill:none}.fit{fill:var(--fit);fill-opacity:.45}
.out{fill:var(--out);fill-opacity:.6}.whisker{stroke:var(--out);stroke-width:4;stroke-linecap:round;fill:none}
.middle{fill:var(--ink)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.warning{background:var(--warnbg);color:var(--warn);border-radius:.5rem;padding:.5rem .8rem;margin:.5rem 0}
.yes{color:var(--good)}.no{color:var(--warn)}.key{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 .8rem;
vertical-align:-.1rem}code{font-size:.92em}
footer{color:var(--soft);margin-top:2rem;font-size:.85rem}
"""


def render_residual_page(found: Calibrated) -> str:
    """The page of a calibration."""
    profile = found.profile
    title = ", ".join(filter(None, (profile.engine, profile.device))) or "engine"
    body = "\n".join(
        [
            f"<h1>{_both(f'Calibration of {escape(title)}', '模拟引擎标定')}</h1>",
            f"<p>{_made(found)}</p>",
            _cards(found),
            *(
                f'<div class="warning"><b>{_both("Warning", "警告")}</b> {escape(text)}</div>'
                for text in found.warnings
            ),
            _section(
                "Calibrated from", "标定数据", "".join(f"<p>{escape(line)}</p>" for line in found.sources)
            ),
            _section("Errors", "误差", _errors(found)),
            *_plots(found),
            _section("Coefficients", "系数", _coefficients(found)),
            _section("Where it may be trusted", "可信范围", _region(found)),
            f"<footer>Inferometer {escape(profile.provenance.version or '')} · {escape(profile.schema)}</footer>",
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Calibration of {escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _both(english: str, chinese: str) -> str:
    return f'{english} <span lang="zh">{chinese}</span>'


def _section(english: str, chinese: str, inside: str) -> str:
    return f"<section><h2>{_both(english, chinese)}</h2>{inside}</section>"


def _made(found: Calibrated) -> str:
    told = found.profile.provenance
    when = f", {escape(told.made_at)}" if told.made_at else ""
    return _both(
        f"{told.observations:,} observations ({escape(told.method)}){when}", f"{told.observations:,} 个观测值"
    )


def _cards(found: Calibrated) -> str:
    """The errors that count most: on configurations left out where there are several, else on blocks of time."""
    errors = {(kind, metric): each for kind, metric, each in error_rows(found.profile.provenance.held_out)}
    kinds = [
        kind for kind in ("configurations", "blocks", "table", "steps") if any(k == kind for k, _ in errors)
    ]
    cards = []
    for (kind, metric), each in errors.items():
        if kind != (kinds or [""])[0]:
            continue
        cards.append(
            f'<div class="card"><span>{METRICS[metric]}, {KINDS[kind][0]} · {KINDS[kind][1]}</span>'
            f"<b>{share(each.get('mape'))}</b><span>mean absolute error · 平均绝对误差</span></div>"
        )
    if found.coverage:
        inside = float(np.mean(list(found.coverage.values())))
        cards.append(
            '<div class="card"><span>inside 90 % intervals · 落在 90 % 区间内</span>'
            f"<b>{share(inside)}</b><span>of held-out values · 留出值</span></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(header: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are HTML; a column is one of numbers or not."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = zip(cells, header, strict=True)
        return "<tr>" + "".join(f"<{tag}{' class=n' * n}>{cell}</{tag}>" for cell, (_, n) in marked) + "</tr>"

    lines = [line("th", [name for name, _ in header]), *(line("td", row) for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _errors(found: Calibrated) -> str:
    profile = found.profile
    header = [
        ("", False),
        ("", False),
        ("mean |error| 平均", True),
        ("median |error| 中位", True),
        ("worst mean 均值偏差", True),
        ("worst p99 P99 偏差", True),
        ("inside 90 % 区间覆盖", True),
    ]
    rows = []
    widest = (
        "configurations"
        if any("configurations" in name for name in profile.provenance.held_out)
        else "blocks"
    )
    for errors, held in ((found.fitted, False), (profile.provenance.held_out, True)):
        for kind, metric, each in error_rows(errors):
            english, chinese = KINDS[kind]
            if kind in ("table", "steps"):
                english, chinese = (
                    f"{english}, {'held out' if held else 'fit'}",
                    f"{chinese}{'（留出）' * held}",
                )
            inside = share(found.coverage.get(metric)) if held and kind == widest else ""
            rows.append(
                [
                    _both(english, chinese),
                    METRICS[metric],
                    share(each.get("mape")),
                    share(each.get("median")),
                    share(each.get("mean"), True),
                    share(each.get("p99"), True),
                    inside,
                ]
            )
    note = _both(
        "Worst mean and p99: of the load point where they are furthest off. Held out: predicted by fits that had not "
        "seen the block of time, or the configuration.",
        "留出：用未见过该时间块或该配置的拟合来预测。",
    )
    return _table(header, rows) + f"<p>{note}</p>"


def _plots(found: Calibrated) -> Iterator[str]:
    """Sections of the plots that there are data for."""
    clouds = [*_scatters(found)]
    if clouds:
        keys = _key("fit", "circle", "fit 拟合") + _key("out", "triangle", "held out 留出")
        yield _section("Measured and predicted", "实测与预测", f"<p>{keys} · band = ±10 %</p>{_grid(clouds)}")
    if found.requests:
        yield _section(
            "Held-out errors over time, blocks shaded",
            "留出误差随时间变化（按时间块着色）",
            _grid(_times(found.requests)),
        )
        yield _section(
            "Held-out errors by configuration: median and 90 %",
            "各配置的留出误差：中位数与 90 %",
            _grid(_spreads(found.requests)),
        )


def _key(kind: str, shape: str, text: str) -> str:
    mark = '<circle cx="6" cy="6" r="5"/>' if shape == "circle" else '<path d="M6,0l6,11h-12z"/>'
    return f'<svg class="key {kind}" viewBox="0 0 12 12" aria-hidden="true">{mark}</svg>{text}'


def _grid(figures: Sequence[str]) -> str:
    return f'<div class="plots">{"".join(figures)}</div>'


def _figure(caption: str, plot: str) -> str:
    return f"<figure><figcaption>{caption}</figcaption>{plot}</figure>"


def blind(each: Compared, metric: str) -> Floats:
    """Predictions by fits that had not seen the configuration, or where it is the only one, the block of time."""
    elsewhere = each.elsewhere[metric]
    return np.where(np.isfinite(elsewhere), elsewhere, each.blocked[metric])


def _scatters(found: Calibrated) -> Iterator[str]:
    for metric in OF_REQUESTS:
        if not found.requests:
            break
        measured, fitted, told = (
            np.concatenate(columns)
            for columns in zip(
                *(
                    (each.measured[metric], each.fitted[metric], blind(each, metric))
                    for each in found.requests
                ),
                strict=True,
            )
        )
        yield _cloud(metric, METRICS[metric], measured, fitted, told)
    for values in found.values:
        name = f"{METRICS[values.metric]}, {values.name}"
        yield _cloud(values.metric, name, values.measured, values.fitted, values.left_out)


def _cloud(metric: str, name: str, measured: Floats, fitted: Floats, told: Floats) -> str:
    unit, factor = _UNITS[metric]
    known = np.flatnonzero(np.isfinite(measured) & (measured > 0))
    if not len(known):
        return ""
    chosen = known[thinned(len(known))]
    series = [
        Series("fit", measured[chosen] * factor, fitted[chosen] * factor),
        Series("out", measured[chosen] * factor, told[chosen] * factor, "triangle"),
    ]
    fewer = f" ({len(chosen)} of {len(known)} drawn)" if len(chosen) < len(known) else ""
    return _figure(name + fewer, scatter(series, f"{name}: predicted over measured", unit))


def _times(requests: Sequence[Compared]) -> list[str]:
    """Errors of all load points one after the other."""
    begins = np.concatenate([[0], np.cumsum([len(each.at_s) for each in requests])])
    blocks = [
        (float(begin + rows[0]), float(begin + rows[-1] + 1))
        for begin, each in zip(begins[:-1].tolist(), requests, strict=True)
        for block in np.unique(each.block)
        for rows in (np.flatnonzero(each.block == block),)
    ]
    figures = []
    for metric in OF_REQUESTS:
        measured = np.concatenate([each.measured[metric] for each in requests])
        errors = np.concatenate([blind(each, metric) for each in requests]) / measured - 1
        known = np.flatnonzero(np.isfinite(errors))
        if not len(known):
            continue
        chosen = known[thinned(len(known))]
        reach = max(0.02, 1.1 * float(np.percentile(np.abs(errors[known]), 98)))
        series = [Series("out", chosen.astype(np.float64), errors[chosen], "triangle")]
        label = f"{METRICS[metric]}: held-out errors over time"
        figures.append(_figure(METRICS[metric], over_order(series, blocks, label, reach)))
    return figures


def _spreads(requests: Sequence[Compared]) -> list[str]:
    figures = []
    for metric in OF_REQUESTS:
        rows = []
        for name in dict.fromkeys(each.configuration for each in requests):
            alike = [each for each in requests if each.configuration == name]
            errors = np.concatenate([off(blind(each, metric), each.measured[metric]) for each in alike])
            if len(errors):
                low, middle, high = np.percentile(errors, (5, 50, 95))
                rows.append(Whisker(name, len(errors), float(low), float(middle), float(high)))
        if rows:
            label = f"{METRICS[metric]}: held-out errors by configuration"
            figures.append(_figure(METRICS[metric], whiskers(rows, label)))
    return figures


def _coefficients(found: Calibrated) -> str:
    header = [
        ("coefficient 系数", False),
        ("value 值", True),
        ("90 % of refits 重拟合区间", True),
        ("seen in the data 数据可见", False),
        ("of 含义", False),
    ]
    rows = []
    notes = {row.name: row for row in found.seen}
    for name, (english, chinese) in MEANINGS.items():
        if name not in notes:
            continue
        note, middle = notes[name], spread_of(found.profile, name)
        told = '<span class="yes">● yes 是</span>'
        if not note.seen:
            mixed = f", not told from <code>{note.mixed_with}</code>" if note.mixed_with else ""
            told = f'<span class="no">○ no 否{mixed}</span><br>add 补测: {escape(note.add or "")}'
        rows.append(
            [
                f"<code>{name}</code>",
                seconds(getattr(found.profile.coefficients, name)),
                "-" if middle is None else f"{seconds(middle[0])} – {seconds(middle[1])}",
                told,
                _both(english, chinese),
            ]
        )
    formula = (
        "step = max(weights_s, token_s·T) + comm_token_s·T + step_s + sequence_s·N + kv_token_s·K + attention_s·Q "
        "+ prompt_step_s"
    )
    return f"<p><code>{formula}</code></p>" + _table(header, rows)


def _region(found: Calibrated) -> str:
    profile, limits = found.profile, found.profile.limits
    rows = []
    for name, (english, chinese) in _AXES.items():
        values = [getattr(each, name) for each in profile.seen]
        if values:
            rows.append([_both(english, chinese), f"{min(values):,.0f}", f"{max(values):,.0f}"])
    table = _table([("axis 维度", False), ("from 最小", True), ("to 最大", True)], rows) if rows else ""
    cache = f"KV cache: {limits.kv_blocks * limits.block_tokens:,} tokens ({escape(found.kv_source)})"
    scheduler = (
        f"Scheduler 调度: {limits.scheduler}, {limits.max_num_seqs} sequences, "
        f"{limits.max_num_batched_tokens} tokens a step"
    )
    note = _both(
        "Predictions outside of it are extrapolated, and say so.", "超出范围的预测属外推，并会注明。"
    )
    return f"{table}<p>{note}</p><p>{cache}</p><p>{scheduler}</p>"
