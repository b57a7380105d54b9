"""Write the tree of the package into docs/development.md; `make docs` runs this, and a test compares the page with it.

Each line is a folder and the first sentence of its `__init__`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGE", "with_tree"]

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "development.md"
_BEGIN, _END = "<!-- the tree: made by `make docs` -->\n", "<!-- end of the tree -->"


def _bottom_up() -> list[str]:
    """Return the packages in the order of the layers contract, the lowest first."""
    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["id"] == "layers")
    return [name.strip().removeprefix("llmops_sdk.") for layer in reversed(layers) for name in re.split("[|:]", layer)]


def _summary(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _lines(folder: Path, depth: int) -> Iterator[str]:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    name = "  " * depth + folder.name + "/"
    yield f"{name:<20}{_summary(text)}".rstrip()
    below = sorted(path.parent for path in folder.glob("*/__init__.py"))
    if depth == 0:
        order = _bottom_up()
        below.sort(key=lambda path: order.index(path.name))
    for path in below:
        yield from _lines(path, depth + 1)


def with_tree(page: str) -> str:
    """Return the page with the tree as it is now.

    Args:
        page: The text of docs/development.md.
    """
    before, _, rest = page.partition(_BEGIN)
    tree = "\n".join(_lines(_ROOT / "llmops_sdk", 0))
    return f"{before}{_BEGIN}```text\n{tree}\n```\n{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text("utf-8")), "utf-8")
