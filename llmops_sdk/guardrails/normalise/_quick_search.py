r"""Tell quickly that no reading of a text holds what a detector looks for.

A detector cuts a text into stretches and reads each as a disguise would hide it (`normalise.views`), which takes much
more time than one search of the whole text. Most texts hold no sign of what it looks for, and no disguise. This module
answers for the whole text at once, and says "it may" wherever it cannot tell.
"""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from llmops_sdk.guardrails.normalise._base64_runs import UNLIKELY_BASE64, UNPRINTABLE, text_of
from llmops_sdk.guardrails.normalise._plain import other_runs, plain_view
from llmops_sdk.guardrails.normalise._torn import compiled, joined, may_be_torn
from llmops_sdk.guardrails.normalise._view import View
from llmops_sdk.guardrails.normalise._views import MAX_DEPTH, Decoding, views

__all__ = ["MayMatch", "QuickRead", "Read", "reading"]

MayMatch: TypeAlias = Callable[[str, bytes], bool]
Read: TypeAlias = Callable[[str], Iterator[View]]

_MOST_RUNS = 256
"""After so many runs of base64 in a text, reading it in stretches takes no longer."""
_MOST_MATCHED = 16
"""After so many runs with something in them, reading the text in stretches takes no longer."""
_SHORT, _FEW = 512, 6
"""A longer text is read in stretches if more than one of so many characters may have another plain reading."""
_MOST_JOINED = 1 << 14
"""Of a longer text, torn tokens are joined in stretches only; in characters."""
_LONG_RUN = 2048
"""A longer run may be cut, so that each part of it counts, whatever the rest is; in characters."""
_BLOCK = 512
"""The smallest part of a long run that is read, in bytes."""
_MOST_ENCODED = 64 << 20
"""More base64 than this is not decoded at once, to bound the memory."""

_BASE64 = (string.ascii_letters + string.digits + "+/_-").encode()
_NOT_BASE64 = bytes(code if code in _BASE64 else 0x20 for code in range(256))
_COMMON_FORM = bytes.maketrans(b"-_", b"+/")
_NO_TEXT = bytes(code in b"+/-_" for code in range(256))
"""Marks the characters with which three bytes begin of which the first is above 0xF7, as it is in no text."""
_SHORTEST_RUN = 8
_B = "[A-Za-z0-9+/_-]"
# Not in small letters only; `UNLIKELY_BASE64` says more.
_LIKELY_RUN = tuple(rf"{_B}*{_B}{{{place}}}[A-Z0-9+]{_B}{{{7 - place}}}{_B}*" for place in range(_SHORTEST_RUN))
_LIKELY, _UNLIKELY = re.compile(b"[A-Z0-9+]"), re.compile(UNLIKELY_BASE64.pattern.encode())
_MANY = 2048
_LONG_NESTED = 1 << 20
"""More that was base64 is read only as far as `Decoding` allows if it is not plain; in characters."""
# Look-alikes of digits count beside a digit; a space of Chinese, which ends a stretch, may stand between both.
_WIDE_SPACES = "\u3001\u3002\uff01\uff0c\uff1b\uff1f"
_DIGIT_LOOKS = re.compile("[ОоΟοЗзІіӀΙιбЧчǀ]")
_ASCII_ONLY = bytes(code if code < 0x80 else 0x3F for code in range(256))
_CONTINUATION = bytes(range(0x80, 0xC0))


def reading(text: str, may_match: MayMatch, decoding: Decoding) -> Read | None:
    """Return how to read each stretch of a text: None if none can hold what a detector looks for.

    Args:
        text: The text.
        may_match: Tells for one reading, given as text and as UTF-8, whether it may hold what the detector looks for,
            without regard to disguises.
        decoding: How much base64 may be decoded.

    Returns:
        `views`, or None, or a `QuickRead`, which shows of each stretch all that `views` would show.

    Raises:
        MissingDependencyError: google-re2 is not installed.
    """
    read = partial(views, decoding=decoding)
    whole = _search(text, may_match, MAX_DEPTH if decoding.left > 0 else 0, [_MOST_RUNS])
    if whole is None:
        return read
    if whole.may_match:
        is_plain = not (whole.encoded or whole.readings[-1].is_guess)
        return QuickRead(_plain_views if is_plain else read, whole.readings, whole.encoded)
    return None


class QuickRead:
    """Reads the stretches of a text; it knows the readings of the whole text.

    Args:
        read: Reads a stretch.
        wholes: The readings of the whole text, without those of base64. No stretch holds more, beside `encoded`.
        encoded: The start and end of each run of base64 that may hold something.
    """

    def __init__(self, read: Read, wholes: Sequence[View], encoded: Sequence[tuple[int, int]]) -> None:
        self._read = read
        self.wholes = wholes
        self.encoded = encoded

    def __call__(self, text: str) -> Iterator[View]:
        return self._read(text)

    def is_only_view(self, text: str) -> bool:
        """Tell whether a stretch, as written, is its only view."""
        view = View(text)
        return self._read is _plain_views and plain_view(view) is view


def _plain_views(text: str) -> Iterator[View]:
    view = View(text)
    yield view
    plain = plain_view(view)
    if plain is not view:
        yield plain


class _Whole(NamedTuple):
    """What a search of a whole text says."""

    may_match: bool
    readings: list[View]
    encoded: list[tuple[int, int]]


def _search(text: str, may_match: MayMatch, depth: int, runs: list[int]) -> _Whole | None:
    """Search the readings of a text, or return None if these do not tell all."""
    is_nested = depth < MAX_DEPTH
    if is_nested and len(text) > _LONG_NESTED and (not text.isascii() or "%" in text or "&" in text):
        return None
    data = text.encode("utf-8", "replace")
    if len(data) > len(text) and any(map(text.__contains__, _WIDE_SPACES)) and _DIGIT_LOOKS.search(text):
        return None
    if len(text) > _SHORT and _has_many_changes(text, data):
        return None
    readings = [View(text, is_decoded=is_nested)]
    encodings = [data]
    plain = plain_view(readings[0])
    if plain is not readings[0]:
        readings.append(plain)
        encodings.append(plain.text.encode("utf-8", "replace"))
    if may_be_torn(encodings[-1], is_decoded=is_nested):
        if len(text) > _MOST_JOINED:
            return None
        whole = joined(plain)
        if whole is not plain:
            readings.append(plain_view(whole))
            encodings.append(readings[-1].text.encode("utf-8", "replace"))
    matched: list[bytes] = []
    for run, decoded in _decoded(encodings, runs, is_nested=is_nested) if depth else ():
        if decoded is None or len(matched) > _MOST_MATCHED:
            return None
        inner = _search(decoded, may_match, depth - 1, runs)
        if inner is None or inner.may_match:
            matched.append(run)
    encoded = sorted({place for view in readings for run in matched for place in _places(view, run.decode())})
    # What is encoded is enough to read the stretches.
    is_found = bool(encoded) or any(may_match(view.text, one) for view, one in zip(readings, encodings, strict=True))
    return _Whole(is_found, readings, encoded)


def _places(view: View, run: str) -> Iterator[tuple[int, int]]:
    """Yield the places of a run of base64 in the text as written."""
    start = 0 if len(run) == len(view.text) else view.text.find(run)
    while start >= 0:
        yield view.original(start, start + len(run))
        start = view.text.find(run, start + len(run))


def _has_many_changes(text: str, data: bytes) -> bool:
    """Tell whether many parts of a text have another plain reading."""
    most = len(text) // _FEW
    signs = sum(data.count(sign) for sign in (b"%", b"&", b"\\") if sign in data)
    # The rest is counted only if the number of bytes does not tell.
    return signs + len(data) - len(text) > most and signs + other_runs(data) > most


def _decoded(readings: list[bytes], runs: list[int], *, is_nested: bool) -> Iterator[tuple[bytes, str | None]]:
    """Yield each run of base64 with the text in it, or with None if there are too many."""
    words: list[bytes] = []
    for data in readings:
        likely = _likely_runs(data, is_nested=is_nested)
        if likely is None:
            yield b"", None
            return
        words += likely
    # To compare long words would take longer than to read them.
    for run in dict.fromkeys(words) if len(words) > 1 else words:
        if _UNLIKELY.match(run):
            continue
        if not runs[0] or len(run) > _MOST_ENCODED:
            yield run, None
            return
        runs[0] -= 1
        decoded = _text_in(run)
        if decoded is not None:
            yield run, decoded


def _likely_runs(data: bytes, *, is_nested: bool) -> Iterable[bytes] | None:
    """Return the runs that may be base64, or None if they are too many in what was base64 itself."""
    end = len(data) - len(data[-2:]) + len(data[-2:].rstrip(b"="))
    if end > _LONG_RUN and _is_base64(data[:_LONG_RUN]) and data.translate(None, _BASE64) == data[end:]:
        # The whole is one run, as an upload is: a capital letter, a digit or a "+" makes it likely.
        return [data[:end]] if _LIKELY.search(data) else []
    found: list[bytes] = []
    for match in compiled(_LIKELY_RUN).finditer(data):
        found.append(match[0])
        if len(found) > _MANY:
            if is_nested and len(data) > _LONG_NESTED:
                return None
            # Most of so many are equal.
            words = dict.fromkeys(data.translate(_NOT_BASE64).split())
            return [word for word in words if len(word) >= _SHORTEST_RUN and not (word.isalpha() and word.islower())]
    return found


def _is_base64(data: bytes) -> bool:
    return not data.translate(None, _BASE64)


def _text_in(run: bytes) -> str | None:
    if len(run) <= _LONG_RUN:
        return text_of(run.decode()) if len(run) % 4 != 1 else None
    run = run[: len(run) // 4 * 4].translate(_COMMON_FORM) if b"-" in run or b"_" in run else run[: len(run) // 4 * 4]
    has_text = _has_text(run)
    if has_text is False:
        return None
    data = binascii.a2b_base64(run)
    if has_text is None:
        try:
            return data.decode()
        except UnicodeDecodeError:
            if not any(_is_text(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)):
                return None
    # A part of it may be text. One character for each other one keeps distances as they are.
    return data.translate(_ASCII_ONLY, _CONTINUATION).decode()


def _has_text(run: bytes) -> bool | None:
    """Tell whether a block in a long run of base64 may be text, or return None if only the decoded bytes tell.

    The characters tell it of most blocks of bytes that are no text, so that few of them are decoded.
    """
    marks = run[::4].translate(_NO_TEXT)
    if 1 not in marks:
        return None
    size = len(run) // 4 * 3
    for at in range(0, size, _BLOCK):
        end = min(at + _BLOCK, size)
        # The last bytes of a block may be a part of a character.
        if 1 in marks[-(-at // 3) : -(-(end - 3) // 3)]:
            continue
        first = at // 3
        data = binascii.a2b_base64(run[first * 4 : -(-end // 3) * 4])
        if _is_text(data[at - first * 3 : end - first * 3]):
            return True
    return False


def _is_text(block: bytes) -> bool:
    """Tell whether a block may be cut out of a text."""
    block = block.lstrip(_CONTINUATION)
    try:
        return not UNPRINTABLE.search(block.decode())
    except UnicodeDecodeError as error:
        return error.start >= len(block) - 3
