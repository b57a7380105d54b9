"""Write rows as lines of JSON or CSV, from which every value can be read back exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from llmops_sdk.store.schema._views import Column

__all__ = ["csv_lines", "json_lines"]

# What makes a spreadsheet read a formula, also after spaces and invisible characters, and the sign that we prefix.
_FORMULA = re.compile(
    r"(?:[\s\x00-\x20\x7f-\xa0\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff])*[=+\-@＝＋－＠﹦﹢﹣﹫−]|[\t\r\n']"
)


def json_lines(columns: Sequence[Column], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """Yield one object a row, with JSON unchanged byte for byte and without NULLs."""
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


def csv_lines(names: Sequence[str], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[bytes]:
    """Yield a header and one line a row. Text is quoted, so that NULL (empty) and "" differ; no cell is a formula."""
    yield (",".join(names) + "\n").encode()
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
    # Text that begins with the sign gets another: removing one always restores the text.
    sign = "'" if _FORMULA.match(text) else ""
    return f'"{sign}{text}"' if '"' not in text else '"' + sign + text.replace('"', '""') + '"'
