"""Write documents for people: HTML, SVG and Markdown in which hostile text stays text."""

from llmops_sdk._documents._html import POLICY, Cell, page, table
from llmops_sdk._documents._markdown import markdown_table, markdown_text
from llmops_sdk._documents._svg import svg, svg_line, svg_rect, svg_text
from llmops_sdk._documents._text import clean, defuse, one_line

__all__ = [
    "POLICY",
    "Cell",
    "clean",
    "defuse",
    "markdown_table",
    "markdown_text",
    "one_line",
    "page",
    "svg",
    "svg_line",
    "svg_rect",
    "svg_text",
    "table",
]
