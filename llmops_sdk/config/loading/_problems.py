"""Problems of settings, and the one error that reports them all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, cast

from pydantic import ValidationError

from llmops_sdk.config._secrets import HIDDEN, SECRET_WORDS, is_secret, masked, masked_repr
from llmops_sdk.config.loading._keys import KeyPath, dotted, known_keys, lookup, nearest_key
from llmops_sdk.config.sections import _base
from llmops_sdk.config.sections._base import MissingKeyError, SettingsSection
from llmops_sdk.errors import ConfigError

__all__ = [
    "Problem",
    "config_error",
    "constructor_error",
    "from_pydantic",
    "invalid_value",
    "key_path",
    "problem_items",
    "raise_if_any",
    "unknown_key",
]

_LONGEST_NAME = 64
_RANDOM = re.compile(r"[A-Za-z0-9_+=-]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a configuration.

    Attributes:
        message: The problem, its location and key, and the remedy.
        source: The file, the environment variable, or "arguments".
        key: The dotted key.
        value: The value, or None if it may be a secret.
        nearest: The nearest known key.
    """

    message: str
    source: str
    key: str | None = None
    value: object = None
    nearest: str | None = None


def unknown_key(source: str, path: KeyPath, value: object) -> Problem:
    """Return the problem of a key that does not exist."""
    nearest = nearest_key(path)
    known = lookup(nearest_path) if (nearest_path := tuple(nearest.split("."))) else None
    name = known.variable if known is not None and source.startswith("LLMOPS_") else nearest
    may_show = not _may_be_secret(path, tuple(nearest.split(".")), value)
    shown = masked_repr(path, _without_texts(value)) if may_show else repr(HIDDEN)
    text = (
        f"{source}: unknown key {dotted(path)} = {shown}. The nearest known key is {name}: "
        "correct the name, or remove the key."
    )
    problem = replace(_problem(source, path, _without_texts(value), text), nearest=nearest)
    return problem if may_show else replace(problem, value=None)


def _may_be_secret(path: KeyPath, nearest: KeyPath, value: object) -> bool:
    """Return whether the value of a misspelt key may be a secret: by either name, a similar one, or its looks."""
    if is_secret(path) or is_secret(nearest) or nearest[-1].endswith("headers"):
        return True
    if isinstance(value, (int, float)):
        # [breaker] is similar to "bearer", but it is not what is misspelt.
        path = tuple(name for name, right in zip_longest(path, nearest) if name is not None and name != right)
    names = [re.findall(r"[a-z]+", name.lower()) for name in path]
    words = [word for found in names for word in [*found, "".join(found)]]
    if any(difflib.get_close_matches(word, SECRET_WORDS, n=1, cutoff=0.7) for word in words):
        return True
    return isinstance(value, str) and _RANDOM.search(value) is not None


def _without_texts(value: object) -> object:
    """Return a value whose tables and lists hold no text: the names in them are not known either."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return {key: HIDDEN if isinstance(item, str) else _without_texts(item) for key, item in entries.items()}
    if isinstance(value, list | tuple):
        items = cast("list[object] | tuple[object, ...]", value)
        return [HIDDEN if isinstance(item, str) else _without_texts(item) for item in items]
    return value


def invalid_value(source: str, path: KeyPath, value: object, *, expected: str | None = None) -> Problem:
    """Return the problem of a known key with an invalid value."""
    known = lookup(path)
    expected = expected or (known.expected if known else "another value")
    hidden = " (not shown, it may be a secret)" if is_secret(path) else ""
    text = f"{source}: {dotted(path)} = {masked_repr(path, value)}{hidden} is not valid: it must be {expected}."
    return _problem(source, path, value, text)


def _missing_key(source: str, path: KeyPath) -> Problem:
    known = lookup(path)
    what = f", {known.expected}" if known else ""
    table = f"[{dotted(path[:-1])}]"
    if (parent := lookup(path[:-2])) is not None and parent.key_type == "list":
        table = f"each [[{parent.name}]]"
    text = f"{source}: the key {dotted(path)} is missing: {table} needs it{what}."
    return _problem(source, path, None, text)


def problem_items(error: ValidationError, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the errors of pydantic, each key once, with tables of lists by their names.

    Args:
        error: The error.
        data: The values that were validated, nested like the sections.
    """
    items: dict[KeyPath, dict[str, Any]] = {}
    for found in error.errors():
        item: dict[str, Any] = {**found, "loc": _named_loc(found["loc"], data)}
        if isinstance(cause := found.get("ctx", {}).get("error"), MissingKeyError):
            item |= {"type": "missing", "loc": (*item["loc"], cause.key)}
        # A type with alternatives has an error for each of them.
        items.setdefault(key_path(item), item)
    return list(items.values())


def _named_loc(loc: Sequence[int | str], data: Mapping[str, Any]) -> tuple[int | str, ...]:
    """Replace the position of a table in a list of tables by the table's name, if it has one of its own."""
    whole = data.get(str(loc[0])) if loc else None
    known = lookup(tuple(loc[:1]))
    if len(loc) < 2 or known is None or known.key_type != "list" or not isinstance(whole, list | tuple):
        return tuple(loc)
    names = [_name_of(table) for table in cast("Sequence[object]", whole)]
    name = names[int(loc[1])]
    return (loc[0], name if name and names.count(name) == 1 else str(loc[1]), *loc[2:])


def _name_of(table: object) -> str | None:
    name = cast("Mapping[str, object]", table).get("name") if isinstance(table, Mapping) else None
    return name if isinstance(name, str) and len(name) <= _LONGEST_NAME else None


def key_path(item: Mapping[str, Any], prefix: KeyPath = ()) -> KeyPath:
    """Return the key of a pydantic error, without positions in lists."""
    path = (*prefix, *(str(part) for part in item["loc"] if part != "[key]"))
    if item["type"] in {"extra_forbidden", "missing"}:
        return path
    while len(path) > 1 and lookup(path) is None:
        path = path[:-1]
    return path


def from_pydantic(item: Mapping[str, Any], source: str, prefix: KeyPath = ()) -> Problem:
    """Convert an error of pydantic."""
    path = key_path(item, prefix)
    if item["type"] == "missing":
        return _missing_key(source, path)
    if item["type"] == "extra_forbidden":
        return unknown_key(source, path, item["input"])
    # The errors of our own validators describe the valid values.
    expected = str(item["ctx"]["error"]) if item["type"] == "value_error" else None
    return invalid_value(source, path, item["input"], expected=expected)


def constructor_error(section: type[SettingsSection], error: ValidationError) -> ConfigError:
    """Return the error of a section that a program constructs, e.g. `Timeout(total=-1)`."""
    paths = [key.path for key in known_keys().values() if key.section is section]
    prefix = min(paths, key=len, default=())  # [timeout] before [models.<name>.timeout]
    return config_error([from_pydantic(item, section.__name__, prefix) for item in problem_items(error, {})])


def _problem(source: str, path: KeyPath, value: object, text: str) -> Problem:
    return Problem(
        message=text, source=source, key=dotted(path), value=None if is_secret(path) else masked(path, value)
    )


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """Return one error for all problems. Its fields describe the first."""
    first = problems[0]
    message = first.message
    if len(problems) > 1:
        lines = (f"  {number}. {problem.message}" for number, problem in enumerate(problems, 1))
        message = "\n".join((f"The configuration has {len(problems)} problems:", *lines))
    return ConfigError(message, source=first.source, key=first.key, value=first.value, nearest=first.nearest)


def raise_if_any(problems: Sequence[Problem]) -> None:
    """Raise one error for all problems, if there are any."""
    if problems:
        raise config_error(problems)


_base.explain_error = constructor_error
