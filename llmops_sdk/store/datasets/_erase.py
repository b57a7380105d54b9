"""Erase the items of a user, a session or a trace from every saved version of every data set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson

from llmops_sdk.store.datasets._versions import (
    ERASED,
    FOLDER,
    StoredVersion,
    dataset_folders,
    read_info,
    read_lines,
    version_files,
)
from llmops_sdk.store.datasets._write import changing, describe, new_file, remove_half_written

__all__ = ["ItemSelection", "count_items", "erase_items"]

_TRACE_KEY = b'"source_trace_id":'
_FEW = 8


@dataclass(frozen=True, slots=True)
class ItemSelection:
    """The items to erase: those from some traces, users or sessions."""

    traces: frozenset[str]
    users: frozenset[str]
    sessions: frozenset[str]

    def tester(self) -> _Tester:
        """Return the test for lines."""
        return _Tester(self)


class _Tester:
    """Tests lines; most of them without parsing."""

    def __init__(self, selection: ItemSelection) -> None:
        self._selection = selection
        self._traces = {orjson.dumps(trace) for trace in selection.traces}
        words = selection.users | selection.sessions
        # The word without quotes: an id may be a number in the metadata.
        self._words = None if len(words) > _FEW else [_encoded(word) for word in words]

    def is_named_in(self, text: str) -> bool:
        """Return whether a text has one of the ids as a whole word."""
        ids = (*self._selection.users, *self._selection.sessions, *self._selection.traces)
        return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) for one in ids if one and one in text)

    def matches(self, line: bytes) -> bool:
        at = line.rfind(_TRACE_KEY)
        trace = line[at + len(_TRACE_KEY) : -1]
        if at >= 0 and line.endswith(b"}"):
            if trace in self._traces:
                return True
            if self._words is not None and not any(word in line for word in self._words):
                return False
        return self._matches_row(line)

    def _matches_row(self, line: bytes) -> bool:
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return True  # damaged: nobody can tell whose it is
        if not isinstance(row, dict):
            return False
        item = cast("dict[str, Any]", row)
        if item.get("source_trace_id") in self._selection.traces:
            return True
        metadata = item.get("metadata")
        if not isinstance(metadata, dict):
            return False
        known = cast("dict[str, Any]", metadata)
        return _named(known.get("user_id"), self._selection.users) or _named(
            known.get("session_id"), self._selection.sessions
        )


def _encoded(word: str) -> bytes:
    try:
        return orjson.dumps(word)[1:-1]
    except orjson.JSONEncodeError:
        return b"\xff"  # a lone surrogate, which no stored line has


def _named(value: Any, ids: frozenset[str]) -> bool:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return any(str(one) in ids for one in values if one is not None)


def count_items(store: Path, selection: ItemSelection) -> int:
    """Return the number of items that would be erased, each saved version counted by itself.

    Args:
        store: The store's folder.
        selection: The items.
    """
    test = selection.tester()
    files = [file for folder in dataset_folders(store) for file in version_files(folder, ".jsonl")]
    return sum(test.matches(line) for file in files for line in read_lines(file))


def erase_items(store: Path, selection: ItemSelection) -> int:
    """Erase items from every version; return their number. Doing it twice is harmless.

    A version keeps its name. Its file is written anew without the erased items, and its description says how many they
    were. A description that names a user or a session, as SQL does, loses that text.

    Args:
        store: The store's folder.
        selection: The items.

    Raises:
        StoreError: The files cannot be written, or another process is changing them.
    """
    if not (store / FOLDER).is_dir():
        return 0
    test = selection.tester()
    erased = 0
    with changing(store):
        for folder in dataset_folders(store):
            remove_half_written(folder)
            for file in version_files(folder, ".json"):
                info = read_info(file)
                if info is not None and info.path.is_file():
                    erased += _erase(info, test)
                elif info is None:
                    _erase_undescribed(file.with_suffix(".jsonl"), test)
    return erased


def _erase(info: StoredVersion, test: _Tester) -> int:
    found = items = gone = 0
    for line in read_lines(info.path):
        if line == ERASED:
            gone += 1
        elif test.matches(line):
            found += 1
        else:
            items += 1
    size = new_file(info.path, _without(info.path, test)) if found else info.bytes
    names_one = info.detail is not None and test.is_named_in(info.detail)
    after = replace(info, items=items, erased=gone + found, bytes=size, detail=None if names_one else info.detail)
    # Also after a kill between the two files.
    if after != info:
        describe(after)
    return found


def _erase_undescribed(file: Path, test: _Tester) -> None:
    if file.is_file() and any(test.matches(line) for line in read_lines(file)):
        new_file(file, _without(file, test))


def _without(file: Path, test: _Tester) -> Iterator[bytes]:
    for line in read_lines(file):
        yield ERASED if line != ERASED and test.matches(line) else line
