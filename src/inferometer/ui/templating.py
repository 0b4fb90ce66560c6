"""The pages as HTML; everything is escaped, both languages are in each page, and its files are served beside it."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from inferometer.report.page.model import Block
from inferometer.report.page.render import assets, render_blocks
from inferometer.report.words import Language, Words
from inferometer.ui.guard import STATIC
from inferometer.version import __version__

_HERE: Final = Path(__file__).parent


class StaticFile(NamedTuple):
    """A file of the pages; its address holds its hash, so that browsers may keep it for ever."""

    content: bytes
    media_type: str


@cache
def static_files() -> dict[str, StaticFile]:
    """By the address below ``/static/``."""
    found = assets()
    named = {
        "report.css": (found.style, "text/css"),
        "ui.css": (_own("ui.css"), "text/css"),
        "echarts.js": (found.echarts, "text/javascript"),
        "report.js": (found.script, "text/javascript"),
        "ui.js": (_own("ui.js"), "text/javascript"),
    }
    return {
        f"{hashlib.sha256(text.encode()).hexdigest()[:12]}/{name}": StaticFile(text.encode(), kind)
        for name, (text, kind) in named.items()
    }


def static_url(name: str) -> str:
    """The address of one of them."""
    return STATIC + next(address for address in static_files() if address.endswith(f"/{name}"))


def render(template: str, language: Language, **values: Any) -> str:
    """One page."""
    text = _environment().get_template(template).render(language=language, **values)
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def both(en: str, zh: str) -> Markup:
    """The same in both languages, of which the page shows one."""
    if en == zh:
        return escape(en)
    return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(en, zh)


def _words(words: Words) -> Markup:
    return both(words.en, words.zh)


def _figure(value: float | None) -> str:
    """Three figures and more; empty where there is none."""
    if value is None:
        return ""
    if abs(value) >= 1e12:  # no figure of this field: of a file that holds nonsense
        return f"{value:.3g}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _blocks(blocks: tuple[Block, ...], language: Language) -> Markup:
    return Markup(render_blocks(blocks, language))  # noqa: S704 - made by autoescaping templates


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def _own(name: str) -> str:
    return (_HERE / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=both, w=_words, static=static_url, blocks=_blocks, version=__version__, figure=_figure, size=_size
    )
    environment.filters.update(without_time=without_time, plain=_plain)
    return environment


def without_time(name: str) -> str:
    """The name of a run folder without the time that it begins with."""
    return re.sub(r"^\d{8}-\d{6}-(?=.)", "", name)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
