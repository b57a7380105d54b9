"""Print docs/api.md: every public name, its signature, its fields and the first sentence of its docstring.

`make docs` runs this, and tests/gates/test_public_names.py compares the result with the file.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import llmops_sdk

# The sections of the page by subpackage.
_SECTIONS = {
    "config": "Configuration",
    "tracing": "Tracing",
    "client": "Calls to models",
    "providers": "Results of calls",
    "resilience": "Retries and fallbacks",
    "caching": "Caching",
    "guardrails": "Guardrails",
    "store": "Querying",
    "errors": "Errors",
}
# The subpackages with public types of their own. docs/configuration.md has the settings.
_SUBPACKAGES = (
    "providers",
    "embeddings",
    "guardrails",
    "caching",
    "resilience",
    "store",
    "collect",
    "testing",
    "routing",
    "drift",
    "datasets",
    "evals",
    "evals.metrics",
    "evals.stats",
)
# Of these the page has the functions too: they are imported from the subpackage.
_WITH_FUNCTIONS = frozenset({"drift", "evals", "evals.metrics", "evals.stats"})
_WIDTH = 100
_INTRODUCTION = """# The public names

Import these names from `llmops_sdk` itself, by convention as `llmops`. [stability.md](stability.md) says which changes
to expect. The last section has what you import from a subpackage. `make docs` generates this page from the
code.
"""


def _summary(value: Any) -> str:
    text = inspect.getdoc(value) or ""
    return " ".join(text.split("\n\n", 1)[0].split())


def _shown(parameter: inspect.Parameter) -> str:
    text = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text += parameter.name
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not inspect.Parameter.empty:
        # A sentinel for "not given" has no useful repr.
        plain = isinstance(parameter.default, str | int | float | tuple | None)
        text += f" = {parameter.default!r}" if plain else " = ..."
    return text


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _parameters(signature: inspect.Signature) -> list[str]:
    shown: list[str] = []
    before: inspect.Parameter | None = None
    for parameter in signature.parameters.values():
        kinds = (before.kind if before else None, parameter.kind)
        if kinds[0] == parameter.POSITIONAL_ONLY != kinds[1]:
            shown.append("/")
        if kinds[1] == parameter.KEYWORD_ONLY and kinds[0] not in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}:
            shown.append("*")
        shown.append(_shown(parameter))
        before = parameter
    return [*shown, "/"] if before and before.kind == before.POSITIONAL_ONLY else shown


def _signatures(name: str, value: Any) -> Iterator[str]:
    for form in typing.get_overloads(value) or [value]:
        prefix = "async def" if inspect.iscoroutinefunction(inspect.unwrap(value)) else "def"
        signature = inspect.signature(form)
        parameters = _parameters(signature)
        end = f") -> {_annotation(signature.return_annotation)}"
        line = f"{prefix} {name}({', '.join(parameters)}{end}"
        if len(line) > _WIDTH:
            line = f"{prefix} {name}(\n    " + ",\n    ".join(parameters) + f",\n{end}"
        yield line


def _block(lines: list[str]) -> str:
    return "```text\n" + "\n".join(lines) + "\n```\n"


_ATTRIBUTE = re.compile(r"(\w+(?:, \w+)*): (.+)")


def documented_attributes(cls: type) -> dict[str, str]:
    """Return the texts of the section "Attributes:" in the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        ours = base.__module__.startswith("llmops_sdk")  # pydantic documents its own attributes
        doc = inspect.cleandoc(vars(base).get("__doc__") or "") if ours else ""
        section = re.search(r"^Attributes:\n((?: +.*\n?|\n)*)", doc, re.MULTILINE)
        for line in re.sub(r"\n {5,}", " ", section[1]).splitlines() if section else ():
            if entry := _ATTRIBUTE.fullmatch(line.strip()):
                found |= dict.fromkeys(entry[1].split(", "), entry[2])
    return found | _docstrings_of_fields(cls)


@functools.cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text("utf-8"))


def _docstrings_of_fields(cls: type) -> dict[str, str]:
    """Return the strings below the fields of a class. The class names its public module, so look for its source."""
    holders = [one for name, one in sys.modules.items() if name.startswith("llmops_sdk")]
    for module in holders:
        if getattr(module, cls.__name__, None) is not cls or not module.__file__:
            continue
        for node in _parsed(module.__file__).body:
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                return {
                    field.target.id: " ".join(text.value.value.split())
                    for field, text in itertools.pairwise(node.body)
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                    if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                }
    return {}


def fields_of(cls: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, type with default, and text of each public field of a class."""
    texts = documented_attributes(cls)
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            if not field.name.startswith("_"):
                yield field.name, _annotation(field.type) + _default(field), texts.pop(field.name, "")
    inherited = {name: text for base in reversed(cls.__mro__[1:]) for name, text in documented_attributes(base).items()}
    for name, field in getattr(cls, "model_fields", {}).items():
        section = f"The section `[{name}]` of [configuration.md](configuration.md)."
        yield name, _annotation(field.annotation), texts.pop(name, inherited.get(name, section))
    yield from ((name, "", text) for name, text in texts.items())


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f" = {field.default!r}"
    return "" if field.default_factory is dataclasses.MISSING else " = ..."


def _fields(cls: type) -> Iterator[str]:
    for name, kind, text in fields_of(cls):
        yield f"- `.{name}{': ' if kind else ''}{kind}`" + (f": {text}" if text else "")


def _members(cls: type) -> Iterator[str]:
    own = [name for name in dir(cls) if not name.startswith(("_", "model_")) and _is_ours(cls, name)]
    for name in own:
        if summary := _summary(inspect.getattr_static(cls, name)):
            yield f"- `.{name}`: {summary}"


def _is_ours(cls: type, name: str) -> bool:
    home = next(base for base in cls.__mro__ if name in vars(base))
    member = vars(home)[name]
    documented = callable(member) or isinstance(member, property | classmethod | staticmethod)
    private = any(part.startswith("_") for part in home.__module__.split("."))
    return documented and home.__module__.startswith("llmops_sdk") and not private


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`\n"
    if inspect.isclass(value):
        yield f"{_summary(value)}\n"
        if members := [*_fields(value), *_members(value)]:
            yield "\n".join(members) + "\n"
        return
    yield _block(list(_signatures(name, value)))
    yield f"{_summary(value)}\n"


def _error_tree(root: type, depth: int = 0) -> Iterator[str]:
    yield f"{'  ' * depth}- `{root.__name__}`: {_summary(root)}"
    yield from (f"{'  ' * (depth + 1)}{line}" for line in _own_fields(root))
    for child in sorted(root.__subclasses__(), key=lambda cls: cls.__name__):
        if child.__name__ in llmops_sdk.__all__:
            yield from _error_tree(child, depth + 1)


def _own_fields(error: type) -> Iterator[str]:
    inherited = {name for base in error.__bases__ for name in documented_attributes(base)}
    for name, text in documented_attributes(error).items():
        if name not in inherited:
            yield f"- `.{name}`: {text}"


def subpackage_types() -> Iterator[tuple[str, type]]:
    """Yield the dotted names and classes that are public in a subpackage only."""
    yield from ((name, value) for name, value in _subpackage_names() if inspect.isclass(value))


def _subpackage_names() -> Iterator[tuple[str, Any]]:
    for package in _SUBPACKAGES:
        module = import_module(f"llmops_sdk.{package}")
        for name in sorted(module.__all__, key=str.lower):
            value = getattr(module, name)
            own_class = inspect.isclass(value) and value.__module__ == module.__name__
            own_function = inspect.isfunction(value) and package in _WITH_FUNCTIONS
            if name not in llmops_sdk.__all__ and (own_class or own_function):
                yield f"llmops_sdk.{package}.{name}", value


def _section(name: str) -> str:
    public = [one for one in _SECTIONS if name in import_module(f"llmops_sdk.{one}").__all__]
    return public[0] if public else "tracing"


def page() -> str:
    """Return the text of docs/api.md."""
    homes: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    for name in sorted(llmops_sdk.__all__, key=str.lower):
        if not name.startswith("__"):
            homes[_section(name)].append(name)
    parts = [_INTRODUCTION]
    for section, title in _SECTIONS.items():
        parts.append(f"## {title}\n")
        if section == "errors":
            parts.append("\n".join(_error_tree(llmops_sdk.LLMOpsError)) + "\n")
            continue
        for name in homes[section]:
            parts.extend(_entry(name, getattr(llmops_sdk, name)))
    parts.append("## Names of subpackages\n")
    for dotted, value in _subpackage_names():
        parts.extend(_entry(dotted, value))
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
