"""Filters that a person has named, in a small file of the store: other browsers, ports and programs see them too."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import orjson

from llmops_sdk._util._private_files import replace_file
from llmops_sdk._util._usage import UsageError
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import read_file, refuse_links
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import FILTERS, Asked, NotFoundError, check_names

__all__ = ["SavedFilters", "saved_filters"]

_FOLDER = "ui"
_FILE = "filters.json"
_MOST = 100
_MAX_NAME = 60
_MAX_QUERY = 4_000
_MAX_FILE = 2_000_000  # bytes; 100 queries of the longest escapes take less


class SavedFilters:
    """Writes the named filters of one application into its store.

    Args:
        folder: The store's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def put(self, body: Mapping[str, Any]) -> Answer:
        """Save a filter under a name, or with `remove` forget it. The same name replaces.

        Of two pages that save in the same moment, one may win.

        Args:
            body: `name`, and `query` as in an address, or `remove`.

        Raises:
            NotFoundError: There is no filter of this name.
            StoreError: The file cannot be read or written.
            UsageError: The name or a parameter is not valid, or there are too many.
        """
        name = _name(body.get("name"))
        with self._lock:
            saved = _read(self._folder)
            if body.get("remove") is True:
                if saved.pop(name, None) is None:
                    raise NotFoundError("there is no saved filter of this name")
            else:
                saved[name] = _query(body.get("query"), self._folder)
                if len(saved) > _MOST:
                    raise UsageError(f"{_MOST} filters are saved already: remove one first")
            _write(self._folder, saved)
        return _answer(saved)


def saved_filters(asked: Asked) -> Answer:
    """Return the filters that have a name.

    Raises:
        StoreError: The file cannot be read.
    """
    return _answer(_read(asked.folder))


def _answer(saved: Mapping[str, str]) -> Answer:
    rows = [{"name": name, "query": saved[name]} for name in sorted(saved, key=str.casefold)]
    return Answer({"rows": rows})


def _name(given: object) -> str:
    name = given.strip() if isinstance(given, str) else ""
    # Printable: no line breaks, and none of the characters that turn a text around or hide in it.
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise UsageError(f"a filter needs a name of at most {_MAX_NAME} printable characters")
    return name


def _query(given: object, folder: Path) -> str:
    """Return the parameters that filter, checked as those of an address."""
    if not isinstance(given, str) or len(given) > _MAX_QUERY:
        raise UsageError(f"query must be the parameters of an address, of at most {_MAX_QUERY:,} characters")
    try:
        pairs = [(name, value) for name, value in parse_qsl(given.removeprefix("?"), max_num_fields=100) if value]
    except ValueError as error:
        raise UsageError("query has too many parameters") from error
    check_names([name for name, _ in pairs], FILTERS)
    if not pairs:
        raise UsageError("choose a filter first: there is nothing to save")
    texts: dict[str, list[str]] = {}
    for name, value in pairs:
        texts.setdefault(name, []).append(value)
    _ = Asked(folder, texts).filter  # refuses what a page would refuse
    return urlencode(pairs)


def _read(folder: Path) -> dict[str, str]:
    """Return the queries by name; entries that this module would not have written are left out."""
    file = folder / _FOLDER / _FILE
    try:
        found: Any = orjson.loads(read_file(file, _MAX_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, orjson.JSONDecodeError) as error:
        raise StoreError(f"the saved filters cannot be read: {error}. Remove {file}", path=str(file)) from error
    listed = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    saved: dict[str, str] = {}
    for name, query in list(listed.items())[:_MOST]:
        try:
            saved[_name(name)] = _query(query, folder)
        except UsageError:
            continue
    return saved


def _write(folder: Path, saved: Mapping[str, str]) -> None:
    if not folder.is_dir():
        raise StoreError(f"there is no store at {folder} yet", path=str(folder))
    try:
        (folder / _FOLDER).mkdir(mode=0o700, exist_ok=True)
        refuse_links(folder, _FOLDER)
        replace_file(folder / _FOLDER / _FILE, orjson.dumps(dict(saved), option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise StoreError(f"the filter cannot be saved in {folder}: {error.strerror}", path=str(folder)) from error
