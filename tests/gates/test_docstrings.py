"""Docstrings of functions open with a verb: "Return the newest traces.", not "The newest traces."."""

from __future__ import annotations

import ast
from pathlib import Path

# The words that open a noun clause or a question in place of a verb.
OPENERS = {"The", "A", "An", "What", "Whether", "How", "Where", "When", "Which"} | {
    *("Every", "Each", "All", "As", "One", "Its", "No", "So")
}


def _openings(sources: list[Path], root: Path) -> dict[str, str]:
    """Return the first word of each function's docstring, by place."""
    return {
        f"{path.relative_to(root).as_posix()}:{node.lineno} {node.name}": text.split()[0]
        for path in sources
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node))
    }


def test_docstrings_of_functions_open_with_a_verb(sources: list[Path], root: Path):
    openings = _openings(sources, root)
    offenders = sorted(f'{place}: "{word} …"' for place, word in openings.items() if word in OPENERS)

    assert len(openings) > 1_000
    assert offenders == []
