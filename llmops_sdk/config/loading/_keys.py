"""The known keys, derived from the section models: type, default and meaning; and the nearest key to a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import SettingsSection, field_docs
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._value_types import DURATION, Regex

__all__ = ["Key", "KeyPath", "dotted", "known_keys", "lookup", "nearest_key"]

KeyPath: TypeAlias = tuple[str, ...]
KeyType: TypeAlias = Literal["value", "table", "section", "named", "list"]

_BARE = re.compile(r"[A-Za-z0-9_-]+|<name>")
_NAME = "<name>"
_BOUNDS: dict[type, str] = {
    Gt: "gt", Ge: "ge", Lt: "lt", Le: "le", MinLen: "min_length", MaxLen: "max_length",
}  # fmt: skip


@public("llmops_sdk.config")
@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A known key.

    Attributes:
        name: The dotted key. `<name>` stands for a name that the user chooses: `models.<name>.model`.
        path: The parts of `name`.
        key_type: "value", "table" (free keys, e.g. headers), "section" (fixed keys), "named" (sections by name) or
            "list" (sections with a key `name`).
        expected: A description of valid values.
        default: The default in TOML, or "" if there is none.
        owner: The model whose field it is.
        variable: The environment variable that sets the key; below a list, the one that sets the whole list.
        holds_path: True for a file or folder. Relative paths are relative to the source of the value.
        annotation: The type of a value or a table.
        section: The model of a section.
    """

    name: str
    path: KeyPath
    key_type: KeyType
    expected: str
    default: str
    owner: type[SettingsSection]
    variable: str
    holds_path: bool = False
    annotation: Any = None
    section: type[SettingsSection] | None = None

    @property
    def doc(self) -> str:
        """Return the meaning."""
        docs, name = field_docs(self.owner), self.path[-1]
        text = docs.get(name) or docs.get(f"{name}_") or (self.section.__doc__ if self.section else None) or ""
        return " ".join(text.partition("\n\n")[0].split())


def dotted(path: tuple[object, ...]) -> str:
    """Join the parts of a key as in TOML, quoting parts with characters other than letters, digits, - and _.

    Example:
        >>> dotted(("models", "gpt-4.1", "retry", "attempts"))
        'models."gpt-4.1".retry.attempts'
    """
    return ".".join(str(part) if _BARE.fullmatch(str(part)) else f'"{part}"' for part in path)


def known_keys() -> Mapping[str, Key]:
    """Return every valid key by its dotted name.

    Example:
        >>> known_keys()["retry.attempts"].expected
        'a whole number from 1 to 100'
    """
    return MappingProxyType({key.name: key for key in _table().values()})


def lookup(path: tuple[object, ...]) -> Key | None:
    """Return the key at a path, or None. For a path into a table of free keys, return the table's key."""
    table = _table()
    parts = _pattern(tuple(str(part) for part in path))
    if parts in table:
        return table[parts]
    parents = (table[parts[:end]] for end in range(len(parts) - 1, 0, -1) if parts[:end] in table)
    return next((key for key in parents if key.key_type == "table"), None)


def nearest_key(path: tuple[object, ...]) -> str:
    """Return the known key that is most similar to an unknown one, siblings first.

    Example:
        >>> nearest_key(("retry", "atempts")), nearest_key(("retry_attempts",))
        ('retry.attempts', 'retry.attempts')
    """
    parts = tuple(str(part) for part in path)
    pattern = _pattern(parts)
    keys = [key for key in _table() if key[-1] != _NAME]
    siblings = {key[-1]: key for key in keys if key[:-1] == pattern[:-1]}
    by_name = {dotted(key): key for key in keys}
    by_last = {key[-1]: key for key in reversed(keys) if _NAME not in key}
    for wanted, choices, cutoff in (
        (pattern[-1], siblings, 0.6),
        (dotted(pattern), by_name, 0.6),
        (pattern[-1], by_last, 0.6),
        (dotted(pattern), by_name, 0.0),
    ):
        if found := difflib.get_close_matches(wanted, choices, n=1, cutoff=cutoff):
            nearest = choices[found[0]]
            # Keep the names that the user chose.
            at = len(nearest) - nearest[::-1].index(_NAME) if _NAME in nearest else 0
            same_name = 0 < at < len(pattern) and nearest[:at] == pattern[:at]
            return dotted((*parts[:at], *nearest[at:]) if same_name else nearest)
    return "model"


def _pattern(path: KeyPath) -> KeyPath:
    """Replace the names that the user chooses (of a model, price, budget, tool, …) in the path by `<name>`."""
    for end in range(1, len(path)):
        found = _table().get(path[:end])
        if found is not None and found.key_type in {"named", "list"}:
            path = (*path[:end], _NAME, *path[end + 1 :])
    return path


@lru_cache(maxsize=1)
def _table() -> Mapping[KeyPath, Key]:
    return {key.path: key for key in _walk(SettingsFields, ())}


def _walk(model: type[SettingsSection], prefix: KeyPath) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        section = _section_of(field.annotation)
        if section is not None:
            yield _key(model, path, "section", "a table of keys", field)
            yield from _walk(section, path)
            continue
        many: dict[Any, KeyType] = {dict: "named", tuple: "list"}
        key_type = many.get(get_origin(_bare(field.annotation)))
        entry = _section_of(_value_type(field.annotation))
        if key_type is None or (entry is None and key_type == "list"):
            yield _key(model, path, "value", _expected(field.annotation, field.metadata), field)
            continue
        if entry is None:
            yield _key(model, path, "table", _expected(field.annotation, ()), field)
            continue
        expected = "tables by name" if key_type == "named" else f"a list of tables, [[{name}]]"
        whole = _key(model, path, key_type, expected, field)
        section_key = _key(model, (*path, _NAME), "section", "a table of keys", field)
        for key in (whole, section_key, *_walk(entry, (*path, _NAME))):
            yield replace(key, variable=whole.variable) if key_type == "list" else key


def _key(owner: type[SettingsSection], path: KeyPath, key_type: KeyType, expected: str, field: FieldInfo) -> Key:
    annotation: Any = field.rebuild_annotation()
    return Key(
        name=dotted(path),
        path=path,
        key_type=key_type,
        expected=expected,
        default="" if key_type in {"section", "named", "list"} or field.is_required() else _toml(field.get_default()),
        owner=owner,
        variable="LLMOPS_" + "__".join("<NAME>" if part == _NAME else part.upper() for part in path),
        holds_path=_bare(annotation) is Path,
        annotation=annotation,
        section=_section_of(_value_type(annotation) if path[-1] == _NAME else annotation),
    )


def _parts(annotation: Any) -> tuple[Any, list[Any], bool]:
    """Return the type without Annotated and None, its metadata, and whether None is allowed."""
    metadata: list[Any] = []
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            metadata += more
        elif origin in {Union, UnionType}:
            # A function can only come from code.
            members = [one for one in get_args(annotation) if one is not NoneType and get_origin(one) is not Callable]
            optional = optional or NoneType in get_args(annotation)
            if len(members) != 1:
                return annotation, metadata, optional
            annotation = members[0]
        else:
            return annotation, metadata, optional


def _bare(annotation: Any) -> Any:
    return _parts(annotation)[0]


def _section_of(annotation: Any) -> type[SettingsSection] | None:
    bare = _bare(annotation)
    return bare if isinstance(bare, type) and issubclass(bare, SettingsSection) else None


def _value_type(annotation: Any) -> Any:
    """Return the type of a table's values or of a list's items, or None."""
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        return get_args(bare)[0]
    return get_args(bare)[1] if get_origin(bare) is dict else None


def _expected(annotation: Any, metadata: list[Any] | tuple[Any, ...]) -> str:
    bare, more, optional = _parts(annotation)
    if DURATION in [*metadata, *more]:
        return 'seconds, or a duration such as "5m" or "30d"' + (', or "none"' if optional else "")
    return _words(bare) + _bounds([*metadata, *more]) + (' or "none"' if optional else "")


def _words(bare: Any) -> str:
    if get_origin(bare) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(bare))
    if get_origin(bare) in {Union, UnionType}:
        return " or ".join(_expected(one, ()) for one in get_args(bare))
    if get_origin(bare) is tuple and get_args(bare)[0] is not str:
        return f"a list of numbers{_bounds(_parts(get_args(bare)[0])[1])}"
    simple: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a string",
        Path: "a path (a string)",
        tuple[str, ...]: "a list of strings",
        dict[str, str]: "a table of strings",
        dict[str, Regex]: "a table of regular expressions",
        dict[str, Any]: "a table",
        dict[str, dict[str, Any]]: "a table of tables",
    }
    return simple[bare]


def _bounds(metadata: list[Any]) -> str:
    found: dict[type, Any] = {}
    for bound in metadata:
        for item in bound.metadata if isinstance(bound, FieldInfo) else [bound]:
            for kind, name in _BOUNDS.items():
                if isinstance(item, kind):
                    found[kind] = getattr(item, name)
    if MaxLen in found:
        return f" of {found.get(MinLen, 0)} to {found[MaxLen]} characters"
    low = f" above {found[Gt]}" if Gt in found else f" from {found[Ge]}" if Ge in found else ""
    high = f" below {found[Lt]}" if Lt in found else f" to {found[Le]}" if Le in found else ""
    if low and high:
        if Gt in found:
            return f"{low} and {high.strip() if Lt in found else f'up to {found[Le]}'}"
        return f"{low}{high}" if Le in found else f"{low} to{high}"
    return f" of {found[Ge]} or more" if Ge in found else low or high.replace(" to ", " of at most ")


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in cast("tuple[Any, ...]", value)) + "]"
    return "{}" if isinstance(value, dict) else f'"{value}"'
