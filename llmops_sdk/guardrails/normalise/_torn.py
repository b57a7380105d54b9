"""Join tokens that spaces or line breaks tear apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.normalise._plain import match_escape
from llmops_sdk.guardrails.normalise._view import View, replaced

__all__ = ["compiled", "joined", "may_be_torn"]

_SPACE = r"[ \t\r\n]"
_WORD = re.compile(r"[^ \t\r\n]++")
# Letters one by one, as in "a l i c e @ e x a m p l e . o r g".
_SPELLED = re.compile(
    rf"(?<![^ \t\r\n])[(\[\"'<]?[^ \t\r\n](?:{_SPACE}{{1,12}}+[^ \t\r\n](?![^ \t\r\n])){{4,}}+"
    rf"(?:{_SPACE}{{1,12}}+[^ \t\r\n][)\]\"'>.,;:!?]{{1,2}}+(?![^ \t\r\n]))?"
)
_HAS_LETTER = re.compile("[A-Za-z]")
_GAPS = re.compile(rf"{_SPACE}+")
_LAST_PART = re.compile(r"[A-Za-z0-9+/_=.-]{3,}\Z")
_FIRST_PART = re.compile(r"[A-Za-z0-9+/_=.-]{2,}+")
_RANDOM = re.compile(r"[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]|[A-Z]{2}[a-z]")
_DIGITS = re.compile(r"[0-9]{2,}\Z")
_HEAD_OF_KEY = re.compile(r"[A-Za-z0-9]{2,12}[-_][A-Za-z0-9_-]{2,}\Z|(?:AKIA|ASIA|AIza|eyJ|ya29|SG\.)[\w.-]*\Z")
_CUT_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]?|&(?:#[xX]?[0-9A-Fa-f]{0,6}|[A-Za-z]{0,24})|\\u?[0-9A-Fa-f]{0,3})\Z")
_DIGIT_LAST, _DIGIT_FIRST = re.compile(r"[0-9]-?\Z"), re.compile(r"-?[0-9]")
_HOST_PART = re.compile(r"[A-Za-z0-9-]*(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}(?![A-Za-z0-9])")
_TLD = re.compile(r"[a-z]{2,6}(?![A-Za-z0-9@])")

# What `joined` joins is a part of what these match, in google-re2's syntax. Most texts match none of them.
_S, _W, _B = r"[ \t\r\n]", r"[^ \t\r\n]", "[A-Za-z0-9+/_=.-]"
_RANDOM_PART = "(?:[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]|[A-Z]{2}[a-z])"
_HEAD = "(?:[A-Za-z0-9]{2}[-_][A-Za-z0-9_-]{2}|AKIA|ASIA|AIza|eyJ|ya29|SG[.])"
_LETTERS = rf"(?:^|{_S})[(\[\"'<]?{_W}(?:{_S}+{_W}){{4}}(?:{_S}|$)"
_TORN = (
    # A key.
    rf"(?:{_RANDOM_PART}|{_HEAD}){_B}*{_S}{{1,8}}(?:{_B}*{_RANDOM_PART}|[0-9]{{2,}}(?:[^A-Za-z0-9+/_=.-]|$))",
    # An address.
    rf"{_W}{_S}{{1,8}}@|@{_S}|@[^ \t\r\n@]*{_S}{{1,8}}[.]",
    rf"@[^ \t\r\n@]*[.]{_S}{{1,8}}(?:[a-z]{{2}}|[A-Za-z0-9.-]*[.][A-Za-z])",
    rf"@[^ \t\r\n@.]+{_S}{{1,8}}[A-Za-z0-9.-]*[.][A-Za-z]{{2}}",
    # An escape.
    rf"%{_S}{{1,8}}[0-9A-Fa-f]{{2}}|%[0-9A-Fa-f]{_S}{{1,8}}[0-9A-Fa-f]",
    rf"&[#A-Za-z0-9]*{_S}{{1,8}}[#A-Za-z0-9]*;|\\[uUx0-9A-Fa-f]*{_S}",
)
_NUMBERS = rf"[0-9]-?[ \t\r]*\n{_S}*-?[0-9]"
"""A number on two lines, as it is joined in what was encoded."""
_NUMBERS_BEHIND_WORDS = rf"[(A-Za-z\x{{80}}-\x{{10ffff}}][^\n]*{_S}{_W}*{_NUMBERS}"
"""Elsewhere, words must stand before the number: it is then no column of a table."""


def may_be_torn(text: bytes, *, is_decoded: bool) -> bool:
    """Tell whether a text may have a torn token; False is certain.

    Args:
        text: The text in UTF-8.
        is_decoded: Whether it was encoded in base64.

    Raises:
        MissingDependencyError: google-re2 is not installed.
    """
    # Each of them has a space.
    return any(map(text.__contains__, b" \t\r\n")) and _has_match(text, _LETTERS, *_signs(is_decoded=is_decoded))


def _signs(*, is_decoded: bool) -> tuple[str, ...]:
    return (*_TORN, _NUMBERS if is_decoded else _NUMBERS_BEHIND_WORDS)


def _has_match(text: bytes, *patterns: str) -> bool:
    return compiled(patterns).search(text) is not None


@cache
def compiled(patterns: tuple[str, ...]) -> Any:
    """Return what finds any of some patterns of google-re2 in bytes."""
    re2 = require("re2", extra="guards", purpose="a guard that searches texts")
    return re2.compile("|".join(patterns).encode())


def joined(view: View) -> View:
    """Return a view with its torn tokens joined, or the same view if it has none."""
    text = view.text
    data = text.encode("utf-8", "replace")
    if len(text) < 8 or not may_be_torn(data, is_decoded=view.is_decoded):
        return view
    if _has_match(data, _LETTERS):
        view = replaced(view, _spelled_gaps(text), is_guess=True)
        if view.text is not text:
            text = view.text
            data = text.encode("utf-8", "replace")
    lines = _lines_with_signs(data, is_decoded=view.is_decoded)
    gaps = _torn_gaps(text, lines, is_decoded=view.is_decoded)
    return replaced(view, gaps, is_guess=True)


def _spelled_gaps(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _SPELLED.finditer(text):
        if not _HAS_LETTER.search(match[0]):
            continue  # a number is found with its gaps
        for gap in _GAPS.finditer(text, match.start(), match.end()):
            yield *gap.span(), ""


def _lines_with_signs(data: bytes, *, is_decoded: bool) -> Iterator[tuple[int, int]]:
    """Yield the start and end, in characters, of the lines of a text in UTF-8 that may have a torn token."""
    signs = compiled(_signs(is_decoded=is_decoded))
    done = length = 0
    while match := signs.search(data, done):
        first = max(done, data.rfind(b"\n", done, match.start()) + 1)
        last = data.find(b"\n", match.end())
        last = len(data) if last < 0 else last
        start = length + len(data[done:first].decode())
        length, done = start + len(data[first:last].decode()), last
        yield start, length


def _torn_gaps(text: str, lines: Iterable[tuple[int, int]], *, is_decoded: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the gaps inside of one token that start in some lines, and those behind them inside of the same key."""
    has_at = "@" in text
    has_escape = "%" in text or "&" in text or "\\" in text
    has_random = _RANDOM.search(text) is not None
    done = 0
    for first, last in lines:
        is_key = False
        for left, right in pairwise(_WORD.finditer(text, max(first, done))):
            if left.start() >= last and not is_key:
                break
            done = right.start()
            gap = text[left.end() : right.start()]
            if len(gap) > 8:
                is_key = False
                continue
            # Only the end of a long word tells; a slice bounds the time.
            before, after = left[0][-80:], right[0][:80]
            is_key = has_random and _is_torn_key(before, after, is_continued=is_key)
            if (
                is_key
                or (has_at and _is_torn_address(before, after))
                or (has_escape and _is_torn_escape(before, after))
            ):
                yield left.end(), right.start(), ""
            elif (
                "\n" in gap
                and _DIGIT_LAST.search(before)
                and _DIGIT_FIRST.match(after)
                and (is_decoded or _has_words_before(text, left.start()))
            ):
                yield left.end(), right.start(), " "


def _has_words_before(text: str, place: int) -> bool:
    """Tell whether a line has words or a bracket before a number: it is then no column of a table."""
    begin = max(0, place - 80)
    line = text[text.rfind("\n", begin, place) + 1 or begin : place]
    return "(" in line or any(map(str.isalpha, line))


def _is_torn_address(before: str, after: str) -> bool:
    if after[0] == "@":
        return before[-1].isalnum() and len(after) > 1
    _, at, host = before.rpartition("@")
    if not at:
        return False
    if not host or after[0] == ".":
        return after[-1].isalnum() or len(after) > 2
    if host[-1] == ".":
        return _TLD.match(after) is not None or _HOST_PART.match(after) is not None
    return "." not in host[:-1] and _HOST_PART.match(after) is not None


def _is_torn_escape(before: str, after: str) -> bool:
    cut = _CUT_ESCAPE.search(before)
    whole = match_escape(cut[0] + after) if cut else None
    return cut is not None and whole is not None and whole.end() > len(cut[0])


def _is_torn_key(before: str, after: str, *, is_continued: bool) -> bool:
    first = _FIRST_PART.match(after)
    if not first or "@" in after or not (_RANDOM.search(first[0]) or _DIGITS.match(first[0])):
        return False
    if is_continued:
        return True
    last = _LAST_PART.search(before)
    return last is not None and (_RANDOM.search(last[0]) is not None or _HEAD_OF_KEY.search(last[0]) is not None)
