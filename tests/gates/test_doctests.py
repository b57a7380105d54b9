"""Run the examples in docstrings, each in an empty folder."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_ROOT = Path(__file__).parents[2]
_OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


class Example(NamedTuple):
    """A docstring with examples."""

    module: str
    name: str
    text: str
    path: Path
    line: int


def _docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str):
    if (text := ast.get_docstring(node, clean=False)) and ">>>" in text:
        yield name, text, node.body[0].lineno
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child, f"{name}.{child.name}" if name else child.name)


def _examples() -> Iterator[Example]:
    for path in sorted(_ROOT.joinpath("llmops_sdk").rglob("*.py")):
        parts = path.relative_to(_ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for name, text, line in _docstrings(ast.parse(path.read_text("utf-8")), ""):
            yield Example(module, name, text, path, line)


@pytest.mark.parametrize("example", list(_examples()), ids=lambda example: f"{example.module}:{example.name}")
def test_docstring_example_runs(example: Example):
    names = dict(vars(importlib.import_module(example.module)))
    test = doctest.DocTestParser().get_doctest(
        example.text, names, f"{example.module}.{example.name}", str(example.path), example.line
    )
    report: list[str] = []

    failed = doctest.DocTestRunner(optionflags=_OPTIONS).run(test, out=report.append).failed

    assert failed == 0, "".join(report)
