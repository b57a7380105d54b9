"""The selection of a prune: a condition on rows, a test for lines, and a journal that survives a kill."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.store.datasets._erase import ItemSelection
from llmops_sdk.store.files._folders import read_file
from llmops_sdk.store.files._manifest import sync_folder
from llmops_sdk.store.files._names import whole_number
from llmops_sdk.store.files._overwrite import TORN
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["PruneSelection", "read_journal", "remove_journal", "write_journal"]

_JOURNAL = "PRUNE.json"
_MAX_BYTES = 1024**3
_TRACE = re.compile(rb'"trace_id":"([0-9a-f]{32})"')
_PERSON = re.compile(rb'(?:user|session)[._]id":("(?:[^"\\]|\\.)*")')
_BY_TRACE = {
    "trace_id": "removed_traces",
    "source_trace_id": "removed_traces",
    "scorer_trace_id": "removed_traces",
}
_BY_TARGET = {"trace_id": "removed_traces", "span_id": "removed_spans", "session_id": "removed_sessions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSelection:
    """Rows to delete: those of some traces, or those before a time.

    Attributes:
        traces: Ids of traces.
        spans: Ids of spans of these traces that scores name without the trace.
        sessions: Ids of sessions whose scores and items of data sets go.
        users: Ids of users whose items of data sets go.
        blobs: Names of the blobs that these spans refer to.
        words: The id of the user or session, which identifies torn lines.
        before_ns: Select rows that began earlier.
    """

    traces: frozenset[str] = frozenset()
    spans: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    before_ns: int | None = None

    @property
    def items(self) -> ItemSelection | None:
        """Return the items of data sets to erase; None when rows are selected by age, which data sets have not."""
        return None if self.before_ns is not None else ItemSelection(self.traces, self.users, self.sessions)

    def row_condition(self, stream: str, version: int) -> str | None:
        """Return which rows of a stream's Parquet file go, in SQL over the tables of `mark_for_removal`; None for none.

        Args:
            stream: The stream's name.
            version: The file's schema version.
        """
        rules = RECORD_STREAMS[stream]
        if rules.pruned_by == "nothing":
            return None
        if self.before_ns is not None:
            return f"{rules.time_column} < {self.before_ns:d}"
        tables = _BY_TRACE if rules.pruned_by == "trace" else _BY_TARGET
        names = [column.name for column in rules.columns if column.since <= version]
        found = [f"{name} IN (SELECT id FROM {tables[name]})" for name in names if name in tables]  # noqa: S608 - constants
        return " OR ".join(found) or None

    def kind_of(self, line: bytes) -> str | None:
        """Return the stream of a selected line of a segment, `TORN` for an unreadable one; None if it is not selected.

        Args:
            line: The line without its line break.
        """
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return TORN if self._matches_torn_line(line) else None
        if not isinstance(row, dict) or "what" in row or not self._matches_row(cast("dict[str, Any]", row)):
            return None
        if "experiment_id" in row:
            return "experiments"
        return "scores" if "source" in row else "details" if "event" in row else "spans"

    def _matches_row(self, row: Mapping[str, Any]) -> bool:
        if self.before_ns is not None:
            began = row.get("start_ns", row.get("time_ns"))
            return isinstance(began, int) and began < self.before_ns
        if any(row.get(name) in self.traces for name in _BY_TRACE):
            return True
        return "source" in row and (row.get("span_id") in self.spans or row.get("session_id") in self.sessions)

    def _matches_torn_line(self, line: bytes) -> bool:
        if self.before_ns is not None:
            return False
        if any(trace.decode() in self.traces for trace in _TRACE.findall(line)):
            return True
        # The whole id, in its own field: user "7" must not match every line with a 7 in it.
        wanted = {orjson.dumps(word) for word in self.words}
        return any(value in wanted for value in _PERSON.findall(line))


def write_journal(store: Path, selection: PruneSelection) -> None:
    """Write the selection to disk before deleting: after a kill, it could not be computed from the rest.

    Args:
        store: The store's folder; the caller holds its lock.
        selection: The rows to delete.
    """
    content = {
        "traces": sorted(selection.traces),
        "spans": sorted(selection.spans),
        "sessions": sorted(selection.sessions),
        "users": sorted(selection.users),
        "blobs": sorted(selection.blobs),
        "words": selection.words,
        "before_ns": selection.before_ns,
    }
    replace_file(store / _JOURNAL, orjson.dumps(content), fsync=True)
    sync_folder(store)


def read_journal(store: Path) -> PruneSelection | None:
    """Return the selection of a killed prune, or None.

    Args:
        store: The store's folder; the caller holds its lock.

    Raises:
        StoreError: It is damaged.
    """
    file = store / _JOURNAL
    try:
        content: Any = orjson.loads(read_file(file, _MAX_BYTES))
        before = content["before_ns"]
        return PruneSelection(
            traces=frozenset(_texts(content["traces"])),
            spans=frozenset(_texts(content["spans"])),
            sessions=frozenset(_texts(content.get("sessions", []))),  # an older version's journal has none
            users=frozenset(_texts(content.get("users", []))),
            blobs=frozenset(_texts(content["blobs"])),
            words=tuple(_texts(content["words"])),
            before_ns=None if before is None else whole_number(before, least=-(2**63)),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{file}, the note of an unfinished prune, is damaged ({error}): remove it, and prune again",
            path=str(file),
        ) from error


def _texts(values: Any) -> list[str]:
    if isinstance(values, list):
        items = cast("list[Any]", values)
        if all(isinstance(item, str) for item in items):
            return items
    raise ValueError("it has no list of texts where one belongs")


def remove_journal(store: Path) -> None:
    """Delete the journal of a finished prune.

    Args:
        store: The store's folder; the caller holds its lock.
    """
    (store / _JOURNAL).unlink(missing_ok=True)
