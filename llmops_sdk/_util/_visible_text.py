"""Make text of users and models safe to print: an escape sequence in it could move the cursor or set the title."""

from __future__ import annotations

import re

__all__ = ["defuse"]

# C0 and C1 controls, DEL, and characters that change the direction of text. Tab and newline are left to the caller,
# which knows whether a cell may have several lines.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


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
