"""Pages and their blocks as HTML: everything escaped, nothing fetched, readable without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inferometer.report.page.columns import csv_header, data_text
from inferometer.report.page.in_numbers import axes_text, in_numbers, plots_of, spans_of, tag_of
from inferometer.report.page.model import Block, Page
from inferometer.report.plots.model import Plot
from inferometer.report.words import Language, Words

_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = ("charts.js", "rows.js", "report.js")


class Assets(NamedTuple):
    """What a page needs beside its HTML; a page that stands alone holds all of it, a server gives them as files.

    Attributes:
        style: the style sheet.
        echarts: Apache ECharts, as its makers ship it.
        script: draws the pictures and works the switches; needs ``echarts`` before it.
        licence: of ECharts.
    """

    style: str
    echarts: str
    script: str
    licence: str


class _View(NamedTuple):
    """A picture as the template wants it."""

    plot: Plot
    axes: Words
    numbers: object
    data: Markup
    header: str
    span: str


@cache
def assets() -> Assets:
    """The files that every page needs."""
    templates, vendor = _HERE / "templates", _HERE / "vendor"
    return Assets(
        style=(templates / "report.css").read_text(encoding="utf-8"),
        echarts=(vendor / "echarts.min.js").read_text(encoding="utf-8"),
        script="\n".join((templates / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        licence=(vendor / "echarts.LICENSE").read_text(encoding="utf-8"),
    )


def render_page(page: Page) -> str:
    """One HTML file that needs nothing else; it holds both languages.

    Its policy lets no script run but its own two, which are named by their hashes, and nothing be fetched.
    """
    found = assets()
    spans = spans_of(plots_of([list(section.blocks) for section in page.sections]))
    text = (
        _environment(page.language)
        .get_template("page.html.j2")
        .render(
            page=page,
            spans=spans,
            policy=policy(found),
            assets=Assets(*map(Markup, found)),
        )
    )
    return _clean(text)


def render_blocks(blocks: Sequence[Block], language: Language = "en") -> str:
    """Blocks for a page of somebody else, which brings ``assets()``; pictures carry their data with them."""
    template = _environment(language).get_template("some_blocks.html.j2")
    return _clean(template.render(blocks=blocks, spans=spans_of(plots_of(list(blocks)))))


def policy(found: Assets) -> str:
    """The Content-Security-Policy of a page that holds ``found``."""
    scripts = " ".join(f"'{_hash(part)}'" for part in (found.echarts, found.script))
    return (
        f"default-src 'none'; script-src {scripts}; style-src '{_hash(found.style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _clean(text: str) -> str:
    """Without halves of characters, which no file can hold, and without NUL, which no parser keeps."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(language=language, tag_of=tag_of, view=_view, words=Words)
    return environment


def _view(plot: Plot, spans: Mapping[str, tuple[float, float]]) -> _View:
    span = spans.get(getattr(plot, "link", None) or "")
    return _View(
        plot=plot,
        axes=axes_text(plot),
        numbers=in_numbers(plot),
        data=Markup(data_text(plot)),  # noqa: S704 - escaped there
        header=csv_header(plot),
        span="" if span is None else f"{span[0]:.9g} {span[1]:.9g}",
    )
