"""Say which name of a filter does not occur in the store, and the nearest one: an empty table alone tells nothing."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli.output._reading import query
from llmops_sdk.cli.output._text import cell, cut

__all__ = ["tell_unknown_names"]

_KNOWN = {
    "kind": "SELECT DISTINCT kind FROM spans",
    "score": "SELECT DISTINCT name FROM scores",
    "model": "SELECT model FROM llm_calls UNION SELECT request_model FROM llm_calls",
    "tag": "SELECT DISTINCT unnest(tags) FROM spans",
    "session": "SELECT DISTINCT session_id FROM spans",
    "user": "SELECT DISTINCT user_id FROM spans",
}
_MAX_NAMES = 10_000
_SHOWN = 8
_WIDTH = 60


def tell_unknown_names(filters: Filter, store: Path | None) -> None:
    """Write a line to stderr for each name of a filter that the store does not have. Call it if nothing was found."""
    for what, name in _names(filters):
        found = query(f"FROM ({_KNOWN[what]}) LIMIT {_MAX_NAMES}", store=store).rows()
        known = sorted(str(one) for (one,) in found if one is not None)
        if name in known or len(known) >= _MAX_NAMES:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        if near:
            hint = f"the nearest is {_shown(near[0])}"
        elif known and what in {"kind", "score", "model", "tag"}:
            more = ", …" if len(known) > _SHOWN else ""
            hint = f"there are {', '.join(map(_shown, known[:_SHOWN]))}{more}"
        else:
            hint = f"it has {len(known):,}" if known else "it has none"
        sys.stdout.flush()
        print(f'no span in the store has the {what} "{_shown(name)}"; {hint}', file=sys.stderr)


def _names(filters: Filter) -> Iterator[tuple[str, str]]:
    for what in ("kind", "model", "session", "user"):
        name = getattr(filters, what)
        if name is not None:
            yield what, name
    yield from (("tag", tag) for tag in filters.tags)
    yield from (("score", score.name) for score in filters.scores)


def _shown(name: str) -> str:
    return cut(cell(name), _WIDTH)
