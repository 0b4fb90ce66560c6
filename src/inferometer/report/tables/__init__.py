"""Tables of load points in the columns that each community expects, as text, Markdown, CSV and Excel workbook."""

from inferometer.report.tables.build import STYLES, build, style_named
from inferometer.report.tables.csv_text import csv_text
from inferometer.report.tables.model import Cell, Column, Style, Table, TableReport
from inferometer.report.tables.text import console, markdown

__all__ = [
    "STYLES",
    "Cell",
    "Column",
    "Style",
    "Table",
    "TableReport",
    "build",
    "console",
    "csv_text",
    "markdown",
    "style_named",
]
