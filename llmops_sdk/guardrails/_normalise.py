r"""Read a text as its reader or a program would: without disguise, with a map back to the text as written.

`views` yields the text itself, then what is behind its disguises: the text in plain characters without escapes, the
text with tokens joined that spaces or line breaks tear apart, and what is encoded in base64. All of it takes linear
time and memory.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from html.entities import html5
from itertools import pairwise

from llmops_sdk.guardrails._base64_runs import BASE64_RUN, UNLIKELY_BASE64, text_of

__all__ = ["MAX_DEPTH", "View", "plain_view", "views"]

_MAX_ROUNDS = 3
"""How many escapes may be nested, as in HTML in a URL in JSON."""
MAX_DEPTH = 2
"""How often base64 may be nested."""
_MAX_DECODED = 1 << 20
"""The most characters of base64 that are decoded, in all views of one text."""

# Look-alikes of ASCII letters. NFKC has the fullwidth, mathematical and circled ones already.
_CONFUSABLES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХԌԚԜҺаеѕіјорсухԁԛԝһӏӀгвктмн"  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαενοικρτυχγϲϳ"  # Greek
    "ıɑɡɩℓ⁄∕‚․",
    "ABESIJKMHOPCTYXGQWhaesijopcyxdqwhlIrBkTMHABEZHIKMNOPTYXaevoikptuxycjiagil//,.",
)
# Look-alikes of digits, beside a digit.
_DIGIT_LOOKS = str.maketrans("ОоΟοОЗзЗІіӀΙιբбЧчǀ", "000003331111166441")
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef"
    # Marks above and below letters.
    r"\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)

# In two steps, as the engine finds the first character much faster than a choice of patterns.
_MAY_CHANGE = re.compile(r"[%&\\\x80-\U0010ffff]")
_CHANGES = re.compile(
    r"[^\x00-\x7f]++"
    r"|(?:%(?:25){0,3}[0-9A-Fa-f]{2})++"
    r"|&(?:amp;){0,2}(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));"
    r"|\\++(?:u([Dd][89ABab][0-9A-Fa-f]{2})\\++u([Dd][C-Fc-f][0-9A-Fa-f]{2})"
    r"|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U([0-9A-Fa-f]{8})|([nrt/\"']))"
)
_BACKSLASHES = re.compile(r"\\++")
_PERCENT = re.compile(r"%(?:25){0,3}([0-9A-Fa-f]{2})")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t"}

_SPACE = r"[ \t\r\n]"
_WORD = re.compile(r"[^ \t\r\n]++")
# Letters one by one, as in "a l i c e @ e x a m p l e . o r g".
_SPELLED = re.compile(rf"(?<![^ \t\r\n])[^ \t\r\n](?:{_SPACE}{{1,12}}+[^ \t\r\n](?![^ \t\r\n])){{4,}}+")
_HAS_LETTER = re.compile("[A-Za-z]")
_GAPS = re.compile(rf"{_SPACE}+")
# Only a text with one of these can have a torn token: an address, a cut escape, digits on two lines, half a key.
_MAY_BE_TORN = re.compile(
    r"@|[%&\\][#A-Za-z0-9]{0,24}[ \t\r\n]|[0-9]-?[ \t\r]*\n[ \t\r\n]*-?[0-9]"
    r"|[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]|[A-Z]{2}[a-z]"
)
_LAST_PART = re.compile(r"[A-Za-z0-9+/_=.-]{3,}\Z")
_FIRST_PART = re.compile(r"[A-Za-z0-9+/_=.-]{2,}+")
_RANDOM = re.compile(r"[0-9][A-Za-z]|[A-Za-z][0-9]|[a-z][A-Z]|[A-Z]{2}[a-z]")
_DIGITS = re.compile(r"[0-9]{2,}\Z")
_HEAD_OF_KEY = re.compile(r"[A-Za-z0-9]{2,12}[-_][A-Za-z0-9_-]{2,}\Z|(?:AKIA|ASIA|AIza|eyJ|ya29|SG\.)[\w.-]*\Z")
_CUT_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]?|&(?:#[xX]?[0-9A-Fa-f]{0,6}|[A-Za-z]{0,24})|\\u?[0-9A-Fa-f]{0,3})\Z")
_DIGIT_LAST, _DIGIT_FIRST = re.compile(r"[0-9]-?\Z"), re.compile(r"-?[0-9]")
_HOST_PART = re.compile(r"[A-Za-z0-9-]*(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}(?![A-Za-z0-9])")
_TLD = re.compile(r"[a-z]{2,6}(?![A-Za-z0-9@])")


class View:
    """One way to read a text, with a map back to the text as written.

    Attributes:
        text: The text of this view.
        is_guess: Whether it joins what may be separate words.
        is_decoded: Whether it was encoded in base64.
        is_base64: Whether three characters of it are four of its parent.
    """

    __slots__ = ("_parent", "_source_ends", "_source_starts", "_starts", "is_base64", "is_decoded", "is_guess", "text")

    def __init__(
        self, text: str, parent: View | None = None, *, is_guess: bool = False, is_decoded: bool = False
    ) -> None:
        self.text = text
        self.is_guess = is_guess or (parent is not None and parent.is_guess)
        self.is_decoded = is_decoded or (parent is not None and parent.is_decoded)
        self._parent = parent
        self.is_base64 = False
        # Pieces, in order: where each starts here, and its start and end in the parent.
        self._starts: list[int] = []
        self._source_starts: list[int] = []
        self._source_ends: list[int] = []

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest range of the text as written that holds a range of this view.

        Args:
            start: The start in this view's text, in characters.
            end: The end, after the start.

        Example:
            >>> from llmops_sdk.guardrails._normalise import views
            >>> view = list(views("to ada%40example.org"))[1]
            >>> view.text, view.original(3, 18)
            ('to ada@example.org', (3, 20))
        """
        if self._parent is None:
            return start, end
        return self._parent.original(self._place(start, is_end=False), self._place(end - 1, is_end=True))

    def _place(self, position: int, *, is_end: bool) -> int:
        if self.is_base64:
            place = self._source_starts[0] + position // 3 * 4
            return min(place + 4, self._source_ends[0]) if is_end else place
        piece = bisect_right(self._starts, position) - 1
        start, first, last = self._starts[piece], self._source_starts[piece], self._source_ends[piece]
        following = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.text)
        if following - start == last - first:
            return first + position - start + is_end
        return last if is_end else first

    def add(self, start: int, first: int, last: int) -> None:
        """Append a piece: where it starts here, and its start and end in the parent."""
        self._starts.append(start)
        self._source_starts.append(first)
        self._source_ends.append(last)


def views(text: str) -> Iterator[View]:
    r"""Yield the text, and each further way to read it.

    Args:
        text: Any text.

    Example:
        >>> [view.text for view in views("call ada\u200b@example.org")]
        ['call ada\u200b@example.org', 'call ada@example.org']
    """
    yield from _views(View(text), MAX_DEPTH, [_MAX_DECODED])


def _views(view: View, depth: int, budget: list[int]) -> Iterator[View]:
    yield view
    plain = plain_view(view)
    if plain is not view:
        yield plain
    joined = _joined(plain)
    if joined is not plain:
        joined = plain_view(joined)
        yield joined
    if depth:
        seen: set[str] = set()
        for source in dict.fromkeys((view, plain, joined)):
            for decoded in _decoded(source, seen, budget):
                yield from _views(decoded, depth - 1, budget)


def _replaced(source: View, changes: Iterable[tuple[int, int, str]], *, is_guess: bool = False) -> View:
    """Return a view with parts of another one replaced, or that one if nothing is."""
    view = View("", source, is_guess=is_guess)
    text = source.text
    parts: list[str] = []
    done = length = 0
    for start, end, new in changes:
        if start > done:
            view.add(length, done, start)
            parts.append(text[done:start])
            length += start - done
        if new:
            view.add(length, start, end)
            parts.append(new)
            length += len(new)
        done = end
    if not done:
        return source
    if done < len(text):
        view.add(length, done, len(text))
        parts.append(text[done:])
    view.text = "".join(parts)
    return view if view.text != text else source


# --- Characters and escapes


def plain_view(view: View) -> View:
    """Return a view in plain characters and without escapes, or the same view if it has none to change."""
    for _ in range(_MAX_ROUNDS):
        text = view.text
        if text.isascii() and "%" not in text and "&" not in text and "\\" not in text:
            break
        changed = _replaced(view, _plain_parts(text))
        if changed is view:
            break
        view = changed
    return view


def _plain_parts(text: str) -> Iterator[tuple[int, int, str]]:
    done = 0
    while sign := _MAY_CHANGE.search(text, done):
        first = sign[0]
        match = _CHANGES.match(text, sign.start())
        if match is None:
            backslashes = _BACKSLASHES.match(text, sign.start())
            done = backslashes.end() if backslashes else sign.end()
            continue
        done = match.end()
        if first == "%":
            yield from _percent_parts(match)
        elif first in "&\\":
            new = _unescaped(match)
            if new is not None:
                yield match.start(), match.end(), new
        else:
            yield from _other_characters(text, match.start(), match.end())


def _unescaped(match: re.Match[str]) -> str | None:
    decimal, hexadecimal, name, high, low, four, two, eight, simple = match.groups()
    if name:
        return html5.get(f"{name};")
    if simple:
        return _SIMPLE.get(simple, simple)
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    code = int(decimal) if decimal else int(hexadecimal or four or two or eight, 16)
    return chr(code) if 0 < code < 0x110000 else None


def _percent_parts(match: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    start = match.start()
    escapes = [(one.start() + start, one.end() + start, int(one[1], 16)) for one in _PERCENT.finditer(match[0])]
    try:
        text = bytes(code for _, _, code in escapes).decode()
    except UnicodeDecodeError:
        text = ""
    if not text or text.isascii():
        yield from ((first, last, chr(code)) for first, last, code in escapes if 0 < code < 0x80)
        return
    at = 0
    for character in text:
        size = len(character.encode())
        yield escapes[at][0], escapes[at + size - 1][1], character
        at += size


class _PlainCharacters(dict[int, str]):
    """The plain reading of each character, filled at its first use."""

    def __missing__(self, code: int) -> str:
        plain = self[code] = _plain_character(chr(code))
        return plain


def _plain_character(character: str) -> str:
    if 0xE0020 <= ord(character) <= 0xE007E or _INVISIBLE.match(character):
        return ""
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if category in {"Zl", "Zp"} or character == "\x85":
        return "\n"
    if category == "Pd" or character == "\u2212":
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character == "\u2026":
        return character  # the mark of a cut text, not three dots of a value
    return unicodedata.normalize("NFKC", character).translate(_CONFUSABLES)


_PLAIN = _PlainCharacters()


def _other_characters(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    run = text[start:end]
    new = run.translate(_PLAIN)
    if not new:
        yield start, end, ""
        return
    is_by_digit = len(run) <= 2 and (text[start - 1 : start].isdigit() or text[end : end + 1].isdigit())
    if new == run and not is_by_digit:
        return
    if not is_by_digit and len(new) == len(run) and all(len(_PLAIN[ord(one)]) == 1 for one in set(run)):
        yield start, end, new
        return
    for place, character in enumerate(run, start):
        plain = _PLAIN[ord(character)]
        if is_by_digit:
            looks = character.translate(_DIGIT_LOOKS)
            plain = looks if looks != character else plain
        if plain != character:
            yield place, place + 1, plain


# --- Torn tokens


def _joined(view: View) -> View:
    text = view.text
    if len(text) < 8 or not _GAPS.search(text):
        return view
    spelled = [*_spelled_gaps(text)]
    if spelled:
        view = _replaced(view, spelled, is_guess=True)
        text = view.text
    if not _MAY_BE_TORN.search(text):
        return view
    return _replaced(view, _torn_gaps(text, is_decoded=view.is_decoded), is_guess=True)


def _spelled_gaps(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _SPELLED.finditer(text):
        if not _HAS_LETTER.search(match[0]):
            continue  # a number is found with its gaps
        for gap in _GAPS.finditer(text, match.start(), match.end()):
            yield *gap.span(), ""


def _torn_gaps(text: str, *, is_decoded: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the gaps inside of one token."""
    is_key = False
    has_at = "@" in text
    has_escape = "%" in text or "&" in text or "\\" in text
    has_random = _RANDOM.search(text) is not None
    for left, right in pairwise(_WORD.finditer(text)):
        gap = text[left.end() : right.start()]
        if len(gap) > 8:
            is_key = False
            continue
        # Only the end of a long word tells; a slice bounds the time.
        before, after = left[0][-80:], right[0][:80]
        is_key = has_random and _is_torn_key(before, after, is_continued=is_key)
        if is_key or (has_at and _is_torn_address(before, after)) or (has_escape and _is_torn_escape(before, after)):
            yield left.end(), right.start(), ""
        elif (
            "\n" in gap
            and _DIGIT_LAST.search(before)
            and _DIGIT_FIRST.match(after)
            and (is_decoded or _has_words_before(text, left.start()))
        ):
            yield left.end(), right.start(), " "


def _has_words_before(text: str, place: int) -> bool:
    """Tell whether a line has text before a number: it is then no column of a table."""
    line = text[max(0, text.rfind("\n", max(0, place - 80), place) + 1, place - 80) : place]
    return any(character.isalpha() for character in line)


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
    whole = _CHANGES.match(cut[0] + after) if cut else None
    return cut is not None and whole is not None and whole.end() > len(cut[0])


def _is_torn_key(before: str, after: str, *, is_continued: bool) -> bool:
    first = _FIRST_PART.match(after)
    if not first or "@" in after or not (_RANDOM.search(first[0]) or _DIGITS.match(first[0])):
        return False
    if is_continued:
        return True
    last = _LAST_PART.search(before)
    return last is not None and (_RANDOM.search(last[0]) is not None or _HEAD_OF_KEY.search(last[0]) is not None)


# --- Base64


def _decoded(view: View, seen: set[str], budget: list[int]) -> Iterator[View]:
    """Yield the text in each run of base64."""
    for match in BASE64_RUN.finditer(view.text):
        run = match[0]
        body = run.rstrip("=")
        if run in seen or len(body) % 4 == 1 or UNLIKELY_BASE64.match(body):
            continue
        if len(run) > budget[0]:
            return
        seen.add(run)
        budget[0] -= len(run)
        text = text_of(body)
        if text is None:
            continue
        decoded = View(text, view, is_decoded=True)
        start, end = match.span()
        decoded.add(0, start, end)
        decoded.is_base64 = text.isascii()
        yield decoded
