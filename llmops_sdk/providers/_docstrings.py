"""Read the descriptions of parameters in docstrings, in Google's and Sphinx's style."""

from __future__ import annotations

import re

__all__ = ["split_docstring"]

_HEADING = re.compile(r"(?:Args|Arguments|Parameters|Params):\s*")
_PARAMETER = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_FIELD = re.compile(r":param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without the descriptions of its parameters, and these by name.

    Args:
        docstring: The text as `inspect.getdoc` returns it.
    """
    rest: list[str] = []
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    section = -1  # the indentation of a parameter's name in the section of arguments; -1 outside, 0 before the first
    for line in docstring.splitlines():
        indent = len(line) - len(line.lstrip())
        text = line.strip()
        if field := _FIELD.match(line):
            section, current = -1, found.setdefault(field[1], [field[2]])
        elif _HEADING.fullmatch(line):
            section, current = 0, None
        elif section >= 0 and (indent or not text):
            section = section or indent
            entry = _PARAMETER.match(text)
            if entry and indent == section:
                current = found.setdefault(entry[1], [entry[2]])
            elif text and current is not None:
                current.append(text)
        elif current is not None and section < 0 and text and indent:
            current.append(text)
        else:
            section, current = -1, None
            rest.append(line)
    described = {name: " ".join(filter(None, lines)) for name, lines in found.items()}
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip(), described
