"""Writes docs/LANGUAGE/datasets.md from the catalogue; run after changing src/inferometer/workload/catalogue*.py."""

from pathlib import Path

from inferometer.workload.catalogue import datasets_markdown

DOCS = Path(__file__).parents[1] / "docs"

for language in ("en", "zh"):
    (DOCS / language / "datasets.md").write_text(datasets_markdown(language), "utf-8")
