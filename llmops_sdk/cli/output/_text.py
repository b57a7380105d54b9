"""Values as text: safe to show in a terminal and to open in a spreadsheet.

Traces hold what users and models wrote. Shown as it is, an escape sequence in it could move the cursor, set the
window's title or write to the clipboard, and a cell that starts with "=" would run as a formula.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

__all__ = ["cell", "csv_cell", "cut", "defuse", "is_numeric", "json_text", "plain"]

# C0 and C1 controls, DEL, and the characters that change the direction or the order in which text is drawn. Tab and
# newline are left to the caller, which knows whether a cell may have lines.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of the control character, as in ␛
    return "␡" if code == 0x7F else "\ufffd"


def defuse(text: str) -> str:
    r"""`text` with every control character made visible, lines and tabs kept.

    Example:
        >>> defuse("\x1b[31mred")
        '␛[31mred'
    """
    return _UNSAFE.sub(_visible, text.replace("\r\n", "\n"))


def cut(text: str, width: int) -> str:
    """At most `width` characters of `text`, with "…" for what is left out."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def plain(value: Any) -> Any:
    """`value` as strict JSON has it: text for times and the like, null for NaN and infinity."""
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
    """`value` as strict JSON in which no character moves the cursor or turns the text round."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    """Whether a column of `rows` holds numbers, and so is drawn to the right."""
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
    """`value` as one line of a table: "" for NULL, numbers rounded for the eye."""
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
    """`value` as a cell of a CSV file: numbers in full, text that a spreadsheet would run as a formula quoted by '."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    value = plain(value)
    if not isinstance(value, str):
        return json_text(value)
    # Judged before the controls are made visible: a leading CR must still be seen.
    prefix = "'" if value.startswith(_FORMULA) else ""
    return prefix + defuse(value)
