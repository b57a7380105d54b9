"""Rows as lines of JSON and of CSV, from which every value can be had back exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from llmops_sdk.store.schema._views import Column

__all__ = ["csv_lines", "json_lines"]

# What a spreadsheet takes for a formula, and the sign that we put before it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def json_lines(columns: Sequence[Column], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """An object a row; JSON stays what it was, byte for byte, and NULLs are left out."""
    names = [column.name for column in columns]
    nested = [column.type == "JSON" for column in columns]
    for rows in batches:
        for row in rows:
            yield orjson.dumps(
                {
                    name: orjson.Fragment(value) if inner else value
                    for name, value, inner in zip(names, row, nested, strict=True)
                    if value is not None
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )


def csv_lines(columns: Sequence[Column], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """A heading and a line a row: text is quoted, so that NULL (nothing) and "" differ; no cell is a formula."""
    yield (",".join(column.name for column in columns) + "\n").encode()
    for rows in batches:
        for row in rows:
            yield (",".join(map(_cell, row)) + "\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    # Text that begins with the sign gets another, so that taking one away always gives the text back.
    sign = "'" if text.startswith(_FORMULA) else ""
    return f'"{sign}{text}"' if '"' not in text else '"' + sign + text.replace('"', '""') + '"'
