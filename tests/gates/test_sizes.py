"""Modules and functions are small; there is one broad `except`, and no unfinished code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pytest

pytestmark = pytest.mark.xdist_group("sizes")
MODULE_LINES = 400
FUNCTION_LINES = 60
GUARD = "llmops_sdk/_util/_guard.py"
_Node = TypeVar("_Node", bound=ast.stmt | ast.expr | ast.excepthandler)


@lru_cache(maxsize=1)
def _checked_nodes(sources: tuple[Path, ...], root: Path) -> list[tuple[str, ast.stmt | ast.expr | ast.excepthandler]]:
    """Return the nodes that the tests below look at, each with its place: to parse the package takes seconds."""
    checked = ast.FunctionDef | ast.AsyncFunctionDef | ast.ExceptHandler | ast.Call | ast.Raise
    return [
        (f"{path.relative_to(root).as_posix()}:{node.lineno}", node)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, checked)
    ]


def _nodes(sources: list[Path], root: Path, *types: type[_Node]) -> Iterator[tuple[str, _Node]]:
    for where, node in _checked_nodes(tuple(sources), root):
        if isinstance(node, types):
            yield where, node


def test_modules_have_at_most_400_lines(sources: list[Path], root: Path):
    sizes = {path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines()) for path in sources}

    assert {name: size for name, size in sizes.items() if size > MODULE_LINES} == {}
    assert "llmops_sdk/__init__.py" in sizes


def test_functions_have_at_most_60_lines(sources: list[Path], root: Path):
    sizes = {
        f"{where} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for where, node in _nodes(sources, root, ast.FunctionDef, ast.AsyncFunctionDef)
    }

    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}
    assert len(sizes) > 20


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(one) for one in caught.elts)
    name = caught.attr if isinstance(caught, ast.Attribute) else getattr(caught, "id", None)
    return caught is None or name in {"Exception", "BaseException"}


def _suppresses_all(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) == "suppress"
        and any(_is_broad(argument) for argument in node.args)
    )


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Return whether the handler raises again without returning before, or throws into a generator."""
    inside = list(ast.walk(handler))
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return not any(isinstance(node, ast.Return | ast.Continue | ast.Break) for node in inside)
    return any(isinstance(node, ast.Attribute) and node.attr in {"throw", "athrow"} for node in inside)


def test_only_the_telemetry_guard_catches_all_exceptions(sources: list[Path], root: Path):
    broad = [
        where
        for where, node in _nodes(sources, root, ast.ExceptHandler, ast.Call)
        if (isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node))
        or _suppresses_all(node)
    ]

    assert [where for where in broad if not where.startswith(GUARD)] == []
    assert len(broad) == 1


def test_no_code_is_unfinished(sources: list[Path], root: Path):
    raised = [
        where
        for where, node in _nodes(sources, root, ast.Raise)
        if node.exc is not None and "NotImplementedError" in ast.dump(node.exc)
    ]
    marked = [
        f"{path.relative_to(root)}:{number}"
        for path in sources
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b|pragma: no cover", line)
    ]

    assert raised + marked == []
