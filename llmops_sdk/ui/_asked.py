"""What a request asks for: filters, limit and cursor, with the command line and the SQL that ask for the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._filters import Filter, make_filter
from llmops_sdk.store.reading._query import flush_first, store_folder
from llmops_sdk.store.reading.jobs._own_rows import OwnRows, own_rows

__all__ = [
    "FILTERS",
    "Asked",
    "NotFoundError",
    "UnknownParameterError",
    "check_names",
    "literal",
    "on_store",
    "sql_command",
    "unknown_names",
    "with_values",
]

_OPTIONS = ("since", "until", "name", "model", "session", "user", "status", "kind", "search")
_NUMBERS = ("min_cost", "min_duration")
_LISTS = {"tag": "tags", "score": "scores"}
FILTERS: tuple[str, ...] = (*_OPTIONS, *_NUMBERS, *_LISTS)
"""The parameters that filter, as on the command line."""
_EVERYWHERE = frozenset({"token"})
"""Where the service around the page decides who sees it, a token stays in the address."""
_MAX_TEXT = 1_000  # characters
_MAX_VALUES = 20
_VALUE = re.compile(r"\$([a-z_][a-z_0-9]*)")


class NotFoundError(LookupError):
    """The store has no such trace, span, session or file."""


class UnknownParameterError(UsageError):
    """Nothing reads a parameter of the address, so the answer would be of another question."""


def unknown_names(given: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the names of parameters that are not known."""
    return [name for name in dict.fromkeys(given) if name not in known and name not in _EVERYWHERE]


def check_names(given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse parameters that are not known.

    Raises:
        UnknownParameterError: There is one.
    """
    for name in unknown_names(given, known):
        near = get_close_matches(name.lower(), known, n=1)
        meant = f': did you mean "{near[0]}"?' if near else "."
        listed = f"Known are {', '.join(known)}" if known else "There are none here"
        raise UnknownParameterError(f'there is no parameter "{name[:100]}" here{meant} {listed}')


@dataclass(frozen=True)
class Asked:
    """One request, read.

    Args:
        folder: The store's folder.
        texts: The parameters of the address; a name may come more than once.
        path: The parts of the path.
        read_only: Whether the server refuses every change.
    """

    folder: Path
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    path: Mapping[str, str] = field(default_factory=dict[str, str])
    read_only: bool = False

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return one parameter, or the default where it is missing or empty.

        Raises:
            UsageError: It comes twice or is too long.
        """
        values = [value for value in self.texts.get(name, ()) if value]
        if len(values) > 1:
            raise UsageError(f"{name} may be given once")
        if values and len(values[0]) > _MAX_TEXT:
            raise UsageError(f"{name} is longer than {_MAX_TEXT} characters")
        return values[0] if values else default

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a number.

        Raises:
            UsageError: It is not a number.
        """
        text = self.text(name)
        try:
            return default if text is None else float(text)
        except ValueError as error:
            raise UsageError(f'{name} "{text}" is not a number') from error

    def whole(self, name: str, default: int, most: int) -> int:
        """Return a whole number from 1 to `most`.

        Raises:
            UsageError: It is not one.
        """
        text = self.text(name, str(default))
        assert text is not None
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
            raise UsageError(f'{name} "{text}" must be a whole number from 1 to {most}')
        return int(text)

    def values(self, name: str) -> list[str]:
        """Return a parameter that may come more than once.

        Raises:
            UsageError: There are too many, or one is too long.
        """
        values = [value for value in self.texts.get(name, ()) if value]
        if len(values) > _MAX_VALUES or any(len(value) > _MAX_TEXT for value in values):
            raise UsageError(f"{name} may be given {_MAX_VALUES} times, with {_MAX_TEXT} characters each")
        return values

    @cached_property
    def filter(self) -> Filter:
        """Return the filter.

        Raises:
            UsageError: A parameter is not valid.
        """
        given: dict[str, Any] = {name: self.text(name) for name in _OPTIONS}
        given |= {name: self.number(name) for name in _NUMBERS}
        given |= {to: self.values(name) for name, to in _LISTS.items()}
        return make_filter(**given)

    def command(self, *words: str, without: Sequence[str] = ()) -> str:
        """Return a command line of `llmops` with the same filters.

        Args:
            words: The command and its own options.
            without: Filters to leave out.
        """
        line = ["llmops", *words]
        for name in (*_OPTIONS, *_NUMBERS, *_LISTS):
            # With "=", a value may begin with a dash.
            values = () if name in without else self.values(name)
            line += [f"--{name.replace('_', '-')}={value}" for value in values]
        return shlex.join(line)

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query.

        Raises:
            QueryError: It took too long, or the store changed too often.
            StoreError: The store cannot be read.
        """
        return self.result(sql, params).dicts()

    def result(self, sql: str, params: Mapping[str, Any] | None = None) -> OwnRows:
        """Return the rows of a query as tuples; see `rows`. Parameters that the SQL does not name are left out."""
        named = set(_VALUE.findall(sql))
        used = {name: value for name, value in (params or {}).items() if name in named}
        flush_first()
        return own_rows(sql, used or None, self.folder)


def with_values(sql: str, params: Mapping[str, Any]) -> str:
    """Return SQL with its parameters put in, to copy and run elsewhere.

    Args:
        sql: The statement, with `$name` parameters.
        params: Their values.
    """
    return _VALUE.sub(lambda found: literal(params[found[1]]) if found[1] in params else found[0], sql)


def sql_command(sql: str) -> str:
    """Return the command line that runs this SQL."""
    return shlex.join(["llmops", "sql", sql])


def on_store(command: str, folder: Path) -> str:
    """Return a command line that reads this store, also where another one is configured."""
    if not command or folder == store_folder(None):
        return command
    return f"{command} {shlex.quote(f'--store={folder}')}"


def literal(value: Any) -> str:
    """Return a value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value}'"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(literal, value)) + "]"  # pyright: ignore[reportUnknownArgumentType]
    return "'" + str(value).replace("'", "''") + "'"
