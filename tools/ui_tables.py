"""Write the tables of docs/ui.md from the table of pages; `make docs` runs this, and a test compares the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmops_sdk.ui._asked import FILTERS
from llmops_sdk.ui._changes import CHANGES
from llmops_sdk.ui._pages import PAGES, READS
from llmops_sdk.ui._streams import STREAM_TAKES

__all__ = ["with_tables"]

_PAGE = Path(__file__).parents[1] / "docs" / "ui.md"
_BEGIN = "<!-- begin: made by tools/ui_tables.py -->\n"
_END = "<!-- end -->\n"

_STREAMS = {
    "search": "Events: `rows`, `progress` (`searched_back_to`), `done` (`complete`, `rows`, `next`).",
    "live": "Events: `ready`, `traces` (`rows`), `position`, `changed`, `gap`, `error`.",
}


def _taken(takes: Sequence[str]) -> str:
    names = [f"`{name}`" for name in takes if name not in FILTERS]
    return ", ".join([*(["filters"] if {*FILTERS} <= {*takes} else []), *names])


def with_tables(page: str) -> str:
    """Return the page with the tables as they are now.

    Args:
        page: The text of docs/ui.md.
    """
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    lines = ["| address | shows |", "|---|---|", *(f"| `{one.path}` | {one.shows} |" for one in PAGES)]
    lines += ["", "| GET `/api/v1/…` | takes | gives in `data` |", "|---|---|---|"]
    lines += [f"| `{one.path}` | {_taken(one.takes)} | {one.shows} |" for one in READS]
    lines += [f"| `{name}` | {_taken(STREAM_TAKES[name])} | {text} |" for name, text in _STREAMS.items()]
    lines += ["", "| POST `/api/v1/…` | does |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in CHANGES.items()]
    return before + _BEGIN + "\n" + "\n".join(lines) + "\n\n" + _END + after


if __name__ == "__main__":
    _PAGE.write_text(with_tables(_PAGE.read_text("utf-8")), "utf-8")
