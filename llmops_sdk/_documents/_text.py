"""Make text of users and models safe to show."""

from __future__ import annotations

import re

__all__ = ["clean", "defuse", "one_line"]

# C0 and C1 controls, DEL, and characters that change the direction of text. Tab and newline are left to the caller,
# which knows whether a cell may have several lines.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELLIPSIS = "…"


def clean(text: str) -> str:
    """Return a text with question marks for the characters that no XML, HTML or UTF-8 file can hold."""
    return _NO_TEXT.sub("?", text)


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


def one_line(text: str, longest: int) -> str:
    r"""Return a text as one line of at most `longest` characters, without control characters.

    Args:
        text: Any text.
        longest: The most characters; a longer text ends in "…".

    Example:
        >>> one_line("gpt\n<b>\u202e" + "x" * 9, 10)
        'gpt <b>\ufffdx…'
    """
    # Cut before the rest: the work must not grow with a hostile text.
    line = " ".join(defuse(text[: 4 * longest]).split())
    is_cut = len(line) > longest or len(text) > 4 * longest
    return line[: longest - 1] + _ELLIPSIS if is_cut else line
