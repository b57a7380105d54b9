"""Write texts that match a regular expression, as in the `pattern` of a JSON schema.

Python's own parser reads the pattern. Its module has no public name; if a later Python moves it, patterns become
unsupported, and nothing else fails.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
import string
from collections.abc import Iterable
from typing import Any

__all__ = ["text_for"]

_ANY = string.ascii_letters + string.digits
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": string.ascii_letters,
    "CATEGORY_WORD": _ANY + "_",
    "CATEGORY_NOT_WORD": "-.",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": _ANY,
}
_OPEN_REPEATS = 3  # how many repetitions above its minimum an open repetition gets at most
_MAX_REPEATS = 4_096


class _UnsupportedPatternError(ValueError):
    pass


def text_for(pattern: str, draws: random.Random) -> str | None:
    """Return a text in which `pattern` is found, or None if the pattern uses look-around or back-references."""
    try:
        compiled = re.compile(pattern)
        text = _text(_parse(pattern), draws)
    except (re.error, _UnsupportedPatternError, RecursionError, ImportError):
        return None
    return text if compiled.search(text) else None


@functools.lru_cache(maxsize=256)
def _parse(pattern: str) -> Any:
    return importlib.import_module("re._parser").parse(pattern)


def _text(parsed: Iterable[tuple[Any, Any]], draws: random.Random) -> str:
    return "".join(_part(operation.name, value, draws) for operation, value in parsed)


def _part(operation: str, value: Any, draws: random.Random) -> str:
    match operation:
        case "AT":  # an anchor: the search in `text_for` checks it
            return ""
        case "LITERAL":
            return chr(value)
        case "ANY":
            return draws.choice(_ANY)
        case "IN":
            return draws.choice(_characters(value))
        case "NOT_LITERAL":
            return draws.choice(_except(chr(value)))
        case "BRANCH":
            return _text(draws.choice(value[1]), draws)
        case "SUBPATTERN":
            return _text(value[-1], draws)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT" if value[0] <= _MAX_REPEATS:
            least, most, repeated = value
            times = draws.randint(least, most if most <= _MAX_REPEATS else least + _OPEN_REPEATS)
            return "".join(_text(repeated, draws) for _ in range(times))
        case _:
            raise _UnsupportedPatternError


def _characters(items: Iterable[tuple[Any, Any]]) -> str:
    found, negated = "", False
    for operation, value in items:
        match operation.name:
            case "NEGATE":
                negated = True
            case "LITERAL":
                found += chr(value)
            case "RANGE":
                found += "".join(map(chr, range(value[0], min(value[1], value[0] + 255) + 1)))
            case _:
                found += _CATEGORIES[value.name]
    return _except(found) if negated else found


def _except(characters: str) -> str:
    allowed = "".join(sign for sign in _ANY + " -_." if sign not in characters)
    if not allowed:
        raise _UnsupportedPatternError
    return allowed
