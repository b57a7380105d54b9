"""Replace secrets in a text or in JSON: find them behind escapes, and keep the JSON valid."""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeAlias, cast

import orjson

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._keyed_label import keyed_label
from llmops_sdk.tracing.privacy._secret_names import CONTEXT_KEY, named_secret
from llmops_sdk.tracing.privacy._secrets import CUT, NAMED_LABEL
from llmops_sdk.tracing.privacy._sieves import may_hold_name, may_hold_secret, patterns_for
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._span import SILENT

__all__ = ["CustomRedactor", "TextRedactor"]

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# A terminal's colour, an escape of JSON, C or bytes (also nested), and percent encoding (also twice).
_ESCAPES = re.compile(
    r"(?:\x1b|\\++(?:u001[bB]|x1[bB]|0?33|e))\[[0-9;?]{0,24}[A-Za-z]"
    r"|\\++(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{1,3})|([/\"'abefnrtv]))?+"
    r"|%(?:25){0,3}([0-9a-fA-F]{2})"
)
_SIMPLE = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# The key that the capture gives to the beginning of a cut value.
_HEAD_KEY = "$head"
_MAX_KEY = 256
# The shortest JSON string with a secret: quotes, and credentials as in ://:p@h.
_MIN_STRING = 8
# A secret of a known format is longer than this, unless it is cut or credentials in a URL.
_MIN_KNOWN = 18
_MAX_BETWEEN = 8  # characters between a key and its value

_Found: TypeAlias = tuple[int, int, str]
"""Start, end, label."""

CustomRedactor: TypeAlias = tuple[str, "re.Pattern[str] | Callable[[str], str]"]
"""A label, and the pattern or function that redacts."""


class TextRedactor:
    """A redactor that replaces secrets by `[REDACTED:label]`, and counts them.

    Args:
        custom: Further patterns and functions. They see every text, after the well-known formats are replaced.
        key: The key of hashes; with it, a replacement is `[REDACTED:label:hash]`.

    Attributes:
        custom: As given.
        counts: The number of replaced secrets by label.
        sizes: Their bytes in UTF-8 by label.
    """

    __slots__ = ("_key", "counts", "custom", "sizes")

    def __init__(self, custom: Sequence[CustomRedactor] = (), key: bytes | None = None) -> None:
        self._key = key
        self.custom = custom
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()

    def text(self, text: str, key: str = "") -> str:
        """Return the text without secrets; the same object if it has none.

        Args:
            text: Any text; valid JSON inside it stays valid.
            key: The key of the text, which may tell that it is a secret.
        """
        by_name = bool(key) and len(key) <= _MAX_KEY and CONTEXT_KEY.search(key) is not None
        if by_name or may_hold_secret(text):
            text = self._replace_known(text, key if by_name else "")
            if by_name and named_secret(key, text):
                self._count(NAMED_LABEL, 1, text)
                text = self._replacement(NAMED_LABEL, text)
        for label, how in self.custom:
            text = (
                self._by_pattern(text, label, how)
                if isinstance(how, re.Pattern)
                else self._by_function(text, label, how)
            )
        return text

    def name(self, name: str) -> str:
        """Return a name without secrets of the well-known formats."""
        return self._replace_known(name, "") if may_hold_secret(name) else name

    def add(self, other: TextRedactor) -> None:
        """Add the counts of another redactor."""
        self.counts.update(other.counts)
        self.sizes.update(other.sizes)

    def json(self, raw: bytes, key: str = "") -> bytes:
        """Return the JSON without secrets in its strings and keys, and otherwise byte for byte the same.

        Args:
            raw: JSON in UTF-8; in invalid JSON, the parts outside of strings are redacted as text.
            key: The key of the whole value.
        """
        text = raw.decode("utf-8", "surrogateescape")
        if not self.custom and not may_hold_secret(text) and not CONTEXT_KEY.search(key):
            return raw
        parts: list[str] = []
        copied = name_start = before = 0
        # The value of a name may be a secret however short it is.
        all_lengths = bool(self.custom) or may_hold_name(text)
        for match in _STRING.finditer(text):
            start, end = match.span()
            if end - start >= _MIN_STRING or all_lengths:
                # The key is the string before a colon. The first item of a list gets the list's key.
                between = text[before:start]
                colon = len(between) < _MAX_BETWEEN and between.strip(" \t\r\n[") == ":"
                name = key if not before else text[name_start + 1 : before - 1] if colon else ""
                literal = text[start:end]
                new = self._json_string(literal, name)
                outside = self._outside_strings(between)
                if new is not literal or outside is not between:
                    parts += (text[copied:before], outside, new)
                    copied = end
            name_start, before = start, end
        rest = text[before:]
        return "".join((*parts, text[copied:before], self._outside_strings(rest))).encode("utf-8", "surrogateescape")

    def _outside_strings(self, between: str) -> str:
        # Valid JSON has no secret outside of its strings.
        return self._replace_known(between, "") if len(between) >= _MIN_STRING and may_hold_secret(between) else between

    def _json_string(self, literal: str, name: str) -> str:
        """Redact a string of JSON, quotes included."""
        if not self.custom and not (name and CONTEXT_KEY.search(name)):
            short = len(literal) < _MIN_KNOWN and "//" not in literal and "\\" not in literal and CUT not in literal
            if short or not may_hold_secret(literal):
                return literal
        try:
            value = json.loads(literal, strict=False)
        except ValueError:
            return f'"{self.text(literal[1:-1], name)}"'  # an invalid escape: redact the raw text
        new = self.text(value, name)
        if new == value:
            return literal
        try:
            return orjson.dumps(new).decode()
        except orjson.JSONEncodeError:
            return json.dumps(new)  # a lone surrogate

    def _replace_known(self, text: str, key: str) -> str:
        head = f"{key}: " if key else ""
        tail = CUT if key == _HEAD_KEY else ""
        whole = f"{head}{text}{tail}"
        plain = _Unescaped(whole)
        found: list[_Found] = []
        for pattern in patterns_for(plain.text):
            found += [
                (plain.origin(start), plain.origin(end), pattern.label) for start, end in pattern.spans(plain.text)
            ]
        if plain.text is not whole:
            # What looks like an escape may be none: the backslash of a path, the percent sign of a password.
            for pattern in patterns_for(whole):
                found += [(start, end, pattern.label) for start, end in pattern.spans(whole)]
        done = len(head)
        end = done + len(text)
        parts: list[str] = []
        for start, stop, label in _merge_overlaps(found):
            # Skip secrets in the key itself: the caller redacts the key separately.
            begin, stop = max(start, done), min(stop, end)  # noqa: PLW2901 - clipped
            if begin >= stop or start < len(head):
                continue
            secret = text[begin - len(head) : stop - len(head)]
            parts += (text[done - len(head) : begin - len(head)], self._replacement(label, secret))
            self._count(label, 1, secret)
            done = stop
        return "".join((*parts, text[done - len(head) :])) if parts else text

    def _replacement(self, label: str, secret: str) -> str:
        if self._key is None:
            return f"[REDACTED:{label}]"
        # Escaped or not, it is the same secret.
        return keyed_label(f"REDACTED:{label}", _Unescaped(secret).text, self._key)

    def _by_pattern(self, text: str, label: str, pattern: re.Pattern[str]) -> str:
        def replaced(match: re.Match[str]) -> str:
            if match.start() == match.end():
                return ""
            self._count(label, 1, match[0])
            return self._replacement(label, match[0])

        return pattern.sub(replaced, text)

    def _by_function(self, text: str, label: str, function: Callable[[str], str]) -> str:
        new: object = None
        # Spans that the function creates would come unescaped_end again and never end.
        with Caught() as caught, _active.Activation(SILENT):
            new = cast("object", function(text))
        if caught.error is not None:
            # Log neither its message nor its frames: they may quote the text.
            raise RuntimeError(f"the redactor {label!r} raised {type(caught.error).__name__}")
        if not isinstance(new, str):
            raise TypeError(f"the redactor {label!r} must return a str, got {type(new).__name__}")
        if new != text:
            self._count(label, 1, text)
        return new

    def _count(self, label: str, number: int, text: str) -> None:
        self.counts[label] += number
        self.sizes[label] += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _merge_overlaps(found: list[_Found]) -> list[_Found]:
    """Sort the matches and merge overlaps; the match that begins first, or the earlier format, gives the label."""
    united: list[_Found] = []
    for item in sorted(found, key=itemgetter(0)):
        if united and item[0] < united[-1][1]:
            start, end, label = united[-1]
            united[-1] = (start, max(end, item[1]), label)
        else:
            united.append(item)
    return united


def _char(match: re.Match[str]) -> str:
    """Return the character of an escape; "" for backslashes that escape nothing."""
    four, eight, two, octal, simple, percent = match.groups()
    if simple:
        return _SIMPLE.get(simple, simple)
    if octal:
        return chr(int(octal, 8))
    digits = four or eight or two or percent
    if digits is None:
        return "" if match[0][-1] == "\\" else "\x1b"
    code = int(digits, 16)
    # Half of a pair, a byte of UTF-8, or no character at all: a sign that is part of no secret.
    return chr(code) if code < 0x80 or (four and not 0xD800 <= code < 0xE000) else "\ufffd"


class _Unescaped:
    r"""A text without its JSON escapes, also nested ones, that maps positions back to the original.

    It resolves escapes of JSON, C and bytes, percent encoding and terminal colours, in front of a secret and inside it.
    """

    __slots__ = ("_original_ends", "_unescaped_ends", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._unescaped_ends: list[int] = []
        self._original_ends: list[int] = []
        if "\\" not in text and "%" not in text and "\x1b" not in text:
            return
        parts: list[str] = []
        done = unescaped_end = 0
        for match in _ESCAPES.finditer(text):
            start, end = match.span()
            char = _char(match)
            if not char:
                continue
            parts += (text[done:start], char)
            unescaped_end += start - done + 1
            done = end
            self._unescaped_ends.append(unescaped_end)
            self._original_ends.append(end)
        if done:
            self.text = "".join((*parts, text[done:]))

    def origin(self, position: int) -> int:
        """Return the position in the original text."""
        if not self._unescaped_ends:
            return position
        index = bisect.bisect_right(self._unescaped_ends, position) - 1
        return position if index < 0 else self._original_ends[index] + position - self._unescaped_ends[index]
