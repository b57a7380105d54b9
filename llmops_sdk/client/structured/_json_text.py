"""Find the JSON in a model's answer: models wrap it in a code block, sometimes with sentences around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

__all__ = ["json_text"]

_DECODER = json.JSONDecoder()
_OPENING = re.compile(r"```[A-Za-z0-9_-]*\s*")
_MAX_BLOCKS = 100


def json_text(text: str) -> str:
    """Return the JSON in an answer; the whole text if there is none.

    The JSON parser finds the end of a block, because a string in the JSON may hold a fence of its own.
    """
    stripped = text.strip()
    if _end_of_json(stripped) == len(stripped):
        return stripped
    blocks = list(_blocks(stripped))
    for block in blocks:
        end = _end_of_json(block)
        if end and block[end:].lstrip()[:3] in ("", "```"):
            return block[:end]
    # For the error's sake: the block that is nearest to JSON.
    return blocks[0].partition("```")[0].strip() if blocks else stripped


def _blocks(text: str) -> Iterator[str]:
    """Yield the text after each fence."""
    for number, opening in enumerate(_OPENING.finditer(text)):
        if number == _MAX_BLOCKS:
            return
        yield text[opening.end() :]


def _end_of_json(text: str) -> int:
    """Return where the JSON ends with which a text begins, or 0."""
    try:
        return _DECODER.raw_decode(text)[1]
    except (ValueError, RecursionError):
        return 0
