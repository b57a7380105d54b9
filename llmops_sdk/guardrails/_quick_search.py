r"""Tell quickly that no reading of a text holds what a detector looks for.

A detector cuts a text into stretches and reads each as a disguise would hide it (`_normalise.views`), which takes much
more time than one search of the whole text. Most texts hold no sign of what it looks for, and no disguise. This module
answers for the whole text at once, and says "it may" wherever it cannot tell.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails._base64_runs import UNLIKELY_BASE64, UNPRINTABLE, text_of
from llmops_sdk.guardrails._normalise import MAX_DEPTH, View, plain_view

__all__ = ["may_hold"]

_MOST_RUNS = 256
"""After so many runs of base64 in a text, reading it in stretches takes no longer."""
_FEW = 64
"""A long text with more than one sign of an escape in so many characters is read in stretches."""
_LONG_RUN = 2048
"""A longer run may be cut, so that each part of it counts, whatever the rest is; in characters."""
_BLOCK = 512
"""The smallest part of a long run that is read, in bytes."""
_MOST_ENCODED = 64 << 20
"""More base64 than this is not decoded at once, to bound the memory."""

# The gaps that `_normalise` may remove, in google-re2's syntax: what it removes is a part of what these match.
_S, _W, _B = r"[ \t\r\n]", r"[^ \t\r\n]", "[A-Za-z0-9+/_=.-]"
_RANDOM = "(?:[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]|[A-Z]{2}[a-z])"
_HEAD = "(?:[A-Za-z0-9]{2}[-_][A-Za-z0-9_-]{2}|AKIA|ASIA|AIza|eyJ|ya29|SG[.])"
_LINE_BREAK = rf"[0-9]-?[ \t\r]*\n{_S}*-?[0-9]"
_GAPS = "|".join(
    (
        rf"(?:^|{_S}){_W}(?:{_S}+{_W}){{4}}(?:{_S}|$)",
        rf"(?:{_RANDOM}|{_HEAD}){_B}*{_S}{{1,8}}(?:{_B}*{_RANDOM}|[0-9]{{2,}}(?:[^A-Za-z0-9+/_=.-]|$))",
        rf"{_W}{_S}{{1,8}}@|@{_S}|@[^ \t\r\n@]*{_S}{{1,8}}[.]|@[^ \t\r\n@]*[.]{_S}{{1,8}}(?:[a-z]{{2}}|[A-Za-z0-9.-]*[.][A-Za-z])",
        rf"@[^ \t\r\n@.]+{_S}{{1,8}}[A-Za-z0-9.-]*[.][A-Za-z]{{2}}",
        rf"%{_S}{{1,8}}[0-9A-Fa-f]{{2}}|%[0-9A-Fa-f]{_S}{{1,8}}[0-9A-Fa-f]|&[#A-Za-z0-9]*{_S}{{1,8}}[#A-Za-z0-9]*;|\\[uUx0-9A-Fa-f]*{_S}",
    )
)
# Digits on two lines are joined if words stand before the first number, or in base64.
_LINES = rf"[A-Za-z\x{{80}}-\x{{10ffff}}][^\n]*{_S}{_W}*{_LINE_BREAK}"

_NOT_BASE64 = bytes(0x20 if not (chr(code).isalnum() and code < 128) and chr(code) not in "+/_-" else code for code in range(256))
# Look-alikes of digits count beside a digit; a space of Chinese, which ends a stretch, may stand between both.
_WIDE_SPACES = "\u3001\u3002\uff01\uff0c\uff1b\uff1f"
_DIGIT_LOOKS = re.compile("[ОоΟοЗзІіӀΙιбЧчǀ]")
_ASCII_ONLY = bytes(code if code < 0x80 else 0x3F for code in range(256))
_CONTINUATION = bytes(range(0x80, 0xC0))


def may_hold(text: str, may_match: Callable[[str, bytes], bool]) -> bool:
    """Tell whether a reading of a part of a text may hold what a detector looks for; False is certain.

    Args:
        text: The text.
        may_match: Tells this for one reading, given as text and as UTF-8, without regard to disguises.

    Raises:
        MissingDependencyError: google-re2 is not installed.
    """
    return _may_hold(text, may_match, MAX_DEPTH, [_MOST_RUNS])


def _may_hold(text: str, may_match: Callable[[str, bytes], bool], depth: int, runs: list[int]) -> bool:
    data = text.encode("utf-8", "replace")
    if may_match(text, data):
        return True
    if not text.isascii() and any(space in text for space in _WIDE_SPACES) and _DIGIT_LOOKS.search(text):
        return True
    if len(text) > _FEW * 8 and sum(map(data.count, (b"%", b"&", b"\\"))) * _FEW > len(text):
        return True
    plain = plain_view(View(text)).text
    plain_data = data
    if plain is not text:
        plain_data = plain.encode("utf-8", "replace")
        if may_match(plain, plain_data):
            return True
    if _gaps().search(plain_data) or (_decoded_gaps() if depth < MAX_DEPTH else _line_gaps()).search(plain_data):
        return True
    if depth:
        for one in (data,) if plain is text else (data, plain_data):
            for decoded in _decoded(one, runs):
                if decoded is None or _may_hold(decoded, may_match, depth - 1, runs):
                    return True
    return False


@cache
def _gaps() -> Any:
    return _compiled(_GAPS)


@cache
def _line_gaps() -> Any:
    return _compiled(_LINES)


@cache
def _decoded_gaps() -> Any:
    return _compiled(_LINE_BREAK)


def _compiled(pattern: str) -> Any:
    return require("re2", extra="guards", purpose="a guard that searches texts").compile(pattern.encode())


def _decoded(data: bytes, runs: list[int]) -> Iterator[str | None]:
    """Yield the text in each run of base64, or None if there are too many."""
    for word in data.translate(_NOT_BASE64).split():
        if len(word) < 8 or (word.isalpha() and word.islower()):
            continue
        run = word.decode()
        if UNLIKELY_BASE64.match(run):
            continue
        if not runs[0] or len(run) > _MOST_ENCODED:
            yield None
            return
        runs[0] -= 1
        found = _text_in(run)
        if found is not None:
            yield found


def _text_in(run: str) -> str | None:
    if len(run) <= _LONG_RUN:
        return text_of(run) if len(run) % 4 != 1 else None
    data = base64.b64decode(run[: len(run) // 4 * 4].replace("-", "+").replace("_", "/"))
    try:
        return data.decode()
    except UnicodeDecodeError:
        if not any(_is_text(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)):
            return None
        # A part of it may be text. One character for each other one keeps distances as they are.
        return data.translate(_ASCII_ONLY, _CONTINUATION).decode()


def _is_text(block: bytes) -> bool:
    """Tell whether a block may be cut out of a text."""
    block = block.lstrip(_CONTINUATION)
    try:
        return not UNPRINTABLE.search(block.decode())
    except UnicodeDecodeError as error:
        return error.start >= len(block) - 3
