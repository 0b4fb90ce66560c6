"""The documents as a site, one build for each language: ``make docs`` writes build/site/en and build/site/zh.

The pages are those that a code host shows, so what the site has in other ways is taken out here: the line of links
under each title (the sidebar has them), and links to files outside of docs/.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

from inferometer.version import __version__  # noqa: E402

CHINESE = tags.has("zh")  # type: ignore[name-defined]  # noqa: F821
ROOT_PAGES = (
    "cookbook",
    "simulator",
    "performance",
)  # English pages that lie beside the folder of their language

project = "Inferometer"
author = "Inferometer"
copyright = "Inferometer"
version = release = __version__
language = "zh_CN" if CHINESE else "en"
extensions = ["myst_parser"]
root_doc = "zh/index" if CHINESE else "en/index"
exclude_patterns = ["_templates", "pictures/*.md"]
exclude_patterns += (
    ["en/**", "decisions/**", *(f"{name}.md" for name in ROOT_PAGES)] if CHINESE else ["zh/**"]
)
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme = "furo"
html_title = "Inferometer 文档" if CHINESE else "Inferometer documents"
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/language.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_theme_options = {"navigation_with_keys": True}

NAVIGATION = re.compile(r"\A(# [^\n]*\n\n)(?:\[[^\]]*\]\([^)]*\)[ ·\n]*)+\n", re.MULTILINE)
LINK = re.compile(r"\]\(((?:\.\./)+|)([\w./-]+\.(?:md|toml|py|yaml|sh))((?:#[\w-]+)?)\)")


def _for_the_site(app: object, page: str, source: list[str]) -> None:
    """The text of a page without its line of links, and with links that the site can follow."""
    folder = (HERE / page).parent

    def kept(found: re.Match[str]) -> str:
        target = (folder / f"{found[1]}{found[2]}").resolve()
        if target.name in ("README.md", "README.zh.md"):
            return f"](/{root_doc}.md)"
        inside = HERE in target.parents
        other = (
            inside and (target.relative_to(HERE).parts[0] == "zh") != CHINESE and not page.endswith("index")
        )
        if inside and not other and target.exists() and not _left_out(target):
            return found[0]
        return "]()"

    text = NAVIGATION.sub(r"\1", source[0])
    source[0] = re.sub(r"\[([^\]]*)\]\(\)", r"\1", LINK.sub(kept, text))


def _left_out(target: Path) -> bool:
    return CHINESE and target.relative_to(HERE).parts[0] != "zh"


def _twin(app: object, page: str, template: str, context: dict[str, object], doctree: object) -> None:
    """Where the same page is in the other language; None where it is in one alone."""
    name = page.rpartition("/")[2]
    places = [name, f"en/{name}"] if CHINESE else [f"zh/{name}"]
    found = next((place for place in places if (HERE / f"{place}.md").exists()), None)
    up = "../" * (page.count("/") + 1)
    context["twin"] = f"{up}{'en' if CHINESE else 'zh'}/{found}.html" if found else None
    context["twin_name"] = "English" if CHINESE else "中文"


def setup(app: object) -> None:
    """Hooks of this site."""
    app.connect("source-read", _for_the_site)  # type: ignore[attr-defined]
    app.connect("html-page-context", _twin)  # type: ignore[attr-defined]
