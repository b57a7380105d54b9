"""Texts that fit a simple regular expression, as they stand in the `pattern` of a JSON schema."""

from __future__ import annotations

import random
import re
import string

__all__ = ["text_for"]

_SETS = {
    "d": string.digits,
    "w": string.ascii_letters + string.digits + "_",
    "s": " ",
    "D": string.ascii_letters,
    "S": string.ascii_letters + string.digits,
    "W": "-.",
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_ANY = string.ascii_letters + string.digits
_MORE = 3  # how often more than it must an open repetition repeats at most
_MOST = 4_096


def text_for(pattern: str, draws: random.Random) -> str | None:
    """A text in which `pattern` is found, or None when the pattern is beyond this small reader.

    It reads literals, classes, groups, alternatives and repetitions, not look-around or back-references. What it makes
    is checked against Python's own `re`.
    """
    try:
        compiled = re.compile(pattern)
        text = _Reader(pattern, draws).text()
    except (re.error, _TooHardError, RecursionError):
        return None
    return text if compiled.search(text) else None


class _TooHardError(ValueError):
    pass


class _Reader:
    """A recursive descent over the pattern that writes as it reads."""

    def __init__(self, pattern: str, draws: random.Random) -> None:
        self._pattern = pattern
        self._at = 0
        self._draws = draws

    def text(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _TooHardError
        return text

    def _peek(self) -> str:
        return self._pattern[self._at] if self._at < len(self._pattern) else ""

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise _TooHardError
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _alternatives(self) -> str:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return self._draws.choice(branches)

    def _sequence(self) -> str:
        parts: list[str] = []
        while self._peek() not in {"", "|", ")"}:
            if self._take("^") or self._take("$"):
                continue
            start = self._at
            once = self._atom()
            parts.append(self._repeated(start, once))
        return "".join(parts)

    def _repeated(self, start: int, once: str) -> str:
        low, high = self._bounds()
        if (low, high) == (1, 1):
            return once
        times = self._draws.randint(low, high)
        if times > _MOST:
            raise _TooHardError
        end = self._at
        parts: list[str] = []
        for _ in range(times):  # read the atom again each time, so that the repetitions differ
            self._at = start
            parts.append(self._atom())
        self._at = end
        return "".join(parts)

    def _bounds(self) -> tuple[int, int]:
        low, high = 1, 1
        if self._take("*"):
            low, high = 0, _MORE
        elif self._take("+"):
            low, high = 1, 1 + _MORE
        elif self._take("?"):
            low, high = 0, 1
        elif found := re.compile(r"\{(\d+)(?:(,)(\d*))?\}").match(self._pattern, self._at):
            self._at = found.end()
            low = int(found[1])
            high = low if not found[2] else int(found[3]) if found[3] else low + _MORE
        if (low, high) != (1, 1) and self._peek() == "?":
            self._at += 1  # a lazy repetition fits the same texts
        return low, high

    def _atom(self) -> str:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._draws.choice(self._char_class())
        if sign == "\\":
            return self._draws.choice(self._escaped())
        if sign == ".":
            return self._draws.choice(_ANY)
        if sign in "*+?":
            raise _TooHardError
        return sign

    def _group(self) -> str:
        if self._take("?") and not self._take(":"):
            named = re.compile(r"P?<[A-Za-z_]\w*>").match(self._pattern, self._at)
            if named is None:
                raise _TooHardError
            self._at = named.end()
        text = self._alternatives()
        if not self._take(")"):
            raise _TooHardError
        return text

    def _escaped(self) -> str:
        sign = self._next()
        if sign in _SETS:
            return _SETS[sign]
        if sign in _ESCAPES:
            return _ESCAPES[sign]
        if sign.isalnum():
            raise _TooHardError
        return sign

    def _char_class(self) -> str:
        negated = self._take("^")
        found: list[str] = []
        while not (self._peek() == "]" and found):
            sign = self._next()
            one = self._escaped() if sign == "\\" else sign
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in {"]", ""} and len(one) == 1:
                self._at += 1
                last = self._next()
                last = self._escaped() if last == "\\" else last
                one = "".join(chr(code) for code in range(ord(one), min(ord(last), ord(one) + 256) + 1))
            found.append(one)
        self._at += 1
        chosen = "".join(found)
        if negated:
            chosen = "".join(sign for sign in _ANY + " -_." if sign not in chosen)
        if not chosen:
            raise _TooHardError
        return chosen
