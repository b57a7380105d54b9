"""Rewrite a text, with a map back to the text as written."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from html.entities import html5

from llmops_sdk.guardrails._protocol import Finding
from llmops_sdk.guardrails.normalise import not_ascii

__all__ = ["Mapped", "digest", "merged", "plain", "rewritten", "unescaped"]

_INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef"
)
_ENTITY = r"&(?:amp;)?(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));?"
_FULLWIDTH = r"\uff01-\uff5e\u2024\u3002\uff61\ufe52\ufe55\ufe5f\ufe64-\ufe66\ufe68\ufe6b"
# The first characters stand in a set, which the engine finds much faster than a choice of patterns.
_PLAIN = re.compile(
    rf"[&{_INVISIBLE}{_FULLWIDTH}](?:(?<=&){_ENTITY[1:]}|(?<=[{_INVISIBLE}])[{_INVISIBLE}]*+|(?<=[{_FULLWIDTH}]))"
)
_ESCAPES = re.compile(
    rf"[&%\\{_INVISIBLE}{_FULLWIDTH}](?:(?<=&){_ENTITY[1:]}|(?<=%)(?:25)?([0-9A-Fa-f]{{2}})"
    rf"|(?<=\\)(?:u([0-9A-Fa-f]{{4}})|x([0-9A-Fa-f]{{2}}))|(?<=[{_INVISIBLE}])[{_INVISIBLE}]*+|(?<=[{_FULLWIDTH}]))"
)
_DOTS = "\u3002\uff0e\uff61"


class Mapped:
    """A rewritten text.

    Args:
        source: The text as written.
        changes: The parts to replace: start, end and the new text, in order and without overlap.

    Attributes:
        text: The text with the parts replaced.
        is_changed: Whether any part was.
    """

    __slots__ = ("_ends", "_here", "_starts", "is_changed", "text")

    def __init__(self, source: str, changes: Iterable[tuple[int, int, str]] = ()) -> None:
        # Each piece: where it starts here, and its start and end in the source.
        self._here: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        here, starts, ends = self._here, self._starts, self._ends
        parts: list[str] = []
        done = length = 0
        for start, end, new in changes:
            if start > done:
                here.append(length)
                starts.append(done)
                ends.append(start)
                parts.append(source[done:start])
                length += start - done
            if new:
                here.append(length)
                starts.append(start)
                ends.append(end)
                parts.append(new)
                length += len(new)
            done = end
        if done < len(source):
            here.append(length)
            starts.append(done)
            ends.append(len(source))
            parts.append(source[done:])
        self.is_changed = done > 0
        self.text = "".join(parts)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest range of the source that holds a range of this text, which must not be empty."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, position: int) -> tuple[int, int]:
        piece = bisect_right(self._here, position) - 1
        start, first, last = self._here[piece], self._starts[piece], self._ends[piece]
        following = self._here[piece + 1] if piece + 1 < len(self._here) else len(self.text)
        if following - start == last - first:
            return first + position - start, first + position - start + 1
        return first, last


def rewritten(text: str, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str | None]) -> Mapped:
    """Return the text with each match replaced, equal ones alike; None leaves a match alone."""
    return Mapped(text, _changes(text, pattern, new))


def _changes(
    text: str, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str | None]
) -> Iterator[tuple[int, int, str]]:
    known: dict[str, str | None] = {}
    for match in pattern.finditer(text):
        whole = match[0]
        if whole not in known:
            known[whole] = new(match)
        part = known[whole]
        if part is not None:
            yield *match.span(), part


def plain(text: str) -> Mapped:
    """Return a text without invisible characters, HTML entities and fullwidth letters.

    Example:
        >>> from llmops_sdk.guardrails.detectors._mapped import plain
        >>> plain("&lt;img\u200b&#62;").text
        '<img>'
    """
    if "&" not in text and not _PLAIN.search(not_ascii(text)):
        return Mapped(text)
    return rewritten(text, _PLAIN, _plain_character)


def unescaped(text: str) -> Mapped:
    """Return a text without invisible characters, HTML entities, percent codes, and escapes of JSON."""
    return rewritten(text, _ESCAPES, _unescaped)


def _entity(decimal: str | None, hexadecimal: str | None, name: str | None) -> str | None:
    if name:
        return html5.get(f"{name};")
    code = int(decimal) if decimal else int(hexadecimal or "0", 16)
    return chr(code) if 0 < code < 0x110000 else None


def _plain_character(match: re.Match[str]) -> str | None:
    if match[0][0] == "&":
        return _entity(*match.groups())
    return _plain_sign(match[0])


def _plain_sign(sign: str) -> str:
    if sign in _DOTS:
        return "."
    folded = unicodedata.normalize("NFKC", sign)
    return folded if folded.isascii() else ""


def _unescaped(match: re.Match[str]) -> str | None:
    group = match.lastindex
    if group is None:
        return _plain_sign(match[0])
    return chr(int(match[group], 16)) if group > 3 else _entity(match[1], match[2], match[3])


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in order and without overlap; those that overlap become one, of the kind of the first."""
    result: list[Finding] = []
    for one in sorted(findings, key=lambda one: (one.start, -one.end)):
        if result and one.start < result[-1].end:
            last = result[-1]
            if one.end > last.end:
                result[-1] = Finding(last.kind, last.start, one.end, last.score)
        else:
            result.append(one)
    return tuple(result)


def digest(*values: object) -> str:
    """Return a short digest of a detector's options, for its version."""
    return hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
