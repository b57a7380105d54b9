"""Make attacks, requests and harmless texts of templates; the same call gives the same texts on every machine."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Templates", "read_templates", "texts"]

Templates = Mapping[str, list[str]]

_FOLDER = Path(__file__).parent / "injection_templates"
_PART = re.compile(r"\{([A-Za-z_]+)\}|\[([^\[\]]*)\]")
_DEPTH = 12
_LITERAL = str.maketrans("‹›¦", "[]|")


def read_templates(name: str) -> Templates:
    """Return the lists of templates in a file of the folder `injection_templates`.

    Args:
        name: The name of the file without its ending.
    """
    lists: dict[str, list[str]] = {}
    for line in (_FOLDER / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith(":"):
            lines = lists.setdefault(line[1:].strip(), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return lists


def _choices(seed: str) -> Iterator[int]:
    for count in itertools.count():
        digest = hashlib.blake2b(f"{seed}:{count}".encode(), digest_size=64).digest()
        yield from (int.from_bytes(digest[at : at + 4], "big") for at in range(0, 64, 4))


def _expanded(templates: Templates, text: str, choices: Iterator[int], depth: int = 0) -> str:
    if depth > _DEPTH:
        raise ValueError(f"the templates nest more than {_DEPTH} levels deep: {text[:80]}")

    def chosen(found: re.Match[str]) -> str:
        name, options = found.groups()
        if name is not None and name not in templates:
            return found[0]
        some = templates[name] if name is not None else options.split("|")
        return _expanded(templates, some[next(choices) % len(some)], choices, depth + 1)

    return _PART.sub(chosen, text)


def texts(templates: Templates, name: str, count: int) -> list[str]:
    """Return so many texts of a list of templates; some may be equal.

    Args:
        templates: The lists, as `read_templates` gives them.
        name: The list to begin with.
        count: The number of texts.
    """
    made = (_expanded(templates, "{" + name + "}", _choices(f"{name}:{number}")) for number in range(count))
    return [re.sub(" +", " ", text.translate(_LITERAL).replace("\\n", "\n")).strip() for text in made]
