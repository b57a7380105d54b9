"""Secrets in one text, and in JSON: found behind escapes, replaced so that the JSON stays valid."""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Annotated, TypeAlias, cast

import orjson
from pydantic import ConfigDict, StringConstraints, TypeAdapter

from llmops_sdk._util._guard import Caught
from llmops_sdk.tracing.privacy._secrets import (
    COMMON,
    CONTEXT_KEY,
    CUT,
    LITERALS,
    PATTERNS,
    RARE,
    RARE_LITERALS,
    SHORT,
    SecretPattern,
)
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._span import SILENT

__all__ = ["Custom", "TextRedactor", "suspect"]

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BACKSLASHES = re.compile(r'\\++(?:u00([2-7][0-9a-fA-F])|([/"\'nrt]))?+')
_WHITE = {"n": "\n", "r": "\r", "t": "\t"}
# A name that the capture gives to the beginning of what it cut.
_HEAD = "$head"
_MAX_KEY = 256
# A string of JSON that holds a secret: quotes, and credentials as in ://:p@h.
_SHORTEST = 8

_Found: TypeAlias = tuple[int, int, str]
"""Start, end, kind."""

Custom: TypeAlias = tuple[str, "re.Pattern[str] | Callable[[str], str]"]
"""A kind, and the pattern or the function that redacts it."""


def _sieve(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a match, by Rust's linear-time engine."""
    matching = Annotated[str, StringConstraints(pattern=pattern)]
    adapter: TypeAdapter[str] = TypeAdapter(matching, config=ConfigDict(regex_engine="rust-regex"))
    return adapter.validator.isinstance_python


_has_literal = _sieve(LITERALS)
_has_short = _sieve(SHORT)
_has_key, _has_url = (_sieve(candidate) for candidate in COMMON)
_has_rare_literal = _sieve(RARE_LITERALS)
_has_rare = _sieve(RARE)


def suspect(text: str) -> bool:
    """Whether a text may hold a secret; False is certain.

    Args:
        text: Any text; in JSON the escapes may stand as they are.
    """
    if not text.isascii():
        # The sieves refuse what is not UTF-8, and a refusal would pass for "nothing there".
        text = text.encode("utf-8", "replace").decode()
    if not _has_literal(text):
        return _has_short(text)
    if _has_short(text) or _has_key(text) or _has_url(text):
        return True
    return _has_rare_literal(text) and _has_rare(text)


class TextRedactor:
    """Replaces secrets in texts by `[REDACTED:kind]`, and counts them.

    Args:
        custom: Further patterns and functions; they see every text, after the well-known formats are replaced.

    Attributes:
        custom: As given.
        counts: How many secrets were replaced, by kind.
        sizes: Their bytes in UTF-8, by kind.
    """

    __slots__ = ("counts", "custom", "sizes")

    def __init__(self, custom: Sequence[Custom] = ()) -> None:
        self.custom = custom
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()

    def text(self, text: str, key: str = "") -> str:
        """The text without secrets; the very same object where there are none.

        Args:
            text: Any text; JSON inside it stays as valid as it was.
            key: The name that the text is the value of, which may say what it is.
        """
        by_name = bool(key) and len(key) <= _MAX_KEY and CONTEXT_KEY.search(key) is not None
        if by_name or suspect(text):
            text = self._without_known(text, key if by_name else "")
        for kind, how in self.custom:
            text = self._by_pattern(text, kind, how) if isinstance(how, re.Pattern) else self._by(text, kind, how)
        return text

    def name(self, name: str) -> str:
        """A name without secrets of the well-known formats."""
        return self._without_known(name, "") if suspect(name) else name

    def add(self, other: TextRedactor) -> None:
        """Count what another one replaced as this one's."""
        self.counts.update(other.counts)
        self.sizes.update(other.sizes)

    def json(self, raw: bytes, key: str = "") -> bytes:
        """JSON text without secrets in its strings and keys; all else stays, byte for byte.

        Args:
            raw: JSON in UTF-8; what is not valid is redacted as text where it lies outside of strings.
            key: The name that the whole is the value of.
        """
        text = raw.decode("utf-8", "surrogateescape")
        if not self.custom and not suspect(text) and not CONTEXT_KEY.search(key):
            return raw
        parts: list[str] = []
        copied = name_start = before = 0
        for match in _STRING.finditer(text):
            start, end = match.span()
            if end - start >= _SHORTEST or self.custom:
                # The key is the string before a colon; the first item of a list has the list's key.
                between = text[before:start]
                colon = len(between) < _SHORTEST and between.strip(" \t\r\n[") == ":"
                name = key if not before else text[name_start + 1 : before - 1] if colon else ""
                literal = text[start:end]
                new = self._literal(literal, name)
                outside = self._outside(between)
                if new is not literal or outside is not between:
                    parts += (text[copied:before], outside, new)
                    copied = end
            name_start, before = start, end
        rest = text[before:]
        return "".join((*parts, text[copied:before], self._outside(rest))).encode("utf-8", "surrogateescape")

    def _outside(self, between: str) -> str:
        """What is no string of JSON: when it can hold a secret, it is not JSON either."""
        return self._without_known(between, "") if len(between) >= _SHORTEST and suspect(between) else between

    def _literal(self, literal: str, name: str) -> str:
        """A string of JSON, quotes included."""
        if not self.custom and not suspect(literal) and not (name and CONTEXT_KEY.search(name)):
            return literal
        try:
            value = json.loads(literal, strict=False)
        except ValueError:
            return f'"{self.text(literal[1:-1], name)}"'  # no valid escape somewhere: as it stands
        new = self.text(value, name)
        if new == value:
            return literal
        try:
            return orjson.dumps(new).decode()
        except orjson.JSONEncodeError:
            return json.dumps(new)  # a lone surrogate

    def _without_known(self, text: str, key: str) -> str:
        head = f"{key}: " if key else ""
        tail = CUT if key == _HEAD else ""
        plain = _Unescaped(f"{head}{text}{tail}")
        found: list[_Found] = []
        for pattern in PATTERNS:
            if any(literal in plain.text for literal in pattern.literals):
                found += _matches(pattern, plain)
        done = len(head)
        end = done + len(text)
        parts: list[str] = []
        for start, stop, kind in _united(found):
            # In the name itself there is nothing to replace: it is redacted where it stands.
            begin, stop = max(start, done), min(stop, end)  # noqa: PLW2901 - what is left of it
            if begin >= stop or start < len(head):
                continue
            parts += (text[done - len(head) : begin - len(head)], f"[REDACTED:{kind}]")
            self._count(kind, 1, text[begin - len(head) : stop - len(head)])
            done = stop
        return "".join((*parts, text[done - len(head) :])) if parts else text

    def _by_pattern(self, text: str, kind: str, pattern: re.Pattern[str]) -> str:
        def replaced(match: re.Match[str]) -> str:
            if match.start() == match.end():
                return ""
            self._count(kind, 1, match[0])
            return f"[REDACTED:{kind}]"

        return pattern.sub(replaced, text)

    def _by(self, text: str, kind: str, function: Callable[[str], str]) -> str:
        new: object = None
        # Spans of its own would come here again, and bring more.
        with Caught() as caught, _active.Activation(SILENT):
            new = cast("object", function(text))
        if caught.error is not None:
            # Neither its message nor its frames: they may quote the text, and this goes to the log.
            raise RuntimeError(f"the redactor {kind!r} raised {type(caught.error).__name__}")
        if not isinstance(new, str):
            raise TypeError(f"the redactor {kind!r} gave {type(new).__name__} in place of a str")
        if new != text:
            self._count(kind, 1, text)
        return new

    def _count(self, kind: str, number: int, text: str) -> None:
        self.counts[kind] += number
        self.sizes[kind] += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _matches(pattern: SecretPattern, plain: _Unescaped) -> list[_Found]:
    compiled = pattern.compiled()
    group = 1 if compiled.groups else 0
    spans = [match.span(group) for match in compiled.finditer(plain.text)]
    return [(plain.origin(start), plain.origin(end), pattern.kind) for start, end in spans if end > start]


def _united(found: list[_Found]) -> list[_Found]:
    """In their order; those that overlap as one, named by the format that begins first, or else by the earlier one."""
    united: list[_Found] = []
    for item in sorted(found, key=itemgetter(0)):
        if united and item[0] < united[-1][1]:
            start, end, kind = united[-1]
            united[-1] = (start, max(end, item[1]), kind)
        else:
            united.append(item)
    return united


class _Unescaped:
    r"""A text with the escapes of JSON inside it resolved, however often they are escaped themselves.

    Only what patterns ask for: printable ASCII as `\u002d`, the slash, quotes and white space.
    """

    __slots__ = ("_here", "_there", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._here: list[int] = []
        self._there: list[int] = []
        if "\\" not in text:
            return
        parts: list[str] = []
        done = here = 0
        for match in _BACKSLASHES.finditer(text):
            start, end = match.span()
            code, simple = match.groups()
            if code is None and simple is None:
                continue
            char = chr(int(code, 16)) if code else _WHITE.get(simple, simple)
            parts += (text[done:start], char)
            here += start - done + 1
            done = end
            self._here.append(here)
            self._there.append(end)
        self.text = "".join((*parts, text[done:]))

    def origin(self, place: int) -> int:
        """The place in the text as it was."""
        if not self._here:
            return place
        index = bisect.bisect_right(self._here, place) - 1
        return place if index < 0 else self._there[index] + place - self._here[index]
