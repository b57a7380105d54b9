"""Convert values to text that is safe in a terminal and in a spreadsheet.

Traces contain text of users and models. An escape sequence in it could move the cursor, set the window title or write
to the clipboard, and a spreadsheet runs a cell that starts with "=" as a formula.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from llmops_sdk._documents import defuse

__all__ = ["cell", "csv_cell", "cut", "defuse", "is_numeric", "json_text", "plain"]

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A spreadsheet skips spaces and invisible characters before a formula, and takes the full-width forms for it too.
_FORMULA = re.compile(
    r"(?:[\s\x00-\x20\x7f-\xa0\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff])*[=+\-@＝＋－＠﹦﹢﹣﹫−]|[\t\r]"
)


def cut(text: str, width: int) -> str:
    """Cut `text` to at most `width` characters, ending in "…" if something is cut."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def plain(value: Any) -> Any:
    """Convert `value` to types of strict JSON: times become text, NaN and infinity null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return str(value)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as strict JSON, with control and direction characters escaped."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    """Return whether all values of a column are numbers, which are right-aligned."""
    values = [row[column] for row in rows if row[column] is not None]
    return bool(values) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value and abs(value) < 1e-6:
        return f"{value:.3g}"
    text = f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.3f}".rstrip("0").rstrip(".")
    return text or "0"


def cell(value: Any) -> str:
    """Format `value` as one line for a table: "" for NULL, numbers rounded."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        return _number(float(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    value = plain(value)
    if not isinstance(value, str):
        return json_text(value)
    return defuse(value).replace("\n", "↵").replace("\t", " ")


def csv_cell(value: Any) -> str:
    """Format `value` for CSV: numbers in full, and a ' before text that a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    value = plain(value)
    if not isinstance(value, str):
        return json_text(value)
    # Check before `defuse`, which replaces a leading CR.
    prefix = "'" if _FORMULA.match(value) else ""
    return prefix + defuse(value)
