"""Print docs/api.md: every public name, its signature and the first sentence of its docstring.

Run by `make docs`; tests/gates/test_public_names.py holds the page to the code.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import llmops_sdk

# The sections of the page, by the subpackage that a name lives in.
_SECTIONS = {
    "config": "Configuration",
    "tracing": "Tracing",
    "client": "Calls to models",
    "providers": "What a call gives",
    "resilience": "Retries and fallbacks",
    "caching": "Caching",
    "guardrails": "Guardrails",
    "store": "Querying",
    "errors": "Errors",
}
_WIDTH = 100
_INTRODUCTION = """# The public names

Everything here is imported from `llmops_sdk` itself, by convention as `llmops`; it is what [stability](stability.md)
speaks of. The page is generated from the code: `make docs`.
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
        # A default that stands for "not given" has no form of its own to show.
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
        if members := list(_members(value)):
            yield "\n".join(members) + "\n"
        return
    yield _block(list(_signatures(name, value)))
    yield f"{_summary(value)}\n"


def _error_tree(root: type, depth: int = 0) -> Iterator[str]:
    yield f"{'  ' * depth}- `{root.__name__}`: {_summary(root)}"
    for child in sorted(root.__subclasses__(), key=lambda cls: cls.__name__):
        if child.__name__ in llmops_sdk.__all__:
            yield from _error_tree(child, depth + 1)


def _section(name: str) -> str:
    public = [one for one in _SECTIONS if name in import_module(f"llmops_sdk.{one}").__all__]
    return public[0] if public else "tracing"


def page() -> str:
    """The text of docs/api.md."""
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
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
