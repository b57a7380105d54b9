"""What can be wrong with a setting, and the one error that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from llmops_sdk.config._secrets import is_secret, shown
from llmops_sdk.config.loading._keys import KeyPath, dotted, known_keys, lookup, nearest_key
from llmops_sdk.config.sections import _base
from llmops_sdk.config.sections._base import Section
from llmops_sdk.errors import ConfigError

__all__ = [
    "Problem",
    "constructor_failure",
    "failure",
    "found_problem",
    "key_path",
    "missing",
    "raise_all",
    "unknown",
    "wrong",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: What is wrong and what to do, with the place and the key.
        source: The file, the environment variable, or "arguments".
        key: The dotted key.
        value: The value found; None when it may be a secret.
        nearest: The nearest known key.
    """

    message: str
    source: str
    key: str | None = None
    value: object = None
    nearest: str | None = None


def unknown(source: str, path: KeyPath, value: object) -> Problem:
    """A key that there is not."""
    nearest = nearest_key(path)
    known = lookup(nearest_path) if (nearest_path := tuple(nearest.split("."))) else None
    name = known.variable if known is not None and source.startswith("LLMOPS_") else nearest
    text = (
        f"{source}: unknown key {dotted(path)} = {shown(path, value)}. The nearest known key is {name}: "
        "correct the name, or remove the key."
    )
    return replace(_problem(source, path, value, text), nearest=nearest)


def wrong(source: str, path: KeyPath, value: object, *, expected: str | None = None) -> Problem:
    """A known key with a value that it does not take."""
    known = lookup(path)
    expected = expected or (known.expected if known else "another value")
    hidden = " (not shown, it may be a secret)" if is_secret(path) else ""
    text = f"{source}: {dotted(path)} = {shown(path, value)}{hidden} is not valid: it must be {expected}."
    return _problem(source, path, value, text)


def missing(source: str, path: KeyPath) -> Problem:
    """A key that must be given where its section is."""
    known = lookup(path)
    what = f", {known.expected}" if known else ""
    text = f"{source}: the key {dotted(path)} is missing: [{dotted(path[:-1])}] needs it{what}."
    return _problem(source, path, None, text)


def key_path(item: Mapping[str, Any], prefix: KeyPath = ()) -> KeyPath:
    """The key that an error of pydantic's is about; a place in a list is no key."""
    path = (*prefix, *(str(part) for part in item["loc"] if part != "[key]"))
    if item["type"] in {"extra_forbidden", "missing"}:
        return path
    while len(path) > 1 and lookup(path) is None:
        path = path[:-1]
    return path


def found_problem(item: Mapping[str, Any], source: str, prefix: KeyPath = ()) -> Problem:
    """An error of pydantic's in our words."""
    path = key_path(item, prefix)
    if item["type"] == "missing":
        return missing(source, path)
    if item["type"] == "extra_forbidden":
        return unknown(source, path, item["input"])
    # What a validator of ours says is wanted.
    expected = str(item["ctx"]["error"]) if item["type"] == "value_error" else None
    return wrong(source, path, item["input"], expected=expected)


def constructor_failure(section: type[Section], error: ValidationError) -> ConfigError:
    """What is wrong with the arguments of a section that a program makes, as in `Timeout(total=-1)`."""
    paths = [key.path for key in known_keys().values() if key.section is section]
    prefix = min(paths, key=len, default=())  # [timeout] before [models.<name>.timeout]
    return failure([found_problem(item, section.__name__, prefix) for item in error.errors()])


def _problem(source: str, path: KeyPath, value: object, text: str) -> Problem:
    return Problem(message=text, source=source, key=dotted(path), value=None if is_secret(path) else value)


def failure(problems: Sequence[Problem]) -> ConfigError:
    """One error for all the problems; its fields are those of the first."""
    first = problems[0]
    message = first.message
    if len(problems) > 1:
        lines = (f"  {number}. {problem.message}" for number, problem in enumerate(problems, 1))
        message = "\n".join((f"The configuration has {len(problems)} problems:", *lines))
    return ConfigError(message, source=first.source, key=first.key, value=first.value, nearest=first.nearest)


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise the one error, if there is any problem."""
    if problems:
        raise failure(problems)


_base.explain = constructor_failure
