"""A lint for patterns on texts of users and models: Python's `re` backtracks, so ambiguous repeats are refused.

google-re2 takes linear time for every pattern. A pattern of `re` does so if no repeat without a small bound is inside
another one, if none can give back characters to what follows it, and if none stands at the start of a pattern that is
searched: each place would begin anew. Possessive repeats and atomic groups give nothing back.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest

import llmops_sdk.caching.semantic
import llmops_sdk.evals
import llmops_sdk.grounding
import llmops_sdk.guardrails
import llmops_sdk.tracing.privacy

PACKAGES = (
    llmops_sdk.caching.semantic,
    llmops_sdk.evals,
    llmops_sdk.grounding,
    llmops_sdk.guardrails,
    llmops_sdk.tracing.privacy,
)
MANY = 64
"""A repeat with a bound of at most this many is a constant factor."""
ALL = frozenset(range(0x180))
GREEDY, LAZY, POSSESSIVE = codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT
CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip


def _members(item: tuple[Any, Any]) -> frozenset[int]:
    kind, value = item
    if kind is codes.LITERAL:
        return frozenset([value]) & ALL
    if kind is codes.RANGE:
        return frozenset(range(value[0], value[1] + 1)) & ALL if value[1] < 2**20 else ALL
    if kind is codes.CATEGORY:
        return frozenset(code for code in ALL if re.match(CATEGORIES[str(value)], chr(code)))
    return ALL


def _characters(kind: Any, value: Any) -> frozenset[int] | None:
    """Return the characters below U+0180 that one item of a pattern matches, or None if it is no single character."""
    if kind is codes.LITERAL:
        return _members((kind, value))
    if kind is codes.NOT_LITERAL:
        return ALL - {value}
    if kind is codes.ANY:
        return ALL - {10}
    if kind is codes.IN:
        found = frozenset().union(*[_members(one) for one in value if one[0] is not codes.NEGATE])
        return ALL - found if value[0][0] is codes.NEGATE else found
    return None


def _first(items: Sequence[Any]) -> tuple[frozenset[int], bool]:
    """Return the characters that a sequence can begin with, and whether it can be empty."""
    found: frozenset[int] = frozenset()
    for kind, value in items:
        begins, empty = _first_of(kind, value)
        found |= begins
        if not empty:
            return found, False
    return found, True


def _first_of(kind: Any, value: Any) -> tuple[frozenset[int], bool]:
    characters = _characters(kind, value)
    if characters is not None:
        return characters, False
    if kind in {codes.AT, codes.ASSERT, codes.ASSERT_NOT}:
        return frozenset(), True
    if kind in {GREEDY, LAZY, POSSESSIVE}:
        begins, empty = _first(value[2])
        return begins, empty or value[0] == 0
    if kind is codes.SUBPATTERN:
        return _first(value[3])
    if kind is codes.ATOMIC_GROUP:
        return _first(value)
    if kind is codes.BRANCH:
        each = [_first(one) for one in value[1]]
        return frozenset().union(*[begins for begins, _ in each]), any(empty for _, empty in each)
    return ALL, True


def _problems(items: Sequence[Any], follow: frozenset[int] = frozenset(), *, inside: bool = False) -> Iterator[str]:
    for place, (kind, value) in enumerate(items):
        rest, empty = _first(items[place + 1 :])
        after = rest | follow if empty else rest
        if kind in {GREEDY, LAZY}:
            low_high_body = value
            many = low_high_body[1] > MANY
            begins, _ = _first(low_high_body[2])
            if many and inside:
                yield "a repeat inside a repeat"
            if many and begins & after:
                yield "a repeat that can give characters to what follows"
            yield from _problems(low_high_body[2], after | begins, inside=inside or many)
        elif kind is POSSESSIVE:
            yield from _problems(value[2])
        elif kind is codes.SUBPATTERN:
            yield from _problems(value[3], after, inside=inside)
        elif kind is codes.ATOMIC_GROUP:
            yield from _problems(value)
        elif kind is codes.BRANCH:
            for one in value[1]:
                yield from _problems(one, after, inside=inside)
        elif kind in {codes.ASSERT, codes.ASSERT_NOT}:
            yield from _problems(value[1])


def _begins_anew(items: Sequence[Any]) -> bool:
    if not items:
        return False
    kind, value = items[0]
    if kind is codes.SUBPATTERN:
        return _begins_anew([*value[3], *items[1:]])
    if kind is codes.BRANCH:
        return any(_begins_anew([*one, *items[1:]]) for one in value[1])
    return kind in {GREEDY, LAZY, POSSESSIVE} and value[1] > MANY and len(items) > 1 and not _first(items[1:])[1]


def problems(pattern: re.Pattern[Any]) -> list[str]:
    """Return why a pattern may take more than linear time."""
    items = list(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
    found = list(dict.fromkeys(_problems(items)))
    return [*found, "a repeat at the start"] if _begins_anew(items) else found


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)


def _patterns(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _patterns(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _patterns(one)


# Why each is linear all the same.
KNOWN = {
    "_json._FENCED": "one match for each opening fence, which ends at the next one",
    "_language._NOT_PROSE": "a fence without an end takes the rest of the text",
    "_url_scan._URL_LIKE": "matched at one place",
    "_url_scan._AFTER": "matched at one place",
    "_url_scan._LABEL": "matched at one place, and bounded",
    "_torn._HOST_PART": "matched at one place; what it gives back ends at the dot before",
    "_identifiers._HOST_VALUE": "the whole of one argument; `.*` stands at its end",
    "_secret_names._PLACEHOLDER": "matched at one place; each repeat stands before the end alone",
    "_secret_names._LOOKS_LIKE_A_TOKEN": "matched at one place; each repeat gives back once",
    "_text_redactor._ESCAPES": "a run of backslashes is one match of the last alternative, so no place begins anew",
}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: one.__name__)
def test_no_pattern_on_user_text_backtracks(package: ModuleType):
    found: dict[str, list[str]] = {}
    for module in _modules(package):
        for name, value in vars(module).items():
            for pattern in _patterns(value):
                if why := problems(pattern):
                    found[f"{module.__name__.rpartition('.')[2]}.{name}"] = why
    assert {name: why for name, why in found.items() if name not in KNOWN} == {}


def test_known_patterns_are_there():
    modules = [module for package in PACKAGES for module in _modules(package)]
    names = {f"{module.__name__.rpartition('.')[2]}.{name}" for module in modules for name in vars(module)}
    assert set(KNOWN) <= names


@pytest.mark.parametrize(
    "pattern", [r"(a+)+b", r"(?:a|a)*b", r"\w+@", r".*x", r"a*a", r"(?:x+y?)*z", r"\s*\n", r"(\w+\s?)+"]
)
def test_ambiguous_patterns_are_found(pattern: str):
    assert problems(re.compile(pattern))


@pytest.mark.parametrize(
    "pattern", [r"x\d++y", r"a[bc]*d", r"(?<!\w)a{1,9}b", r"x(?>a+)+", r"a\w*", r"\"(?:[^\"\\]|\\.)*\""]
)
def test_linear_patterns_pass(pattern: str):
    assert problems(re.compile(pattern)) == []
