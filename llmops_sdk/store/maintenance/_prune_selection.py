"""What is to be pruned: as conditions on rows, as a test on lines, and as a journal that outlives a kill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from llmops_sdk.store.files._manifest import sync_folder
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["PruneSelection", "read_journal", "remove_journal", "write_journal"]

_JOURNAL = "PRUNE.json"
_BY_TRACE = "trace_id IN (SELECT id FROM removed_traces)"
_BY_TRACE_OR_SPAN = "trace_id IN (SELECT id FROM removed_traces) OR span_id IN (SELECT id FROM removed_spans)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSelection:
    """Which rows go: all that are of some traces, or all that are older than a time.

    Attributes:
        traces: Ids of traces.
        spans: Ids of those of their spans that scores name without the trace.
        blobs: Names of the files that those spans refer to.
        words: The user's or the session's id, by which a torn line is known.
        before_ns: Rows that began earlier go.
    """

    traces: frozenset[str] = frozenset()
    spans: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    before_ns: int | None = None

    def row_condition(self, stream: str) -> str | None:
        """Which rows of a stream's Parquet file go, in SQL over `removed_traces` and `removed_spans`; None for none."""
        rules = RECORD_STREAMS[stream]
        if rules.pruned_by == "nothing":
            return None  # counts, without content
        if self.before_ns is not None:
            return f"{rules.time_column} < {self.before_ns:d}"
        return _BY_TRACE if rules.pruned_by == "trace" else _BY_TRACE_OR_SPAN

    def matches(self, line: bytes) -> bool:
        """Whether a line of a segment goes."""
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return self._matches_torn_line(line)
        if not isinstance(row, dict) or "what" in row:
            return False
        return self._matches_row(row)  # pyright: ignore[reportUnknownArgumentType] - any JSON

    def _matches_row(self, row: Mapping[str, Any]) -> bool:
        if self.before_ns is not None:
            began = row.get("start_ns", row.get("time_ns"))
            return isinstance(began, int) and began < self.before_ns
        return row.get("trace_id") in self.traces or ("source" in row and row.get("span_id") in self.spans)

    def _matches_torn_line(self, line: bytes) -> bool:
        if self.before_ns is not None:
            return False
        head = line[:45].decode("ascii", "replace")
        if head.startswith('{"trace_id":"') and head[13:] in self.traces:
            return True
        return any(orjson.dumps(word)[1:-1] in line for word in self.words)


def write_journal(store: Path, selection: PruneSelection) -> None:
    """Say what is to go, on the disk, before the first of it does: what is left could not be found by it again.

    Args:
        store: The store's folder, whose lock the caller holds.
        selection: What goes.
    """
    temporary = store / f".{_JOURNAL}.{uuid4().hex}"
    content = {
        "traces": sorted(selection.traces),
        "spans": sorted(selection.spans),
        "blobs": sorted(selection.blobs),
        "words": selection.words,
        "before_ns": selection.before_ns,
    }
    with temporary.open("xb") as out:
        temporary.chmod(0o600)
        out.write(orjson.dumps(content))
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(store / _JOURNAL)
    sync_folder(store)


def read_journal(store: Path) -> PruneSelection | None:
    """What somebody who was killed had begun to prune, or None.

    Args:
        store: The store's folder, whose lock the caller holds.
    """
    try:
        content: Any = orjson.loads((store / _JOURNAL).read_bytes())
    except FileNotFoundError:
        return None
    return PruneSelection(
        traces=frozenset(content["traces"]),
        spans=frozenset(content["spans"]),
        blobs=frozenset(content["blobs"]),
        words=tuple(content["words"]),
        before_ns=content["before_ns"],
    )


def remove_journal(store: Path) -> None:
    """All of it is gone.

    Args:
        store: The store's folder, whose lock the caller holds.
    """
    (store / _JOURNAL).unlink(missing_ok=True)
