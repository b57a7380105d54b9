"""Values of an application as text for people and for judges."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["as_text", "clean", "defuse"]

# C0 and C1 controls, DEL, and characters that change the direction of text. Tab and newline are left to the caller,
# which knows whether a cell may have several lines.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return a text with question marks for the characters that no XML, HTML or UTF-8 file can hold."""
    return _NO_TEXT.sub("?", text)


def as_text(value: Any) -> str:
    """Return a text as it is, None as an empty text, and another value as indented JSON, or else its `repr`.

    Lone surrogates, which neither a file nor a request can carry, become question marks.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, indent=2, ensure_ascii=False, default=repr)
        except (TypeError, ValueError, RecursionError):
            text = repr(value)
    return text.encode("utf-8", "replace").decode()


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the symbol of the control character, e.g. ␛
    return "␡" if code == 0x7F else "\ufffd"


def defuse(text: str) -> str:
    r"""Replace control characters by visible symbols; keep newlines and tabs.

    Example:
        >>> defuse("\x1b[31mred")
        '␛[31mred'
    """
    return _UNSAFE.sub(_visible, text.replace("\r\n", "\n"))
