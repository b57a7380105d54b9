"""Read a text in plain characters and without escapes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from html.entities import html5
from itertools import islice

from llmops_sdk.guardrails.normalise._view import View, replaced

__all__ = ["match_escape", "not_ascii", "other_runs", "plain_view"]

_MAX_ROUNDS = 3
"""How many escapes may be nested, as in HTML in a URL in JSON."""
_DENSE = 16
"""A text in which more than one of so many characters begins a run of other characters is changed in one call."""

_MOST_KEPT = 1024
"""The runs of other characters in a text are searched twice if they are more, to bound the memory."""

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

# The first character stands in a set, which the engine finds much faster than a choice of patterns.
_ESCAPE = re.compile(
    r"[%&\\](?:(?<=%)(?:25){0,3}[0-9A-Fa-f]{2}(?:%(?:25){0,3}[0-9A-Fa-f]{2})*+"
    r"|(?<=&)(?:amp;){0,2}(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));"
    r"|(?<=\\)(?<!\\\\)\\*+(?:u([Dd][89ABab][0-9A-Fa-f]{2})\\++u([Dd][C-Fc-f][0-9A-Fa-f]{2})"
    r"|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U([0-9A-Fa-f]{8})|([nrt/\"'])))"
)
_DECIMAL, _NAME, _LOW_HALF, _SIGN = 1, 3, 5, 9
"""The groups of that, by number; the others are hexadecimal."""
NOT_ASCII = re.compile(r"[^\x00-\x7f][^\x00-\x7f]*+")
_PERCENT = re.compile(r"%(?:25){0,3}([0-9A-Fa-f]{2})")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t"}


_ALL_ASCII = bytes(range(0x80))
_IS_OTHER = bytes(code >= 0x80 for code in range(256))
_FEW_CHARACTERS = 16
"""So few different characters are replaced one by one, which is faster than a translation of the text."""


def other_runs(data: bytes) -> int:
    """Return the number of runs of characters that are not ASCII, in a text in UTF-8.

    Example:
        >>> other_runs("caf\u00e9 \u2013\u2013".encode())
        2
    """
    marks = data.translate(_IS_OTHER)
    return marks.count(b"\0\1") + (marks[:1] == b"\1")


def not_ascii(text: str) -> str:
    """Return the characters of a text that are not ASCII, in order, without lone surrogates.

    Example:
        >>> not_ascii("caf\u00e9 \u2013 au lait")
        '\u00e9\u2013'
    """
    # No other way is as fast: a regular expression looks at each character.
    return text.encode("utf-8", "replace").translate(None, _ALL_ASCII).decode()


def plain_view(view: View) -> View:
    """Return a view in plain characters and without escapes, or the same view if it has none to change."""
    for _ in range(_MAX_ROUNDS):
        before = view
        text = view.text
        is_final = True
        if not text.isascii():
            view, is_final = _plain_characters(view)
            text = view.text
        if "%" in text or "&" in text or "\\" in text:
            view = replaced(view, _without_escapes(text))
            is_final = view is before
        if is_final:
            break
    return view


def _plain_characters(view: View) -> tuple[View, bool]:
    """Return a view in plain characters, and whether a second call would certainly change nothing."""
    text = view.text
    others = set(not_ascii(text))
    has_looks = not _DIGIT_LOOKS.keys().isdisjoint(map(ord, others))
    if not has_looks and all(_PLAIN[ord(one)] == one for one in others):
        return view, True
    if has_looks or other_runs(text.encode("utf-8", "replace")) * _DENSE < len(text):
        few = list(islice(NOT_ASCII.finditer(text), _MOST_KEPT))
        different = {match[0] for match in few} if len(few) < _MOST_KEPT else set(NOT_ASCII.findall(text))
        plain = {run for run in different if run.translate(_PLAIN) == run}
        if has_looks:
            plain = {run for run in plain if run.translate(_DIGIT_LOOKS) == run}
        if plain == different:
            return view, True
        matches = few if len(few) < _MOST_KEPT else NOT_ASCII.finditer(text)
        changed = replaced(view, _plain_runs(text, matches, plain))
        is_final = not has_looks and all(run.translate(_PLAIN).isascii() for run in different - plain)
        return changed, is_final
    # The same in one call; where each character comes from is found out only if it is asked for.
    new = _translated(text, others)
    return (view, True) if new == text else (View(new, view, table=_PLAIN), new.isascii())


def _translated(text: str, others: set[str]) -> str:
    """Return a text in plain characters; `others` has those of it that are not ASCII."""
    if len(others) > _FEW_CHARACTERS or not all(_PLAIN[ord(one)].isascii() for one in others):
        return text.translate(_PLAIN)
    for one in others:
        text = text.replace(one, _PLAIN[ord(one)])
    return text


def _plain_runs(text: str, matches: Iterable[re.Match[str]], plain: set[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the changes of a text; `plain` has runs of other characters that are never changed."""
    for match in matches:
        if match[0] not in plain:
            yield from _other_characters(text, match.start(), match.end())


def _without_escapes(text: str) -> Iterator[tuple[int, int, str]]:
    known: dict[str, str | None] = {}
    for match in _ESCAPE.finditer(text):
        kind = match.lastindex
        if kind is None:
            yield from _percent_parts(match)
            continue
        escape = match[0]
        if escape not in known:
            known[escape] = _unescaped(kind, match[kind], match)
        new = known[escape]
        if new is not None:
            yield *match.span(), new


def _unescaped(kind: int, value: str, match: re.Match[str]) -> str | None:
    """Return what an escape stands for; `kind` is the number of its last group, which matched `value`."""
    if kind == _NAME:
        return html5.get(f"{value};")
    if kind == _SIGN:
        return _SIMPLE.get(value, value)
    if kind == _LOW_HALF:
        return chr(0x10000 + ((int(match[_LOW_HALF - 1], 16) & 0x3FF) << 10) + (int(value, 16) & 0x3FF))
    code = int(value) if kind == _DECIMAL else int(value, 16)
    return chr(code) if 0 < code < 0x110000 else None


def _percent_parts(match: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    start = match.start()
    if len(match[0]) % 3 == 0 and match[0].count("%") * 3 == len(match[0]) and "%25" not in match[0]:
        codes = bytes.fromhex(match[0].replace("%", ""))
        escapes = [(at, at + 3, code) for at, code in zip(range(start, match.end(), 3), codes, strict=True)]
    else:
        escapes = [(one.start() + start, one.end() + start, int(one[1], 16)) for one in _PERCENT.finditer(match[0])]
    try:
        text = bytes(code for _, _, code in escapes).decode()
    except UnicodeDecodeError:
        text = ""
    if not text or text.isascii():
        yield from [(first, last, chr(code)) for first, last, code in escapes if 0 < code < 0x80]
        return
    at = 0
    for character in text:
        size = len(character.encode())
        yield escapes[at][0], escapes[at + size - 1][1], character
        at += size


class _PlainCharacters(dict[int, str]):
    """The plain reading of each character, filled at its first use."""

    def __missing__(self, code: int) -> str:
        plain = self[code] = chr(code) if code < 0x80 else _plain_character(chr(code))
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


def match_escape(text: str) -> re.Match[str] | None:
    """Return the escape at the beginning of a text, or None."""
    return _ESCAPE.match(text)
