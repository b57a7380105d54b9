"""The pages: one table, from which the addresses, the navigation and the documentation come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked
from llmops_sdk.ui.api._span import span, text
from llmops_sdk.ui.api._trace import trace
from llmops_sdk.ui.api._traces import list_traces

__all__ = ["PAGES", "READS", "Page", "Read", "pages"]

Reader: TypeAlias = Callable[[Asked], Answer]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the navigation, or one that others link to.

    Attributes:
        name: Its name, also that of its data in `/api/v1/`.
        path: Its address; "{…}" stands for an id.
        title: Its title.
        group: The heading in the navigation; "" for a page that only others link to.
        shows: What it shows, for the documentation.
    """

    name: str
    path: str
    title: str
    group: str
    shows: str


@dataclass(frozen=True, slots=True)
class Read:
    """Something that the page reads.

    Attributes:
        path: The address below `/api/v1/`; "{…}" stands for an id.
        read: Makes the answer.
        shows: What it gives, for the documentation.
        seconds: The time for its queries.
    """

    path: str
    read: Reader
    shows: str
    seconds: float = 10.0


PAGES = (
    Page("traces", "/traces", "Traces", "Look", "Traces, newest first: filters, facets, histogram, search."),
    Page("trace", "/trace/{trace}", "Trace", "", "One trace as a waterfall, with each span's content."),
)


def pages(_: Asked) -> Answer:
    """Return the pages that exist."""
    return Answer(
        {"pages": [{"name": one.name, "path": one.path, "title": one.title, "group": one.group} for one in PAGES]}
    )


READS = (
    Read("pages", pages, "The pages that exist: `name`, `path`, `title`, `group`."),
    Read("traces", list_traces, "Traces, newest first: `rows`, `searched_back_to`."),
    Read("trace/{trace}", trace, "One trace: `summary`, `spans` in drawing order, `scores`, `losses`."),
    Read("span/{trace}/{span}", span, "All of one span."),
    Read("text", text, "A part of a long text of a span: `text`, `offset`, `chars`."),
)
