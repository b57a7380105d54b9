"""Read the JSON arguments of a tool call: every value with its path and place, and the digest that approvals bind."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

__all__ = ["Arguments", "Leaf", "Path", "UnreadableError", "call_digest", "is_under", "read_arguments"]

Path: TypeAlias = tuple[str, ...]
"""The names that lead to a value; positions in lists are left out."""

# The strings and numbers of JSON; linear, since each alternative begins with another character.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?', re.DOTALL)
_MOST_CHARACTERS = 1_000_000
_MOST_LEVELS = 64


class UnreadableError(ValueError):
    """The arguments cannot be judged; the message is a reason without content."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string or a number in the arguments, or a key.

    Attributes:
        path: Where it stands; a key has the path of its object.
        value: The value.
        written: The number as the model wrote it, or the string.
        start: Where it starts in the JSON text, in characters.
        end: Where it ends.
    """

    path: Path
    value: str | int | float
    written: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call.

    Attributes:
        values: The arguments by name, as a tool gets them.
        leaves: Every string, number and key, in the order of the text.
    """

    values: Mapping[str, Any]
    leaves: tuple[Leaf, ...]


def read_arguments(text: str) -> Arguments:
    """Return the arguments of a call. No text at all means no arguments.

    Raises:
        UnreadableError: The text is no JSON object, has a key twice (programs differ in which one they take), is too
            long, or too deep.
    """
    if len(text) > _MOST_CHARACTERS:
        raise UnreadableError("arguments too long")
    try:
        values = json.loads(text.strip() or "{}", object_pairs_hook=_object, parse_constant=_constant)
    except UnreadableError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError("arguments not valid JSON") from None
    if not isinstance(values, dict):
        raise UnreadableError("arguments not a JSON object")
    return Arguments(cast("dict[str, Any]", values), tuple(_leaves(text, values)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("arguments have a key twice")
    return found


def _constant(_name: str) -> None:
    raise UnreadableError("arguments not valid JSON")


def _leaves(text: str, values: Any) -> Iterator[Leaf]:
    # The walk meets keys, strings and numbers in the order in which they are written.
    tokens = _TOKEN.finditer(text)
    waiting: list[tuple[Path, Any]] = [((), values)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > _MOST_LEVELS or len(waiting) > _MOST_CHARACTERS:
            raise UnreadableError("arguments too deep")
        if isinstance(value, dict):
            for key, item in reversed(cast("dict[str, Any]", value).items()):
                waiting += [((*path, key), item), (path, _Key(key))]
        elif isinstance(value, list):
            waiting += [(path, item) for item in reversed(cast("list[Any]", value))]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            token = next(tokens)
            written = value if isinstance(value, str) else token.group()
            # The name of an argument is not content; the keys of an object inside of one may be.
            if path or not isinstance(value, _Key):
                yield Leaf(path, value, written, *token.span())


class _Key(str):
    """A key, to tell it from a string."""

    __slots__ = ()


def is_under(path: Path, name: str) -> bool:
    """Return whether a value belongs to an argument or a path such as "message.to"; "*" is every argument."""
    return name == "*" or f"{'.'.join(path)}.".startswith(f"{name}.")


def call_digest(scope: str, tool: str, values: Mapping[str, Any]) -> str:
    """Return the digest of a call: 64 hex digits. Spaces and the order of keys do not count.

    Args:
        scope: What an approval is limited to, such as a tenant.
        tool: The tool's name.
        values: The arguments.
    """
    text = json.dumps(["tool call", scope, tool, values], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
