"""The pages: one table, from which the addresses, the navigation and the documentation come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from llmops_sdk._version import __version__
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import FILTERS, Asked
from llmops_sdk.ui._sheets import Sheet, read_sheet
from llmops_sdk.ui.api._compare import compare
from llmops_sdk.ui.api._doctor import doctor
from llmops_sdk.ui.api._facets import facets, histogram
from llmops_sdk.ui.api._queue import queue
from llmops_sdk.ui.api._sessions import list_sessions, session
from llmops_sdk.ui.api._span import span, text
from llmops_sdk.ui.api._trace import trace
from llmops_sdk.ui.api._traces import list_traces
from llmops_sdk.ui.api.changes._replay import READ_ONLY, replay_refusal
from llmops_sdk.ui.api.changes._saved_filters import saved_filters
from llmops_sdk.ui.api.sheets._calls import ATTEMPTS, CALLS, ERRORS
from llmops_sdk.ui.api.sheets._evals import EVALS, compare_experiments
from llmops_sdk.ui.api.sheets._metrics import metrics
from llmops_sdk.ui.api.sheets._policies import CACHE, GUARDS, LOSSES, ROUTES, TRAFFIC
from llmops_sdk.ui.api.sheets._records import ALERTS, DATASETS, DRIFT

__all__ = ["PAGES", "READS", "Page", "Read"]

Reader: TypeAlias = Callable[[Asked], Answer]


@dataclass(frozen=True, slots=True)
class Read:
    """Something that the page reads.

    Attributes:
        path: The address below `/api/v1/`; "{…}" stands for an id.
        read: Makes the answer.
        shows: What it gives, for the documentation.
        seconds: The time for its queries.
        takes: The names of its parameters.
    """

    path: str
    read: Reader
    shows: str
    seconds: float = 10.0
    takes: tuple[str, ...] = FILTERS


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the navigation, or one that others link to.

    Attributes:
        path: Its address; "{…}" stands for an id. Its first part is also the name.
        title: Its title.
        group: The heading in the navigation; "" for a page that only others link to.
        shows: What it shows, for the documentation.
        reads: What it reads; a sheet is read at the page's own path.
        takes: The names of the parameters in its address.
    """

    path: str
    title: str
    group: str
    shows: str
    reads: Sheet | tuple[Read, ...]
    takes: tuple[str, ...] = FILTERS

    @property
    def name(self) -> str:
        """Return the page's name."""
        return self.path.split("/")[1]

    @property
    def endpoints(self) -> tuple[Read, ...]:
        """Return what the page reads."""
        if isinstance(self.reads, Sheet):
            return (Read(self.name, read_sheet(self.reads), "`facts`, `charts`, `tables`."),)
        return self.reads


PAGES = (
    Page("/traces", "Traces", "Look", "Traces, newest first: filters, facets, histogram, search, live.", (
        Read("traces", list_traces, "`rows`: traces, newest first.", takes=(*FILTERS, "limit", "cursor")),
        Read("facets", facets, "For each facet its most frequent values: `value`, `count`.", 3.0),
        Read("histogram", histogram, "Traces over time: `bucket_s`, `x`, `ok`, `error`.", takes=(*FILTERS, "bucket")),
    ), takes=(*FILTERS, "live")),
    Page("/trace/{trace}", "Trace", "", "One trace as a waterfall, with each span's content.", (
        Read(
            "trace/{trace}", trace, "`summary`, `spans` in drawing order without empty columns, `scores`, `losses`.",
            takes=(),
        ),
        Read(
            "span/{trace}/{span}", span, "All of one span: its columns, messages, events, attempts, verdicts, …",
            takes=(),
        ),
        Read(
            "text", text, "A part of a long text of a span: `text`, `offset`, `chars`.",
            takes=("trace", "span", "field", "offset"),
        ),
    ), takes=("span", "show", "find")),
    Page("/sessions", "Sessions", "Look", "Sessions, newest first.", (
        Read("sessions", list_sessions, "`rows`: sessions, newest first.", takes=(*FILTERS, "limit")),
    ), takes=(*FILTERS, "limit")),
    Page("/session/{session}", "Session", "", "One session as a conversation.", (
        Read(
            "session/{session}", session, "`summary`, `turns` with the new messages of each, `scores`.",
            takes=("limit", "cursor"),
        ),
    ), takes=()),
    Page("/calls", "Calls", "Look", "Calls to models, by model and prompt.", CALLS),
    Page("/errors", "Errors", "Look", "Errors by type and by message without its numbers and ids.", ERRORS),
    Page("/metrics", "Metrics", "Measure", "Cost, latency, tokens, errors and quality over time; budgets.", (
        Read("metrics", metrics, "`facts`, `charts`, `tables`."),
    )),
    Page("/attempts", "Attempts", "Policies", "Retries and fallbacks, and how they ended.", ATTEMPTS),
    Page("/cache", "Cache", "Policies", "Look-ups in the cache, and what they saved.", CACHE),
    Page("/guards", "Guards", "Policies", "Verdicts of guards.", GUARDS),
    Page("/routes", "Routes", "Policies", "Decisions of routers.", ROUTES),
    Page("/traffic", "Traffic", "Policies", "Decisions of limits, breakers, budgets and hedges.", TRAFFIC),
    Page("/drift", "Drift", "Measure", "Checks for drift, and canaries.", DRIFT),
    Page("/alerts", "Alerts", "Measure", "Alerts: their states and changes.", ALERTS),
    Page("/datasets", "Data sets", "Evaluate", "Saved data sets and their items.", DATASETS),
    Page("/evals", "Experiments", "Evaluate", "Experiments and their scores.", (
        Read("evals", read_sheet(EVALS), "`facts`, `charts`, `tables`."),
        Read("evals/compare", compare_experiments, "Two experiments, `a` and `b`: `tables`.", takes=("of", "a", "b")),
    )),
    Page("/queue", "Annotate", "Evaluate", "Traces, spans, calls or sessions to judge, one after the other.", (
        Read(
            "queue", queue, "`rows`: `traces`, `spans`, `calls` or `sessions` (`target`) without the score `judge` by "
            "the person `by`, each with its `score_target`; `source`; `more`.",
            takes=(*FILTERS, "target", "judge", "by", "limit"),
        ),
    ), takes=(*FILTERS, "target", "judge", "by")),
    Page("/compare", "Compare", "Evaluate", "Two traces, models, prompts or periods.", (
        Read(
            "compare", compare, "`of`: `traces`, `models`, `prompts` or `periods`; two of them, `a` and `b`.",
            takes=(*FILTERS, "of", "a", "b"),
        ),
    ), takes=(*FILTERS, "of", "a", "b")),
    Page("/replay/{trace}/{span}", "Replay", "", "Send a stored call again.", (), takes=("model", "n", "fresh")),
    Page("/sql", "SQL", "Store", "A query over the store.", (), takes=("q",)),
    Page("/doctor", "Doctor", "Store", "What llmops doctor finds.", (
        Read("doctor", doctor, "`facts`, `tables`.", 30.0, takes=()),
    ), takes=()),
    Page("/losses", "Losses", "Store", "What was dropped, cut or redacted.", LOSSES),
)  # fmt: skip


_DRAWN_AS_SHEETS = frozenset({"metrics", "evals", "doctor"})


def pages(asked: Asked) -> Answer:
    """Return the pages that exist, and whether the server takes changes and replays."""
    refusal = READ_ONLY if asked.read_only else replay_refusal(asked.folder)
    listed = [
        {
            "name": one.name,
            "path": one.path,
            "title": one.title,
            "group": one.group,
            "sheet": isinstance(one.reads, Sheet) or one.name in _DRAWN_AS_SHEETS,
        }
        for one in PAGES
    ]
    about = {"version": __version__, "store": str(asked.folder), "read_only": asked.read_only}
    return Answer({"pages": listed, **about, "replay": refusal is None, "replay_refusal": refusal})


READS = (
    Read(
        "pages",
        pages,
        "`pages`: `name`, `path`, `title`, `group`, `sheet`; and `version`, `store`, `read_only`, `replay`, "
        "`replay_refusal`.",
        takes=(),
    ),
    *(read for page in PAGES for read in page.endpoints),
    Read("filters", saved_filters, "`rows`: saved filters, each with `name` and `query`.", takes=()),
)
"""Everything that is read with GET."""
